/*
 * regex_re2.cc -- RE2 behind C functions: the only C++ of the engine.
 * floor: base     uses: regex_re2.h RE2     used by: regex.c
 *
 * RE2 allocates with operator new, outside of mem.h; its share is bounded by max_bytes of the pattern.
 */
#include "base/regex_re2.h"

#include <new>

#include <re2/re2.h>

static void
copy_words(char *words, size_t words_bytes, const std::string &message)
{
	size_t n = message.size() < words_bytes - 1 ? message.size() : words_bytes - 1;

	message.copy(words, n);
	words[n] = '\0';
}

int
re2_gate_open(const char *pattern, size_t len, size_t max_bytes, void **out, char *words, size_t words_bytes)
{
	re2::RE2 *re2 = nullptr;

	words[0] = '\0';
	try {
		re2::RE2::Options options;

		options.set_log_errors(false);
		options.set_max_mem(static_cast<int64_t>(max_bytes));
		options.set_never_capture(true);
		re2 = new re2::RE2(re2::StringPiece(pattern, len), options);
		if (re2->ok()) {
			*out = re2;
			return 0;
		}
		copy_words(words, words_bytes, re2->error());
		delete re2;
		return RE2_GATE_BAD_PATTERN;
	} catch (...) {
		delete re2;
		return RE2_GATE_NO_MEMORY;
	}
}

void
re2_gate_close(void *re2)
{
	delete static_cast<re2::RE2 *>(re2);
}

int
re2_gate_match(const void *re2, const char *text, size_t len)
{
	try {
		return re2::RE2::FullMatch(re2::StringPiece(text, len), *static_cast<const re2::RE2 *>(re2)) ? 1 : 0;
	} catch (...) {
		return RE2_GATE_NO_MEMORY;
	}
}
