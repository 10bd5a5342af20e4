/*
 * part_name.c -- the name of a part's directory (part format 2.1).
 * floor: part     uses: part.h err.h     used by: part, table
 *
 *   11_3_20201219000000.000_20201219000045.001_18E9B86CE917F2F6
 *   rows, blocks, least and greatest timestamp (UTC), suffix
 *
 * Dates are computed here, not by the C library: gmtime needs a time_t and a locale-free strftime is not promised.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "part/part.h"

enum { TIME_TEXT_LENGTH = 18, NAME_PIECES = 5 };

/* -- Dates ---------------------------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. Years start in March here, so that the leap day comes last. */
static int64_t
days_of_date(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void
date_of_days(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
	*year = year_of_era + era * 400 + (*month <= 2);
}

/* -- Writing -------------------------------------------------------------------------------------------------------- */

static int
time_format(int64_t timestamp_ms, char *text, size_t text_bytes)
{
	int64_t days = timestamp_ms / MS_PER_DAY;
	int64_t rest = timestamp_ms % MS_PER_DAY;
	int64_t year;
	int month, day;

	if (rest < 0) {
		rest += MS_PER_DAY;
		days--;
	}
	date_of_days(days, &year, &month, &day);
	return snprintf(text, text_bytes, "%04lld%02d%02d%02d%02d%02d.%03d", (long long)year, month, day,
	    (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
}

void
part_name_format(const struct part_header *header, char *name)
{
	char min[32], max[32];

	time_format(header->min_timestamp_ms, min, sizeof(min));
	time_format(header->max_timestamp_ms, max, sizeof(max));
	snprintf(name, PART_NAME_MAX, "%" PRIu64 "_%" PRIu64 "_%s_%s_%016" PRIX64, header->rows, header->blocks, min,
	    max, header->suffix);
}

/* -- Reading -------------------------------------------------------------------------------------------------------- */

/* Decimal digits only, all of the piece. */
static bool
number_parse(struct bytes text, uint64_t *out)
{
	uint64_t value = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)text.data[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*out = value;
	return true;
}

static bool
field_parse(struct bytes text, size_t from, size_t count, int least, int most, int *out)
{
	uint64_t value;

	if (!number_parse(bytes_of(text.data + from, count), &value) || value < (uint64_t)least ||
	    value > (uint64_t)most)
		return false;
	*out = (int)value;
	return true;
}

static int
days_in_month(int year, int month)
{
	return (int)(days_of_date(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) -
	    days_of_date(year, month, 1));
}

/* YYYYMMDDhhmmss.mmm of a date that exists. */
static bool
time_parse(struct bytes text, int64_t *timestamp_ms)
{
	int year, month, day, hour, minute, second, ms;

	if (text.len != TIME_TEXT_LENGTH || text.data[14] != '.')
		return false;
	if (!field_parse(text, 0, 4, 0, 9999, &year) || !field_parse(text, 4, 2, 1, 12, &month) ||
	    !field_parse(text, 6, 2, 1, 31, &day) || !field_parse(text, 8, 2, 0, 23, &hour) ||
	    !field_parse(text, 10, 2, 0, 59, &minute) || !field_parse(text, 12, 2, 0, 59, &second) ||
	    !field_parse(text, 15, 3, 0, 999, &ms))
		return false;
	if (day > days_in_month(year, month))
		return false;
	*timestamp_ms =
	    days_of_date(year, month, day) * MS_PER_DAY + hour * 3600000 + minute * 60000 + second * 1000 + ms;
	return true;
}

/* The suffix as a number; 0 when it is no hex number of at most 16 digits. */
static uint64_t
suffix_parse(struct bytes text)
{
	uint64_t value = 0;

	if (text.len == 0 || text.len > 16)
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint64_t)(c - 'A' + 10);
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return 0;
	}
	return value;
}

int
part_name_parse(const char *name, struct part_header *header)
{
	struct bytes pieces[NAME_PIECES];
	const char *rest = name;

	for (int i = 0; i < NAME_PIECES; i++) {
		const char *end = strchr(rest, '_');

		if ((end == NULL) != (i == NAME_PIECES - 1))
			return ERR(ERR_CORRUPTED, "the part name %.200s has not five pieces between underscores", name);
		pieces[i] = bytes_of(rest, end == NULL ? strlen(rest) : (size_t)(end - rest));
		rest = end == NULL ? NULL : end + 1;
	}
	if (!number_parse(pieces[0], &header->rows) || header->rows == 0)
		return ERR(ERR_CORRUPTED, "the part name %.200s does not begin with a number of rows over 0", name);
	if (!number_parse(pieces[1], &header->blocks) || header->blocks == 0 || header->blocks > header->rows)
		return ERR(ERR_CORRUPTED,
		    "the number of blocks in the part name %.200s is not in 1 to the number of rows", name);
	if (!time_parse(pieces[2], &header->min_timestamp_ms) || !time_parse(pieces[3], &header->max_timestamp_ms))
		return ERR(ERR_CORRUPTED, "the part name %.200s has a time that is not YYYYMMDDhhmmss.mmm", name);
	if (header->min_timestamp_ms > header->max_timestamp_ms)
		return ERR(ERR_CORRUPTED, "the times in the part name %.200s run backwards", name);
	header->suffix = suffix_parse(pieces[4]);
	return 0;
}
