/*
 * min_dedup.c -- Go's durations, as far as one file needs them.
 * floor: part     uses: min_dedup.h     used by: part, part_writer
 *
 * Numbers are read here and not by strtod, which takes the decimal comma of the host's locale.
 */
#include "part/min_dedup.h"

#include <stdio.h>

#define INTERVAL_MS_MAX 9007199254740992.0 /* 2^53 */

void
min_dedup_format(int64_t interval_ms, char *text)
{
	long long seconds = interval_ms / 1000, ms = interval_ms % 1000;
	char fraction[8] = "";
	size_t n;

	assert(interval_ms >= 0);
	if (interval_ms > 0 && seconds == 0) {
		snprintf(text, MIN_DEDUP_TEXT_MAX, "%lldms", ms);
		return;
	}
	if (ms > 0) {
		snprintf(fraction, sizeof(fraction), ".%03d", (int)ms);
		for (n = 4; fraction[n - 1] == '0'; n--)
			fraction[n - 1] = 0;
	}
	if (seconds >= 3600)
		snprintf(text, MIN_DEDUP_TEXT_MAX, "%lldh%lldm%lld%ss", seconds / 3600, seconds / 60 % 60, seconds % 60,
		    fraction);
	else if (seconds >= 60)
		snprintf(text, MIN_DEDUP_TEXT_MAX, "%lldm%lld%ss", seconds / 60, seconds % 60, fraction);
	else
		snprintf(text, MIN_DEDUP_TEXT_MAX, "%lld%ss", seconds, fraction);
}

/* Digits with at most one point among them, as digits and what to divide them by; moves *text behind the number. */
static bool
number_take(struct bytes *text, double *value, double *divisor)
{
	double number = 0, unit = 1;
	bool point = false;
	size_t digits = 0;

	for (; text->len > 0; text->data++, text->len--) {
		uint8_t c = *text->data;

		if (c == '.' && !point) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		digits++;
		if (point)
			unit *= 10;
		number = number * 10 + (c - '0');
	}
	*value = number;
	*divisor = unit;
	return digits > 0 && digits <= 18;
}

/* The unit's milliseconds; 0 when there is none. */
static double
unit_take(struct bytes *text)
{
	static const struct {
		char name[3];
		double ms;
	} units[] = { { "ms", 1 }, { "s", 1e3 }, { "m", 6e4 }, { "h", 36e5 }, { "d", 864e5 }, { "w", 7 * 864e5 },
		{ "y", 365 * 864e5 } };

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		size_t len = strlen(units[i].name);

		if (text->len < len || memcmp(text->data, units[i].name, len) != 0)
			continue;
		text->data += len;
		text->len -= len;
		return units[i].ms;
	}
	return 0;
}

bool
min_dedup_parse(struct bytes text, int64_t *interval_ms)
{
	double total = 0, number, divisor, unit;
	bool first = true;

	do {
		if (!number_take(&text, &number, &divisor))
			return false;
		if (first && text.len == 0)
			unit = 1e3;
		else
			unit = unit_take(&text);
		if (unit == 0)
			return false;
		/* in this order: 1.001 s are 1001 ms, but 1.001 * 1000 is a little less */
		total += number * unit / divisor;
		first = false;
	} while (text.len > 0);
	if (!(total <= INTERVAL_MS_MAX))
		return false;
	*interval_ms = (int64_t)total;
	return true;
}
