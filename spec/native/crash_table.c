/*
 * crash_table.c -- reaches into the table, whose names would clash with those of the storage beside it.
 * Used by spec/native/crash_world.c.
 */
#include "crash_world.h"
#include "table/table_private.h"

void
world_set_small_part_bytes(struct table *table, uint64_t bytes)
{
	table->shared.options.max_small_part_bytes = bytes;
}
