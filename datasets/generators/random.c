#include "generators/random.h"

#include "base/hash.h"

tw_random tw_random_of(uint64_t seed, uint64_t purpose, uint64_t index)
{
    return (tw_random){tw_mix64(tw_mix64(seed + 0x9e3779b97f4a7c15ull) + purpose) + tw_mix64(index)};
}

uint64_t tw_random_next(tw_random *self)
{
    self->state += 0x9e3779b97f4a7c15ull;
    return tw_mix64(self->state);
}

double tw_random_uniform(tw_random *self)
{
    return (double)(tw_random_next(self) >> 11) * 0x1.0p-53;
}

uint32_t tw_random_below(tw_random *self, uint32_t limit)
{
    return (uint32_t)(tw_random_uniform(self) * limit);
}

uint32_t tw_random_popular(tw_random *self, uint32_t limit)
{
    /* (limit + 1)^u is log-uniform on [1, limit + 1): its density falls as 1 / x. 2^(u * bits) gives it without a
     * logarithm when limit + 1 is replaced by the power of two above it and what lies beyond is drawn again. */
    double bits = 1;
    while (bits < 31 && (double)(1ull << (unsigned)bits) < (double)limit + 1) {
        bits += 1;
    }
    for (;;) {
        double x = tw_generator_exp(tw_random_uniform(self) * bits * 0.6931471805599453);
        if (x < (double)limit + 1) {
            return (uint32_t)x - 1 < limit ? (uint32_t)x - 1 : limit - 1;
        }
    }
}

/* Eight 16-bit pieces of two words: their sum has mean 8 * 32767.5 and variance 8 * 65536^2 / 12. */
static double bell_of_words(uint64_t a, uint64_t b)
{
    int64_t sum = 0;
    for (unsigned shift = 0; shift < 64; shift += 16) {
        sum += (int64_t)((a >> shift) & 0xffff) + (int64_t)((b >> shift) & 0xffff);
    }
    return ((double)sum - 262140.0) * (1.0 / 65536.0) * 1.2247448713915890;
}

double tw_random_bell(tw_random *self)
{
    uint64_t a = tw_random_next(self);
    return bell_of_words(a, tw_random_next(self));
}

double tw_bell_of(uint64_t seed, uint64_t a, uint64_t b)
{
    tw_random stream = tw_random_of(seed, a, b);
    return tw_random_bell(&stream);
}

/* e^x = 2^k e^r with r = x - k ln 2 in [-0.35, 0.35]; e^r by its series to r^13 / 13!, in Horner's form. */
double tw_generator_exp(double x)
{
    int k = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = x - k * 6.93147180369123816490e-01;
    r -= k * 1.90821492927058770002e-10;
    double sum = 1;
    for (int n = 13; n > 0; n--) {
        sum = 1 + sum * r / n;
    }
    double scale = k < 0 ? 0.5 : 2.0;
    for (unsigned n = (unsigned)(k < 0 ? -k : k); n > 0; n >>= 1) {
        sum *= (n & 1) ? scale : 1.0;
        scale *= scale;
    }
    return sum;
}

double tw_generator_sigmoid(double x)
{
    double limited = x > 700 ? 700 : x < -700 ? -700 : x;
    return 1 / (1 + tw_generator_exp(-limited));
}
