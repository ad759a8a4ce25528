/* random.h: random numbers and the two functions of analysis that generators need, with the same bits on every machine:
 * only additions, multiplications, divisions and conversions, which IEEE 754 rounds exactly. */
#ifndef TW_GENERATORS_RANDOM_H
#define TW_GENERATORS_RANDOM_H

#include <stdint.h>

/* splitmix64: a counter behind a mixer. */
typedef struct tw_random {
    uint64_t state;
} tw_random;

/* The stream of event `index` under `seed`; `purpose` separates streams of one event. */
tw_random tw_random_of(uint64_t seed, uint64_t purpose, uint64_t index);

uint64_t tw_random_next(tw_random *self);
double tw_random_uniform(tw_random *self);                   /* [0, 1) */
uint32_t tw_random_below(tw_random *self, uint32_t limit);   /* [0, limit) */
uint32_t tw_random_popular(tw_random *self, uint32_t limit); /* [0, limit), chance of i about 1 / (i + 1) */
double tw_random_bell(tw_random *self);                      /* mean 0, variance 1, sum of eight uniforms, |x| < 5 */

/* A bell-shaped number that belongs to (seed, a, b) for ever. */
double tw_bell_of(uint64_t seed, uint64_t a, uint64_t b);

/* Not those of src/math: data of a seed stays what it is when those are tuned. */
double tw_generator_exp(double x);     /* e^x within 1e-15, x in [-700, 700] */
double tw_generator_sigmoid(double x); /* 1 / (1 + e^-x) */

#endif
