#include "math/adwin.h"

#include <math.h>
#include <string.h>

#include "math/function.h"

void tw_adwin_init(tw_adwin *self, double delta)
{
    memset(self, 0, sizeof *self);
    self->delta = delta;
    self->n_levels = 1;
}

/* Squared differences from the common mean that joining two groups adds to their own. */
static double between(double n0, double total0, double n1, double total1)
{
    double difference = total0 / n0 - total1 / n1;
    return n0 * n1 * difference * difference / (n0 + n1);
}

static tw_adwin_bucket merged(const tw_adwin_bucket *a, const tw_adwin_bucket *b, double size)
{
    return (tw_adwin_bucket){
        .total = a->total + b->total,
        .scatter = a->scatter + b->scatter + between(size, a->total, size, b->total),
        .low = a->low < b->low ? a->low : b->low,
        .high = a->high > b->high ? a->high : b->high,
    };
}

static void remove_first(tw_adwin *self, uint32_t level, uint32_t n)
{
    self->n_buckets[level] -= n;
    memmove(self->bucket[level], self->bucket[level] + n, self->n_buckets[level] * sizeof(tw_adwin_bucket));
}

static void drop_oldest(tw_adwin *self)
{
    uint32_t level = self->n_levels - 1;
    tw_adwin_bucket oldest = self->bucket[level][0];
    uint64_t size = 1ull << level;
    self->n -= size;
    self->total -= oldest.total;
    if (self->n == 0)
        self->total = self->scatter = 0;
    else
        self->scatter -= oldest.scatter + between((double)size, oldest.total, (double)self->n, self->total);
    if (self->scatter < 0)
        self->scatter = 0;
    remove_first(self, level, 1);
    while (self->n_levels > 1 && self->n_buckets[self->n_levels - 1] == 0)
        self->n_levels--;
}

/* Where there are too many buckets of a size, the two oldest of them become one of the next size. */
static void compress(tw_adwin *self)
{
    for (uint32_t level = 0; level < self->n_levels && self->n_buckets[level] > TW_ADWIN_PER_LEVEL; level++) {
        if (level + 1 == TW_ADWIN_LEVELS) {
            drop_oldest(self);
            return;
        }
        if (level + 1 == self->n_levels)
            self->n_buckets[self->n_levels++] = 0;
        const tw_adwin_bucket *oldest = self->bucket[level];
        self->bucket[level + 1][self->n_buckets[level + 1]++] =
            merged(&oldest[0], &oldest[1], tw_power_of_two((int)level));
        remove_first(self, level, 2);
    }
}

static void insert(tw_adwin *self, double value)
{
    self->bucket[0][self->n_buckets[0]++] = (tw_adwin_bucket){.total = value, .low = value, .high = value};
    if (self->n > 0)
        self->scatter += between(1.0, value, (double)self->n, self->total);
    self->n++;
    self->total += value;
    compress(self);
}

static double window_range(const tw_adwin *self)
{
    double low = (double)INFINITY, high = -(double)INFINITY;
    for (uint32_t level = 0; level < self->n_levels; level++) {
        for (uint32_t i = 0; i < self->n_buckets[level]; i++) {
            const tw_adwin_bucket *bucket = &self->bucket[level][i];
            low = bucket->low < low ? bucket->low : low;
            high = bucket->high > high ? bucket->high : high;
        }
    }
    return high - low;
}

/* Whether some cut, tried from the oldest border to the newest, tells two different means. */
static bool has_cut(const tw_adwin *self)
{
    double n = (double)self->n, variance = self->scatter / n, range = window_range(self);
    double d = tw_log(2 * tw_log(n) / self->delta);
    uint64_t n0 = 0;
    double total0 = 0;
    for (uint32_t level = self->n_levels; level-- > 0;) {
        for (uint32_t i = 0; i < self->n_buckets[level]; i++) {
            n0 += 1ull << level;
            total0 += self->bucket[level][i].total;
            uint64_t n1 = self->n - n0;
            if (n0 < TW_ADWIN_MIN_PART || n1 < TW_ADWIN_MIN_PART)
                continue;
            double m = 1.0 / (double)(n0 - TW_ADWIN_MIN_PART + 1) + 1.0 / (double)(n1 - TW_ADWIN_MIN_PART + 1);
            double bound = sqrt(2 * m * variance * d) + 2.0 / 3 * d * m * range;
            if (fabs(total0 / (double)n0 - (self->total - total0) / (double)n1) > bound)
                return true;
        }
    }
    return false;
}

bool tw_adwin_add(tw_adwin *self, double value)
{
    bool has_changed = false;
    insert(self, value);
    self->n_seen++;
    if (self->n_seen % TW_ADWIN_CLOCK != 0)
        return false;
    while (self->n > TW_ADWIN_MIN_WINDOW && has_cut(self)) {
        drop_oldest(self);
        has_changed = true;
    }
    return has_changed;
}

bool tw_adwin_is_valid(const tw_adwin *self)
{
    if (!(self->delta > 0 && self->delta < 1) || self->n_levels < 1 || self->n_levels > TW_ADWIN_LEVELS ||
        self->n > self->n_seen || !isfinite(self->total) || !(self->scatter >= 0))
        return false;
    uint64_t n = 0;
    for (uint32_t level = 0; level < self->n_levels; level++) {
        if (self->n_buckets[level] > TW_ADWIN_PER_LEVEL)
            return false;
        n += (uint64_t)self->n_buckets[level] << level;
        for (uint32_t i = 0; i < self->n_buckets[level]; i++) {
            if (!isfinite(self->bucket[level][i].total) || !isfinite(self->bucket[level][i].scatter))
                return false;
        }
    }
    return n == self->n && (self->n_levels == 1 || self->n_buckets[self->n_levels - 1] > 0);
}
