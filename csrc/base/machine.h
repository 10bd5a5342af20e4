/*
 * machine.h -- how much machine this process may use.
 * floor: base     uses: io_posix.h     used by: thread.c, storage
 *
 * Both numbers respect the cgroup (v1 and v2) as well as the machine, because a container's processes see all CPUs and
 * all memory of the host. They are read afresh by every call.
 *
 * Errors     none: what cannot be read does not limit.
 * Threads    any.
 */
#ifndef TSE_MACHINE_H
#define TSE_MACHINE_H

#include "base/base.h"

/* CPUs by affinity and cgroup quota (rounded), at least 1. */
unsigned machine_cpus(void);
/* Bytes of memory by machine and cgroup limit; at least 1 MiB. */
uint64_t machine_memory_bytes(void);

/* The quota of a cgroup v2 cpu.max text in hundredths of a CPU; UINT64_MAX: none. Seen here for the specs. */
uint64_t machine_parse_cpu_max(const char *text);
/* The path of this process in a /proc/self/cgroup text: controller "" is v2. false when it is not there or too long. */
bool machine_parse_cgroup_path(const char *text, const char *controller, char *path, size_t path_bytes);

#endif
