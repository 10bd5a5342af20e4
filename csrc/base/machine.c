/*
 * machine.c -- CPUs and memory of this process.
 * floor: base     uses: machine.h io_posix.h     used by: thread.c, storage
 *
 * A limit may stand at any level of the cgroup path (a/b/c, a/b, a, root); the smallest one counts. Inside a container
 * the path of /proc/self/cgroup may name directories of the host that are not mounted: the walk ends at the root, which
 * in a container is the container's own group.
 */
#include "base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io_posix.h"

enum { PATH_BYTES = 1024, TEXT_BYTES = 4096, CPUS_MAX = 65536 };

#define MEMORY_BYTES_MIN (UINT64_C(1) << 20)
#define CGROUP_ROOT      "/sys/fs/cgroup"

uint64_t
machine_parse_cpu_max(const char *text)
{
	unsigned long long quota, period;

	if (sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0 || quota == 0)
		return UINT64_MAX; /* "max 100000" */
	if (quota > UINT64_MAX / 100)
		return UINT64_MAX;
	return quota * 100 / period;
}

/* Is `controller` one of the comma separated words of list[0..len)? The empty list is cgroup v2. */
static bool
has_controller(const char *list, size_t len, const char *controller)
{
	size_t want = strlen(controller), start = 0, i;

	if (want == 0)
		return len == 0;
	for (i = 0; i <= len; i++) {
		if (i < len && list[i] != ',')
			continue;
		if (i - start == want && memcmp(list + start, controller, want) == 0)
			return true;
		start = i + 1;
	}
	return false;
}

bool
machine_parse_cgroup_path(const char *text, const char *controller, char *path, size_t path_bytes)
{
	const char *line = text;

	while (*line != '\0') {
		size_t len = strcspn(line, "\n");
		const char *list = memchr(line, ':', len);
		const char *where = list == NULL ? NULL : memchr(list + 1, ':', len - (size_t)(list + 1 - line));

		if (where != NULL && has_controller(list + 1, (size_t)(where - list - 1), controller)) {
			size_t n = len - (size_t)(where + 1 - line);

			if (n >= path_bytes)
				return false;
			memcpy(path, where + 1, n);
			path[n] = '\0';
			return true;
		}
		line += len;
		if (*line == '\n')
			line++;
	}
	return false;
}

/* What one cgroup directory says; UINT64_MAX when it says nothing. */
typedef uint64_t (*limit_fn)(const char *directory);

static bool
read_in(const char *directory, const char *name, char *text, size_t text_bytes)
{
	char path[3 * PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return io_posix_read_small(path, text, text_bytes);
}

static uint64_t
number_in(const char *directory, const char *name)
{
	char text[64], *end;
	unsigned long long value;

	if (!read_in(directory, name, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return UINT64_MAX; /* "max", "-1" */
	value = strtoull(text, &end, 10);
	return value;
}

static uint64_t
cpu_v2(const char *directory)
{
	char text[64];

	return read_in(directory, "cpu.max", text, sizeof(text)) ? machine_parse_cpu_max(text) : UINT64_MAX;
}

static uint64_t
cpu_v1(const char *directory)
{
	uint64_t quota = number_in(directory, "cpu.cfs_quota_us");
	uint64_t period = number_in(directory, "cpu.cfs_period_us");

	if (quota == UINT64_MAX || period == UINT64_MAX || period == 0 || quota > UINT64_MAX / 100)
		return UINT64_MAX;
	return quota * 100 / period;
}

static uint64_t
memory_v2(const char *directory)
{
	return number_in(directory, "memory.max");
}

static uint64_t
memory_v1(const char *directory)
{
	return number_in(directory, "memory.limit_in_bytes");
}

/* The smallest limit on the way from the process's group up to the root. */
static uint64_t
smallest_limit(const char *cgroup_text, const char *controller, const char *mount, limit_fn limit)
{
	char path[PATH_BYTES], directory[2 * PATH_BYTES];
	uint64_t smallest = UINT64_MAX;

	if (!machine_parse_cgroup_path(cgroup_text, controller, path, sizeof(path)))
		path[0] = '\0';
	for (;;) {
		char *slash;
		uint64_t found;

		snprintf(directory, sizeof(directory), "%s%s", mount, path);
		found = limit(directory);
		if (found < smallest)
			smallest = found;
		if (path[0] == '\0')
			return smallest;
		slash = strrchr(path, '/');
		if (slash == NULL)
			path[0] = '\0';
		else
			*slash = '\0';
	}
}

static unsigned
cpus_by_affinity(void)
{
	int size;

	/* the kernel refuses a set smaller than its own: grow until it fits */
	for (size = 1024; size <= CPUS_MAX; size *= 2) {
		cpu_set_t *set = CPU_ALLOC(size);
		unsigned count = 0;

		if (set == NULL)
			break;
		if (sched_getaffinity(0, CPU_ALLOC_SIZE(size), set) == 0)
			count = (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(size), set);
		CPU_FREE(set);
		if (count > 0)
			return count;
	}
	return 1;
}

unsigned
machine_cpus(void)
{
	char text[TEXT_BYTES];
	unsigned cpus = cpus_by_affinity();
	uint64_t quota, v1;

	if (!io_posix_read_small("/proc/self/cgroup", text, sizeof(text)))
		text[0] = '\0';
	quota = smallest_limit(text, "", CGROUP_ROOT, cpu_v2);
	v1 = smallest_limit(text, "cpu", CGROUP_ROOT "/cpu", cpu_v1);
	if (v1 < quota)
		quota = v1;
	if (quota / 100 < cpus)
		cpus = (unsigned)((quota + 50) / 100);
	return cpus == 0 ? 1 : cpus;
}

uint64_t
machine_memory_bytes(void)
{
	char text[TEXT_BYTES];
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	uint64_t bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_C(1) << 30;
	uint64_t limit;

	if (!io_posix_read_small("/proc/self/cgroup", text, sizeof(text)))
		text[0] = '\0';
	limit = smallest_limit(text, "", CGROUP_ROOT, memory_v2);
	if (limit < bytes)
		bytes = limit;
	limit = smallest_limit(text, "memory", CGROUP_ROOT "/memory", memory_v1);
	if (limit < bytes)
		bytes = limit;
	return bytes < MEMORY_BYTES_MIN ? MEMORY_BYTES_MIN : bytes;
}
