/*
 * name_filter.c -- see name_filter.h.
 * floor: index     uses: name_filter.h     used by: index
 */
#include "index/name_filter.h"

enum {
	FIRST_LINK_NAMES = 1 << 16,
	NAMES_PER_BLOCK = 32, /* 512 bits, 16 a name */
	PROBES = 6
};

void
name_filter_init(struct name_filter *filter, struct mem *mem)
{
	*filter = (struct name_filter){ .mem = mem };
}

void
name_filter_free(struct name_filter *filter)
{
	for (unsigned i = 0; i < filter->links_count; i++)
		mem_free(filter->mem, filter->links[i].blocks);
	*filter = (struct name_filter){ .mem = filter->mem };
}

static int
add_link(struct name_filter *filter)
{
	struct name_filter_link *link;
	size_t blocks;

	if (filter->links_count == NAME_FILTER_LINKS_MAX)
		return 0; /* the last link just gets fuller */
	link = &filter->links[filter->links_count];
	link->names_max = (size_t)FIRST_LINK_NAMES << (2 * filter->links_count);
	link->names = 0;
	blocks = link->names_max / NAMES_PER_BLOCK;
	link->block_mask = blocks - 1;
	link->blocks = mem_zalloc(filter->mem, blocks * sizeof(*link->blocks));
	if (link->blocks == NULL)
		return ERR_MEMORY;
	filter->links_count++;
	return 0;
}

/* The low half of the hash picks the block, the high half six bits of it: 9 bits each, from a second mix. */
static inline uint64_t
bit_source(uint64_t hash)
{
	return (hash >> 32 | hash << 32) * UINT64_C(0x9E3779B97F4A7C15);
}

int
name_filter_add(struct name_filter *filter, uint64_t hash)
{
	struct name_filter_link *link = filter->links_count == 0 ? NULL : &filter->links[filter->links_count - 1];
	uint64_t bits = bit_source(hash);
	uint64_t *block;

	if (link == NULL || link->names == link->names_max) {
		TRY(add_link(filter));
		link = &filter->links[filter->links_count - 1];
	}
	block = link->blocks[hash & link->block_mask];
	for (unsigned i = 0; i < PROBES; i++, bits >>= 9)
		block[bits >> 6 & 7] |= UINT64_C(1) << (bits & 63);
	if (link->names < link->names_max)
		link->names++;
	return 0;
}

bool
name_filter_may_have(const struct name_filter *filter, uint64_t hash)
{
	for (unsigned l = filter->links_count; l-- > 0;) {
		const struct name_filter_link *link = &filter->links[l];
		const uint64_t *block = link->blocks[hash & link->block_mask];
		uint64_t bits = bit_source(hash);
		bool all = true;

		for (unsigned i = 0; i < PROBES; i++, bits >>= 9)
			all &= (block[bits >> 6 & 7] >> (bits & 63) & 1) != 0;
		if (all)
			return true;
	}
	return false;
}
