/* gen_ctr: a click stream shaped like Criteo's, with a planted sparse logistic model: 13 numbers, 26 categories.
 *
 * Usage: gen_ctr OUTDIR [N_TRAIN=2000000] [N_TEST=200000] [SEED=42] [DRIFT=0]
 * Writes OUTDIR/{train,test}.{vw,svm,tsv} and OUTDIR/test.oracle (the true probability of each test line), the same
 * events in the same order in all formats: vw   "1 |i 1:1.099 4:3.045 |c 68fd1e64 80e26c9b ..."  label 1 or -1; numbers
 * as ln(1 + x) with 3 decimals svm  "1 1:1.099 4:3.045 20391:1 ..."                  label 1 or 0; categories hashed to
 * 14 .. 2^22, ascending tsv  "1<TAB>2<TAB>...<TAB>68fd1e64..."                 label, 13 whole numbers, 26 categories;
 * blank = missing DRIFT=1 draws a tenth of the category weights anew every 500,000 events. Prints positives and the
 * logloss of the planted model. The same seed gives the same events on one machine; exp, log and cos are the system's.
 *
 * One event: number f is ln(1 + x) ~ normal(mu_f, sd_f), category f is Zipf over its ids, 35% of the ids carry a
 * weight; P(y = 1) = sigmoid(bias + scale * sum), with bias and scale set so that mean P = 0.25 and mean entropy =
 * 0.45. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_NUMBERS = 13, N_CATEGORIES = 26, N_CALIBRATION = 200000, CALIBRATION_STEP = 4, DRIFT_EVERY = 500000 };
enum { FORMAT_VW, FORMAT_SVM, FORMAT_TSV, N_FORMATS };
static const uint32_t SVM_SPACE = 1u << 22;

typedef struct number {
    double mean, deviation, missing, weight;
} number;

typedef struct category {
    uint32_t size;
    uint32_t *alias;
    float *keep;
    double missing, deviation;
} category;

typedef struct model {
    uint64_t random[4]; /* xoshiro256** */
    uint64_t seed;
    bool is_drifting;
    number numbers[N_NUMBERS];
    category categories[N_CATEGORIES];
    double bias, scale;
} model;

typedef struct event {
    int64_t number[N_NUMBERS], category[N_CATEGORIES]; /* -1: missing */
    double score;
} event;

typedef struct line {
    char text[1024];
    size_t size;
} line;

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t draw_word(model *self)
{
    uint64_t *s = self->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static double draw_uniform(model *self)
{
    return (double)(draw_word(self) >> 11) * 0x1.0p-53;
}

static double normal_of(uint64_t a, uint64_t b)
{
    double u = (double)((a >> 11) + 1) * 0x1.0p-53, v = (double)(b >> 11) * 0x1.0p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static double draw_normal(model *self)
{
    uint64_t a = draw_word(self);
    return normal_of(a, draw_word(self));
}

static void *need(size_t size)
{
    void *memory = malloc(size);
    if (!memory) {
        fprintf(stderr, "gen_ctr: no memory for %zu bytes\n", size);
        exit(1);
    }
    return memory;
}

/* Walker's alias table of Zipf's law with this exponent. */
static void category_fill(category *self, double exponent)
{
    uint32_t n = self->size, n_small = 0, n_large = 0;
    double *weight = need(n * sizeof *weight), total = 0;
    uint32_t *small = need(n * sizeof *small), *large = need(n * sizeof *large);
    self->alias = need(n * sizeof *self->alias);
    self->keep = need(n * sizeof *self->keep);
    for (uint32_t i = 0; i < n; i++) {
        weight[i] = pow(i + 1.0, -exponent);
        total += weight[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        weight[i] *= n / total;
        if (weight[i] < 1) {
            small[n_small++] = i;
        } else {
            large[n_large++] = i;
        }
    }
    while (n_small && n_large) {
        uint32_t a = small[--n_small], b = large[n_large - 1];
        self->keep[a] = (float)weight[a];
        self->alias[a] = b;
        weight[b] -= 1 - weight[a];
        if (weight[b] < 1) {
            n_large--;
            small[n_small++] = b;
        }
    }
    while (n_large + n_small) {
        uint32_t i = n_large ? large[--n_large] : small[--n_small];
        self->keep[i] = 1;
        self->alias[i] = i;
    }
    free(weight);
    free(small);
    free(large);
}

static double category_weight(const model *self, uint64_t field, uint64_t id, uint64_t epoch)
{
    uint64_t h = mix(self->seed ^ (field + 1) << 40 ^ id);
    if (self->is_drifting && epoch && (h >> 32) % 10 == epoch % 10) {
        h = mix(h ^ epoch);
    }
    return (h & 1023) >= 360 ? 0 : self->categories[field].deviation * normal_of(mix(h ^ 1), mix(h ^ 2));
}

static void draw_event(model *self, event *out, uint64_t epoch)
{
    double sum = 0;
    for (int f = 0; f < N_NUMBERS; f++) {
        const number *column = &self->numbers[f];
        out->number[f] = -1;
        if (draw_uniform(self) >= column->missing) {
            double x = fmin(floor(exp(column->mean + column->deviation * draw_normal(self))), 2e6);
            out->number[f] = (int64_t)x;
            sum += column->weight * (log1p(x) - column->mean) / (column->deviation + 0.5);
        }
    }
    for (int f = 0; f < N_CATEGORIES; f++) {
        const category *column = &self->categories[f];
        out->category[f] = -1;
        if (draw_uniform(self) >= column->missing) {
            uint32_t k = (uint32_t)(draw_uniform(self) * column->size);
            uint32_t id = draw_uniform(self) < (double)column->keep[k] ? k : column->alias[k];
            out->category[f] = id;
            sum += category_weight(self, (uint64_t)f, id, epoch);
        }
    }
    out->score = sum;
}

static void model_plant(model *self, uint64_t seed)
{
    self->seed = mix(seed ^ 0x5eed);
    for (uint64_t i = 0; i < 4; i++) {
        self->random[i] = mix(seed * 4 + i);
    }
    for (int f = 0; f < N_NUMBERS; f++) {
        number *column = &self->numbers[f];
        column->mean = 0.3 + 5.0 * draw_uniform(self);
        column->deviation = 0.7 + 1.3 * draw_uniform(self);
        column->missing = draw_uniform(self) < 0.5 ? 0 : 0.45 * draw_uniform(self);
        column->weight = f % 3 == 2 ? 0 : 0.35 * draw_normal(self);
    }
    for (int f = 0; f < N_CATEGORIES; f++) {
        category *column = &self->categories[f];
        int rank = (f * 7 + 3) % N_CATEGORIES; /* sizes 10 .. 10^6, log-spaced, shuffled over the fields */
        column->size = (uint32_t)(pow(10, 1 + 5.0 * rank / (N_CATEGORIES - 1)) + 0.5);
        column->missing = draw_uniform(self) < 0.6 ? 0 : 0.4 * draw_uniform(self);
        column->deviation = rank < 18 ? 1.0 : 0.6;
        category_fill(column, 1.0 + 0.25 * draw_uniform(self));
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Bisects the bias for mean P = 0.25; returns the mean entropy that the scale then gives. */
static double calibrate_bias(model *self, const double *score)
{
    double low = -200, high = 200, entropy = 0;
    for (int turn = 0; turn < 50; turn++) {
        double mean = 0;
        self->bias = (low + high) / 2;
        for (int i = 0; i < N_CALIBRATION; i += CALIBRATION_STEP) {
            mean += sigmoid(self->bias + self->scale * score[i]);
        }
        if (mean * CALIBRATION_STEP / N_CALIBRATION > 0.25) {
            high = self->bias;
        } else {
            low = self->bias;
        }
    }
    for (int i = 0; i < N_CALIBRATION; i += CALIBRATION_STEP) {
        double p = sigmoid(self->bias + self->scale * score[i]);
        entropy -= p > 1e-12 && p < 1 - 1e-12 ? p * log(p) + (1 - p) * log(1 - p) : 0;
    }
    return entropy * CALIBRATION_STEP / N_CALIBRATION;
}

static void model_calibrate(model *self)
{
    double *score = need(N_CALIBRATION * sizeof *score), low = 0.01, high = 20;
    uint64_t random[4];
    event sample;
    memcpy(random, self->random, sizeof random);
    for (int i = 0; i < N_CALIBRATION; i++) {
        draw_event(self, &sample, 0);
        score[i] = sample.score;
    }
    memcpy(self->random, random, sizeof random);
    for (int turn = 0; turn < 50; turn++) {
        self->scale = (low + high) / 2;
        if (calibrate_bias(self, score) > 0.45) {
            low = self->scale;
        } else {
            high = self->scale;
        }
    }
    free(score);
}

static void add_char(line *self, char c)
{
    self->text[self->size++] = c;
}

static void add_text(line *self, const char *text)
{
    size_t size = strlen(text);
    memcpy(self->text + self->size, text, size);
    self->size += size;
}

static void add_number(line *self, uint32_t value)
{
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
    } while (value /= 10);
    while (n) {
        add_char(self, digits[--n]);
    }
}

/* x >= 0 with up to three decimals, without trailing zeros. */
static void add_milli(line *self, double x)
{
    uint32_t value = (uint32_t)(x * 1000 + 0.5);
    add_number(self, value / 1000);
    if (value % 1000) {
        add_char(self, '.');
        add_char(self, (char)('0' + value / 100 % 10));
        add_char(self, (char)('0' + value / 10 % 10));
        add_char(self, (char)('0' + value % 10));
        while (self->text[self->size - 1] == '0') {
            self->size--;
        }
    }
}

static void add_hex(line *self, uint32_t value)
{
    for (int i = 7; i >= 0; i--) {
        add_char(self, "0123456789abcdef"[value >> (4 * i) & 15]);
    }
}

static void write_numbers(const event *from, line *out)
{
    for (uint32_t f = 0; f < N_NUMBERS; f++) {
        add_char(&out[FORMAT_TSV], '\t');
        if (from->number[f] < 0) {
            continue;
        }
        double x = log1p((double)from->number[f]);
        add_number(&out[FORMAT_TSV], (uint32_t)from->number[f]);
        for (int format = FORMAT_VW; format <= FORMAT_SVM; format++) {
            add_char(&out[format], ' ');
            add_number(&out[format], f + 1);
            add_char(&out[format], ':');
            add_milli(&out[format], x);
        }
    }
}

static void write_categories(const event *from, line *out)
{
    uint32_t index[N_CATEGORIES] = {0};
    int n = 0;
    for (uint64_t f = 0; f < N_CATEGORIES; f++) {
        add_char(&out[FORMAT_TSV], '\t');
        if (from->category[f] < 0) {
            continue;
        }
        uint32_t token = (uint32_t)mix(0xC0FFEEull ^ (f + 1) << 40 ^ (uint64_t)from->category[f]);
        add_hex(&out[FORMAT_TSV], token);
        add_char(&out[FORMAT_VW], ' ');
        add_hex(&out[FORMAT_VW], token);
        uint32_t hashed = N_NUMBERS + 1 + (uint32_t)(mix(token) % (SVM_SPACE - N_NUMBERS));
        int at = n++;
        for (; at && index[at - 1] > hashed; at--) {
            index[at] = index[at - 1];
        }
        index[at] = hashed;
    }
    for (int i = 0; i < n; i++) {
        if (i == 0 || index[i] != index[i - 1]) {
            add_char(&out[FORMAT_SVM], ' ');
            add_number(&out[FORMAT_SVM], index[i]);
            add_text(&out[FORMAT_SVM], ":1");
        }
    }
}

static void write_event(const event *from, bool is_positive, FILE *const file[N_FORMATS])
{
    line out[N_FORMATS];
    for (int format = 0; format < N_FORMATS; format++) {
        out[format].size = 0;
    }
    add_text(&out[FORMAT_VW], is_positive ? "1 |i" : "-1 |i");
    add_char(&out[FORMAT_SVM], is_positive ? '1' : '0');
    add_char(&out[FORMAT_TSV], is_positive ? '1' : '0');
    write_numbers(from, out);
    add_text(&out[FORMAT_VW], " |c");
    write_categories(from, out);
    for (int format = 0; format < N_FORMATS; format++) {
        add_char(&out[format], '\n');
        fwrite(out[format].text, 1, out[format].size, file[format]);
    }
}

static FILE *open_output(const char *folder, const char *part, const char *extension)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, part, extension);
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void close_output(FILE *file)
{
    if (fclose(file)) {
        perror("gen_ctr: write");
        exit(1);
    }
}

/* Writes n events of a part, "train" or "test"; `first` counts the events before it. */
static void write_part(model *self, const char *folder, const char *part, uint64_t n, uint64_t first)
{
    static const char *const EXTENSION[N_FORMATS] = {"vw", "svm", "tsv"};
    bool is_test = strcmp(part, "test") == 0;
    FILE *file[N_FORMATS], *oracle = is_test ? open_output(folder, part, "oracle") : NULL;
    uint64_t n_positive = 0;
    double loss = 0;
    for (int format = 0; format < N_FORMATS; format++) {
        file[format] = open_output(folder, part, EXTENSION[format]);
    }
    for (uint64_t i = 0; i < n; i++) {
        event drawn;
        draw_event(self, &drawn, self->is_drifting ? (first + i) / DRIFT_EVERY : 0);
        double p = sigmoid(self->bias + self->scale * drawn.score);
        bool is_positive = draw_uniform(self) < p;
        n_positive += is_positive;
        loss -= log(is_positive ? p : 1 - p);
        write_event(&drawn, is_positive, file);
        if (oracle) {
            fprintf(oracle, "%.6f\n", p);
        }
    }
    for (int format = 0; format < N_FORMATS; format++) {
        close_output(file[format]);
    }
    if (oracle) {
        close_output(oracle);
    }
    printf("%s: %" PRIu64 " events, positives %.4f, logloss of the planted model %.5f\n", part, n,
        (double)n_positive / (double)n, loss / (double)n);
}

static uint64_t argument(int argc, char **argv, int index, uint64_t fallback)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    static model planted;
    if (argc < 2) {
        fprintf(stderr, "usage: gen_ctr OUTDIR [N_TRAIN] [N_TEST] [SEED] [DRIFT]\n");
        return 64;
    }
    uint64_t n_train = argument(argc, argv, 2, 2000000), n_test = argument(argc, argv, 3, 200000);
    planted.is_drifting = argument(argc, argv, 5, 0) != 0;
    model_plant(&planted, argument(argc, argv, 4, 42));
    model_calibrate(&planted);
    write_part(&planted, argv[1], "train", n_train, 0);
    write_part(&planted, argv[1], "test", n_test, n_train);
    return 0;
}
