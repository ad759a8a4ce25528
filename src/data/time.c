/* Event times. */
#include <math.h>

#include "data/feature.h"
#include "data/number.h"

static const int64_t second_us = 1000000;
static const int64_t day_s = 86400;

typedef struct time_reader {
    const char *at, *end;
} time_reader;

/* Exactly `n_digits` digits. */
static bool read_digits(time_reader *self, int n_digits, int64_t *value)
{
    if (self->end - self->at < n_digits)
        return false;
    *value = 0;
    for (int i = 0; i < n_digits; i++) {
        unsigned digit = (unsigned)(unsigned char)*self->at++ - '0';
        if (digit > 9)
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

static bool read_char(time_reader *self, char wanted)
{
    if (self->at == self->end || *self->at != wanted)
        return false;
    self->at++;
    return true;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that leap days come last. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted = month > 2 ? year : year - 1, month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719468;
}

static bool read_date(time_reader *self, int64_t *days)
{
    int64_t year = 0, month = 0, day = 0;
    if (!read_digits(self, 4, &year) || !read_char(self, '-') || !read_digits(self, 2, &month) ||
        !read_char(self, '-') || !read_digits(self, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_since_epoch(year, month, day);
    return true;
}

/* Digits behind the first six are below a microsecond and cut off. */
static bool read_fraction(time_reader *self, int64_t *fraction_us)
{
    int64_t unit = second_us / 10;
    const char *first = self->at;
    for (*fraction_us = 0; self->at < self->end && (unsigned char)(*self->at - '0') <= 9; self->at++) {
        *fraction_us += unit * (*self->at - '0');
        unit /= 10;
    }
    return self->at > first;
}

static bool read_clock(time_reader *self, int64_t *time_us)
{
    int64_t hour = 0, minute = 0, second = 0, fraction_us = 0;
    if (!read_digits(self, 2, &hour) || !read_char(self, ':') || !read_digits(self, 2, &minute))
        return false;
    if (read_char(self, ':') && !read_digits(self, 2, &second))
        return false;
    if (read_char(self, '.') && !read_fraction(self, &fraction_us))
        return false;
    /* A leap second is the first of the next minute. */
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *time_us = (hour * 3600 + minute * 60 + second) * second_us + fraction_us;
    return true;
}

static bool read_zone(time_reader *self, int64_t *offset_us)
{
    *offset_us = 0;
    if (self->at == self->end || read_char(self, 'Z') || read_char(self, 'z'))
        return true;
    bool is_west = *self->at == '-';
    int64_t hours = 0, minutes = 0;
    if ((!is_west && *self->at != '+') || (self->at++, !read_digits(self, 2, &hours)))
        return false;
    (void)read_char(self, ':');
    if (self->at < self->end && !read_digits(self, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *offset_us = (hours * 3600 + minutes * 60) * second_us * (is_west ? -1 : 1);
    return true;
}

static bool time_parse_iso(const char *text, size_t size, int64_t *time_us)
{
    time_reader reader = {text, text + size};
    int64_t days = 0, clock_us = 0, zone_us = 0;
    if (!read_date(&reader, &days))
        return false;
    if (read_char(&reader, 'T') || read_char(&reader, 't') || read_char(&reader, ' ')) {
        if (!read_clock(&reader, &clock_us) || !read_zone(&reader, &zone_us))
            return false;
    }
    *time_us = days * day_s * second_us + clock_us - zone_us;
    return reader.at == reader.end;
}

static int64_t unit_us(tw_time_unit unit)
{
    return unit == TW_TIME_S ? second_us : unit == TW_TIME_MS ? 1000 : 1;
}

bool tw_time_from_number(double value, tw_time_unit unit, int64_t *time_us)
{
    double scaled = floor(value * (double)unit_us(unit) + 0.5);
    if (unit == TW_TIME_ISO8601 || !(fabs(scaled) < 9.2e18))
        return false;
    *time_us = (int64_t)scaled;
    return true;
}

bool tw_time_parse(const char *text, size_t size, tw_time_unit unit, int64_t *time_us)
{
    if (unit == TW_TIME_ISO8601)
        return time_parse_iso(text, size, time_us);
    int64_t whole = 0, factor = unit_us(unit);
    if (tw_number_parse_i64(text, size, &whole)) {
        if (whole > INT64_MAX / factor || whole < -(INT64_MAX / factor))
            return false;
        *time_us = whole * factor;
        return true;
    }
    double value = 0;
    return tw_number_parse(text, size, &value) == TW_NUMBER_FINITE && tw_time_from_number(value, unit, time_us);
}
