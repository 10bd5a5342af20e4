/*
 * regex.c -- anchored regular expressions over any bytes.
 * floor: base     uses: regex.h regex_re2.h err.h     used by: index/tag_filter, ingest
 *
 * RE2 in UTF-8 mode lets no part of a pattern match a byte that is not valid UTF-8; Go's regexp, which VictoriaMetrics
 * uses, reads such a byte as one U+FFFD. So texts are checked first, and one that is not valid is matched as a copy in
 * which each such byte is replaced by the three bytes of U+FFFD: then both agree on every text.
 */
#include "base/regex.h"

#include "base/err.h"
#include "base/regex_re2.h"

struct regex {
	struct mem *mem;
	void *re2;
};

/* U+FFFD has three bytes, so a repaired text is at most three times as long. */
enum { REPLACEMENT_BYTES = 3, STACK_TEXT_BYTES = 1024, PATTERN_SHOWN_BYTES = 200 };

/*
 * The length of the valid UTF-8 sequence at the start of s[0..n), 0 when there is none. No overlong forms, no
 * surrogates, nothing above U+10FFFF: the second byte's bounds depend on the first.
 */
static size_t
sequence_length(const uint8_t *s, size_t n)
{
	uint8_t low = 0x80, high = 0xBF;
	size_t len, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		len = 2;
	} else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
		len = 3;
		low = s[0] == 0xE0 ? 0xA0 : 0x80;
		high = s[0] == 0xED ? 0x9F : 0xBF;
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		len = 4;
		low = s[0] == 0xF0 ? 0x90 : 0x80;
		high = s[0] == 0xF4 ? 0x8F : 0xBF;
	} else {
		return 0;
	}
	if (n < len || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < len; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

static bool
is_valid_utf8(struct bytes text)
{
	size_t i = 0;

	while (i < text.len) {
		uint64_t eight;
		size_t len;

		if (text.len - i >= 8) {
			memcpy(&eight, text.data + i, 8);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				i += 8;
				continue;
			}
		}
		len = sequence_length(text.data + i, text.len - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

static size_t
repair(struct bytes text, uint8_t *out)
{
	size_t i = 0, n = 0;

	while (i < text.len) {
		size_t len = sequence_length(text.data + i, text.len - i);

		if (len == 0) {
			memcpy(out + n, "\xEF\xBF\xBD", REPLACEMENT_BYTES);
			n += REPLACEMENT_BYTES;
			i++;
		} else {
			memcpy(out + n, text.data + i, len);
			n += len;
			i += len;
		}
	}
	return n;
}

int
regex_compile(struct mem *mem, struct bytes pattern, struct regex **out)
{
	struct regex *regex = mem_alloc(mem, sizeof(*regex));
	char words[256];
	int failure;

	*out = NULL;
	if (regex == NULL)
		return ERR_MEMORY;
	regex->mem = mem;
	failure = re2_gate_open(pattern.len == 0 ? "" : (const char *)pattern.data, pattern.len, REGEX_BYTES_MAX,
	    &regex->re2, words, sizeof(words));
	if (failure == 0) {
		*out = regex;
		return 0;
	}
	mem_free(mem, regex);
	if (failure == RE2_GATE_NO_MEMORY)
		return ERR(ERR_MEMORY, "no memory for a regular expression of %zu bytes", pattern.len);
	return ERR(ERR_MATCH, "the regular expression \"%.*s\" is not valid: %s",
	    (int)(pattern.len < PATTERN_SHOWN_BYTES ? pattern.len : PATTERN_SHOWN_BYTES), (const char *)pattern.data,
	    words);
}

void
regex_destroy(struct regex *regex)
{
	if (regex == NULL)
		return;
	re2_gate_close(regex->re2);
	mem_free(regex->mem, regex);
}

static bool
match_valid(const struct regex *regex, const uint8_t *text, size_t len)
{
	int answer = re2_gate_match(regex->re2, len == 0 ? "" : (const char *)text, len);

	if (answer == RE2_GATE_NO_MEMORY)
		(void)ERR(ERR_MEMORY, "no memory to match a text of %zu bytes", len);
	return answer == 1;
}

bool
regex_match(const struct regex *regex, struct bytes text)
{
	uint8_t stack[STACK_TEXT_BYTES], *repaired = stack;
	bool answer;

	if (is_valid_utf8(text))
		return match_valid(regex, text.data, text.len);
	if (text.len > sizeof(stack) / REPLACEMENT_BYTES) {
		repaired = mem_array(regex->mem, text.len, REPLACEMENT_BYTES);
		if (repaired == NULL)
			return false;
	}
	answer = match_valid(regex, repaired, repair(text, repaired));
	if (repaired != stack)
		mem_free(regex->mem, repaired);
	return answer;
}
