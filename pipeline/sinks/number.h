/* number.h: doubles as text, without a locale. */
#ifndef TW_SINKS_NUMBER_H
#define TW_SINKS_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum { TW_NUMBER_SIZE = 32 };

/* What printf("%.9g") writes in the C locale, without a terminator; returns the bytes, less than TW_NUMBER_SIZE. */
size_t tw_number_format(double value, char text[TW_NUMBER_SIZE]);

/* Decimal, at most 20 bytes, without a terminator. */
size_t tw_number_format_u64(uint64_t value, char *text);
size_t tw_number_format_i64(int64_t value, char *text);

#endif
