#include "support/points.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

static void *need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static bool load_text(gzFile file, points *out, uint32_t width)
{
    char line[256];
    uint32_t capacity = 0;
    out->width = width;
    while (gzgets(file, line, sizeof line)) {
        char *at = line, *end = line;
        if (out->n == capacity) {
            capacity = capacity * 2 + 1024;
            out->x = need(realloc(out->x, (size_t)capacity * width * sizeof(float)));
        }
        float *row = out->x + (size_t)out->n * width;
        uint32_t d = 0;
        for (; d < width; d++) {
            row[d] = strtof(at, &end);
            if (end == at)
                break;
            at = end + (*end == ',');
        }
        out->n += d == width;
    }
    return out->n > 0;
}

static bool load_images(gzFile file, points *out)
{
    enum { IMAGES = 10000, WIDTH = 784, HEAD = 16 };
    unsigned char *bytes = need(malloc((size_t)IMAGES * WIDTH));
    bool is_good = gzread(file, bytes, HEAD) == HEAD && gzread(file, bytes, IMAGES * WIDTH) == IMAGES * WIDTH;
    if (is_good) {
        *out = (points){IMAGES, WIDTH, need(malloc((size_t)IMAGES * WIDTH * sizeof(float)))};
        for (size_t i = 0; i < (size_t)IMAGES * WIDTH; i++)
            out->x[i] = (float)bytes[i];
    }
    free(bytes);
    return is_good;
}

bool points_load(const char *folder, const char *set, points *out)
{
    static const struct {
        const char *name, *path;
        uint32_t width; /* 0: images */
    } sets[] = {
        {"birch_rg1", "birch_rg1/birch-rg1.csv.gz", 2},
        {"s1", "s_sets/sset1.csv.gz", 2},
        {"s2", "s_sets/sset2.csv.gz", 2},
        {"mnist_t10k", "mnist_t10k/t10k-images-idx3-ubyte.gz", 0},
        {"interchanging_rbf", "interchanging_rbf/interchanging_rbf.csv.gz", 3},
    };
    *out = (points){0};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char path[4096];
        if (strcmp(sets[i].name, set) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, sets[i].path);
        gzFile file = gzopen(path, "rb");
        if (file == NULL)
            return false;
        bool is_good = sets[i].width > 0 ? load_text(file, out, sets[i].width) : load_images(file, out);
        (void)gzclose(file);
        return is_good;
    }
    return false;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = (*state += 0x9e3779b97f4a7c15ull);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

void points_shuffle(points *self, uint64_t seed)
{
    size_t size = self->width * sizeof(float);
    float *spare = need(malloc(size));
    uint64_t state = seed;
    for (uint32_t i = self->n - 1; i > 0; i--) {
        float *a = self->x + (size_t)i * self->width;
        float *b = self->x + (size_t)(next_random(&state) % (i + 1)) * self->width;
        memcpy(spare, a, size);
        memmove(a, b, size);
        memcpy(b, spare, size);
    }
    free(spare);
}

double points_inertia(const points *self, const double *centre, uint32_t k)
{
    double total = 0.0;
    for (uint32_t i = 0; i < self->n; i++) {
        double least = INFINITY;
        for (uint32_t j = 0; j < k; j++) {
            double sum = 0.0;
            for (uint32_t d = 0; d < self->width && sum < least; d++) {
                double difference = (double)self->x[(size_t)i * self->width + d] - centre[(size_t)j * self->width + d];
                sum += difference * difference;
            }
            least = sum < least ? sum : least;
        }
        total += least;
    }
    return total;
}

void points_free(points *self)
{
    free(self->x);
    *self = (points){0};
}
