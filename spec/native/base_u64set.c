/*
 * base_u64set.c -- u64set against a plain bitmap, driven at random.
 * Used by spec/base/u64set_spec.lua.
 */
#include "base/u64set.h"

#include <stdlib.h>

#include "base/err.h"

/* The model: one byte per id of a universe of 8 chunks, spread over high numbers that are far apart. */
enum { CHUNKS = 8, UNIVERSE = CHUNKS * 65536 };

static uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t
id_of(uint32_t i)
{
	static const uint64_t highs[CHUNKS] = { 0, 1, 2, 0x17ABC0000000, 0x17ABC0000001, 0x7FFFFFFFFFFF, 0xFFFFFFFFFFFE,
		0xFFFFFFFFFFFF };

	return highs[i >> 16] << 16 | (i & 0xFFFF);
}

/* 0 when set and model agree in every way a reader can see. */
static int
compare(const struct u64set *set, const uint8_t *model, struct mem *mem, uint64_t *seed)
{
	struct u64set_iter iter;
	uint64_t ids[1000], *all;
	uint32_t i, n = 0;
	size_t got, k, at = 0;

	for (i = 0; i < UNIVERSE; i++) {
		n += model[i];
		if (model[i] != u64set_has(set, id_of(i)))
			return ERR(ERR_BUG_CODE, "has(%u) is wrong", i);
	}
	if (n != u64set_count(set))
		return ERR(ERR_BUG_CODE, "count is %llu, not %u", (unsigned long long)u64set_count(set), n);
	TRY(u64set_to_array(set, mem, &all));
	for (i = 0; i < UNIVERSE; i++)
		if (model[i] && all[at++] != id_of(i))
			return ERR(ERR_BUG_CODE, "id %zu of the array is wrong", at - 1);
	/* the same in pieces of random size, from a random start */
	i = (uint32_t)(draw(seed) % UNIVERSE);
	u64set_iter_seek(&iter, set, id_of(i));
	for (at = 0; at < n && all[at] < id_of(i); at++)
		continue;
	while ((got = u64set_iter_next(&iter, ids, 1 + draw(seed) % 1000)) > 0)
		for (k = 0; k < got; k++)
			if (at >= n || ids[k] != all[at++])
				return ERR(ERR_BUG_CODE, "iteration goes wrong at %zu", at - 1);
	mem_free(mem, all);
	return at == n ? 0 : ERR(ERR_BUG_CODE, "iteration ends at %zu of %u", at, n);
}

/* Fills set and model with a mixture of single ids, dense ranges and batches. */
static int
fill(struct u64set *set, uint8_t *model, uint64_t *seed)
{
	uint64_t batch[3000];
	unsigned rounds = draw(seed) % 12, k;

	while (rounds-- > 0) {
		uint32_t start = (uint32_t)(draw(seed) % UNIVERSE), len = (uint32_t)(draw(seed) % 9000), i, n = 0;
		bool sparse = draw(seed) & 1, many = draw(seed) & 1;

		for (i = start; i < UNIVERSE && i < start + len; i += sparse ? 1 + (uint32_t)(draw(seed) % 40) : 1) {
			if (!many) {
				TRY(u64set_add(set, id_of(i)));
			} else {
				batch[n++] = id_of(i);
				if (n < 2999 && (draw(seed) & 7) == 0)
					batch[n++] = id_of(i); /* repeated ids are allowed */
				if (n >= 2999) {
					TRY(u64set_add_many(set, batch, n));
					n = 0;
				}
			}
			model[i] = 1;
		}
		TRY(u64set_add_many(set, batch, n));
		for (k = 0; k < 20; k++) {
			i = (uint32_t)(draw(seed) % UNIVERSE);
			TRY(u64set_add(set, id_of(i)));
			model[i] = 1;
		}
	}
	return 0;
}

int tt_u64set_random(struct mem *mem, uint64_t seed);
int tt_u64set_no_memory(struct mem *mem, uint64_t seed);
double tt_u64set_dense_bytes_per_id(struct mem *mem, uint32_t n);

/* One random life of two sets. */
int
tt_u64set_random(struct mem *mem, uint64_t seed)
{
	uint8_t *a_model = calloc(1, UNIVERSE), *b_model = calloc(1, UNIVERSE);
	struct u64set a, b, copy;
	unsigned round, operation;
	uint32_t i;
	int rc = 0;

	u64set_init(&a, mem);
	u64set_init(&b, mem);
	seed = seed * 2 + 1;
	for (round = 0; round < 4 && rc == 0; round++) {
		TRY_GOTO(out, fill(&a, a_model, &seed));
		TRY_GOTO(out, fill(&b, b_model, &seed));
		operation = draw(&seed) % 4;
		if (operation == 0)
			rc = u64set_union(&a, &b);
		else if (operation == 1)
			u64set_intersect(&a, &b);
		else if (operation == 2)
			u64set_subtract(&a, &b);
		for (i = 0; i < UNIVERSE && operation < 3; i++)
			a_model[i] = operation == 0 ? a_model[i] | b_model[i]
			    : operation == 1        ? a_model[i] & b_model[i]
						    : a_model[i] & !b_model[i];
		if (rc == 0)
			rc = compare(&a, a_model, mem, &seed);
		if (rc == 0)
			rc = compare(&b, b_model, mem, &seed);
		if (rc == 0)
			rc = u64set_copy(&a, mem, &copy);
		if (rc == 0 && !u64set_equal(&a, &copy))
			rc = ERR(ERR_BUG_CODE, "a copy differs");
		if (rc == 0 && u64set_equal(&a, &b) && memcmp(a_model, b_model, UNIVERSE) != 0)
			rc = ERR(ERR_BUG_CODE, "different sets are equal");
		if (rc == 0)
			u64set_free(&copy);
	}
	if (rc == 0) {
		u64set_union(&a, &a) == 0 ? (void)0 : abort();
		u64set_intersect(&a, &a);
		rc = compare(&a, a_model, mem, &seed);
		u64set_subtract(&a, &a);
		if (u64set_count(&a) != 0)
			rc = ERR(ERR_BUG_CODE, "a minus a is not empty");
	}
out:
	u64set_free(&a);
	u64set_free(&b);
	free(a_model);
	free(b_model);
	return rc;
}

/* Every allocation fails in turn: what is in the set before stays in it, and the set stays valid. */
int
tt_u64set_no_memory(struct mem *mem, uint64_t seed)
{
	uint8_t *a_model = calloc(1, UNIVERSE), *b_model = calloc(1, UNIVERSE);
	struct u64set a, b;
	uint64_t n, base;
	uint32_t i;
	int rc, failed = ERR_MEMORY;

	seed = seed * 2 + 1;
	u64set_init(&a, mem);
	u64set_init(&b, mem);
	TRY_GOTO(out, fill(&a, a_model, &seed));
	TRY_GOTO(out, fill(&b, b_model, &seed));
	for (n = 1; failed == ERR_MEMORY && rc == 0; n++) {
		struct u64set c;

		TRY_GOTO(out, u64set_copy(&a, mem, &c));
		base = mem->calls;
		mem->fail_at = base + n;
		failed = u64set_union(&c, &b);
		mem->fail_at = 0;
		for (i = 0; i < UNIVERSE && rc == 0; i++) {
			bool has = u64set_has(&c, id_of(i));

			if ((a_model[i] && !has) || (has && !a_model[i] && !b_model[i]) ||
			    (failed == 0 && b_model[i] && !has))
				rc = ERR(ERR_BUG_CODE, "after failure %llu id %u is wrong", (unsigned long long)n, i);
		}
		u64set_free(&c);
	}
out:
	u64set_free(&a);
	u64set_free(&b);
	free(a_model);
	free(b_model);
	return rc;
}

double
tt_u64set_dense_bytes_per_id(struct mem *mem, uint32_t n)
{
	struct u64set set;
	double bytes;
	uint32_t i;

	u64set_init(&set, mem);
	for (i = 0; i < n; i++)
		if (u64set_add(&set, UINT64_C(1700000000000000000) + i) != 0)
			return -1;
	bytes = (double)u64set_bytes(&set) / n;
	u64set_free(&set);
	return bytes;
}
