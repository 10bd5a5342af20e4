/*
 * month.c -- see month.h.
 * floor: table     uses: month.h     used by: table
 */
#include "table/month.h"

enum { YEAR_FIRST = 1970, MONTHS_PER_YEAR = 12 };

/* Days from 1970-01-01 to the first of the month. */
static int64_t
month_first_day(int month)
{
	/* Years counted from March end with the leap day: no table of month lengths is needed. */
	int64_t year = YEAR_FIRST + month / MONTHS_PER_YEAR, from_march = month % MONTHS_PER_YEAR - 2;

	if (from_march < 0) {
		from_march += MONTHS_PER_YEAR;
		year--;
	}
	return year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 - 719468;
}

void
month_bounds(int month, int64_t *min_ms, int64_t *max_ms)
{
	*min_ms = month_first_day(month) * MS_PER_DAY;
	*max_ms = month_first_day(month + 1) * MS_PER_DAY - 1;
}

int
month_of_ms(int64_t timestamp_ms)
{
	int64_t day, guess;

	if (timestamp_ms < 0 || timestamp_ms >= month_first_day(MONTHS_MAX) * MS_PER_DAY)
		return -1;
	day = timestamp_ms / MS_PER_DAY;
	guess = day * 400 * MONTHS_PER_YEAR / 146097; /* 400 years have 146097 days; at most a month off */
	while (guess > 0 && month_first_day((int)guess) > day)
		guess--;
	while (month_first_day((int)guess + 1) <= day)
		guess++;
	return (int)guess;
}

void
month_name(int month, char name[MONTH_NAME_MAX])
{
	int year = YEAR_FIRST + month / MONTHS_PER_YEAR, number = month % MONTHS_PER_YEAR + 1;

	name[0] = (char)('0' + year / 1000);
	name[1] = (char)('0' + year / 100 % 10);
	name[2] = (char)('0' + year / 10 % 10);
	name[3] = (char)('0' + year % 10);
	name[4] = '_';
	name[5] = (char)('0' + number / 10);
	name[6] = (char)('0' + number % 10);
	name[7] = '\0';
}

int
month_parse(const char *name)
{
	int year = 0, number;

	for (int i = 0; i < 7; i++)
		if (i == 4 ? name[i] != '_' : name[i] < '0' || name[i] > '9')
			return -1;
	if (name[7] != '\0')
		return -1;
	for (int i = 0; i < 4; i++)
		year = year * 10 + (name[i] - '0');
	number = (name[5] - '0') * 10 + (name[6] - '0');
	if (year < YEAR_FIRST || year >= YEAR_FIRST + MONTHS_MAX / MONTHS_PER_YEAR || number < 1 ||
	    number > MONTHS_PER_YEAR)
		return -1;
	return (year - YEAR_FIRST) * MONTHS_PER_YEAR + number - 1;
}
