#include "support/matrix_fixture.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "support/learner_fixture.h"
#include "thalweg/learner.h"

static void grow(void *array, size_t size, size_t *capacity, size_t needed)
{
    assert_int_equal(tw_grow(array, size, capacity, needed, NULL), TW_STATUS_OK);
}

void matrix_begin(matrix_fixture *self, float label, float weight)
{
    uint64_t i = self->n_events++;
    grow(&self->row_start, sizeof *self->row_start, &self->starts_capacity, i + 2);
    grow(&self->label, sizeof *self->label, &self->labels_capacity, i + 1);
    grow(&self->weight, sizeof *self->weight, &self->events_capacity, i + 1);
    self->row_start[i] = self->row_start[i + 1] = self->n_entries;
    self->label[i] = label;
    self->weight[i] = weight;
}

void matrix_add(matrix_fixture *self, uint32_t column, float value)
{
    uint64_t e = self->n_entries++;
    grow(&self->column, sizeof *self->column, &self->columns_capacity, e + 1);
    grow(&self->value, sizeof *self->value, &self->values_capacity, e + 1);
    self->column[e] = column;
    self->value[e] = value;
    self->n_columns = column >= self->n_columns ? column + 1 : self->n_columns;
    self->row_start[self->n_events] = self->n_entries;
}

const tw_matrix *matrix_view(matrix_fixture *self)
{
    self->matrix = (tw_matrix){.n_events = self->n_events,
        .n_entries = self->n_entries,
        .n_columns = self->n_columns,
        .row_start = self->row_start,
        .column = self->column,
        .value = self->value,
        .label = self->label,
        .weight = self->weight};
    return &self->matrix;
}

void matrix_free(matrix_fixture *self)
{
    tw_free(self->row_start);
    tw_free(self->column);
    tw_free(self->value);
    tw_free(self->label);
    tw_free(self->weight);
    memset(self, 0, sizeof *self);
}

void matrix_random(matrix_fixture *self, tw_loss_kind loss, uint32_t n_events, uint32_t n_columns, uint32_t entries)
{
    uint64_t state = 11;
    for (uint32_t i = 0; i < n_events; i++) {
        double score = 0.3;
        matrix_begin(self, 0.0f, (float)(1 + i % 3));
        for (uint32_t e = 0; e < entries; e++) {
            uint32_t column = i == 0 && e == 0 ? n_columns - 1 : (uint32_t)(test_random(&state) % n_columns);
            float value = (float)(2.0 * test_uniform(&state) - 1.0);
            matrix_add(self, column, value);
            score += (double)value * (column % 3 - 1.0);
        }
        double draw = test_uniform(&state);
        if (loss == TW_LOSS_LOGISTIC)
            self->label[i] = draw < 1.0 / (1.0 + exp(-score)) ? 1.0f : 0.0f;
        else if (loss == TW_LOSS_POISSON)
            self->label[i] = (float)floor(exp(score) * 2.0 * draw);
        else
            self->label[i] = (float)(score + draw - 0.5);
    }
}

static gzFile open_data(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/../shared/data/%s", TW_SOURCE_DIR, name);
    gzFile file = gzopen(path, "rb");
    if (file == NULL)
        print_message("SKIPPED: %s is not here\n", path);
    return file;
}

bool matrix_load_libsvm(matrix_fixture *self, const char *name)
{
    static char line[65536];
    gzFile file = open_data(name);
    while (file != NULL && gzgets(file, line, sizeof line) != NULL) {
        char *at = line;
        float label = strtof(at, &at);
        matrix_begin(self, label > 0.0f ? 1.0f : 0.0f, 1.0f);
        for (char *end; *at != '\n' && *at != '\0'; at = end) {
            unsigned long column = strtoul(at, &end, 10);
            if (end == at || *end != ':')
                break;
            matrix_add(self, (uint32_t)column, strtof(end + 1, &end));
        }
    }
    return file != NULL && gzclose(file) == Z_OK;
}

bool matrix_load_csv(matrix_fixture *self, const char *name, unsigned first, unsigned last, unsigned label)
{
    char line[4096];
    gzFile file = open_data(name);
    if (file == NULL || gzgets(file, line, sizeof line) == NULL)
        return false;
    while (gzgets(file, line, sizeof line) != NULL) {
        char *at = line;
        matrix_begin(self, 0.0f, 1.0f);
        for (unsigned i = 0; at != NULL && i <= label; i++) {
            if (i >= first && i <= last)
                matrix_add(self, i - first, strtof(at, NULL));
            else if (i == label)
                self->label[self->n_events - 1] = strtof(at, NULL);
            at = strchr(at, ',');
            at = at == NULL ? NULL : at + 1;
        }
    }
    return gzclose(file) == Z_OK;
}

static void run(
    solver_run *self, const tw_solver_ops *ops, const char *text, const tw_fit_problem *problem, uint64_t failing)
{
    tw_option_values *options = NULL;
    char copy[256], *kept = NULL;
    assert_int_equal(tw_option_values_create(ops->options, &options, &self->error), TW_STATUS_OK);
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &kept); word != NULL; word = strtok_r(NULL, " ", &kept)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value = '\0';
        assert_int_equal(tw_option_set(options, word, value + 1, &self->error), TW_STATUS_OK);
    }
    if (failing > 0)
        tw_fault_arm(TW_FAULT_ALLOC, failing, ENOMEM, false);
    self->status = ops->solve(options, problem, &self->solution, &self->error);
    if (failing > 0)
        tw_fault_disarm(TW_FAULT_ALLOC);
    tw_option_values_destroy(&options);
}

void solver_run_starved(
    solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem, uint64_t nth)
{
    memset(self, 0, sizeof *self);
    self->weight = calloc((size_t)problem->matrix->n_columns + 1, sizeof *self->weight);
    assert_non_null(self->weight);
    self->solution.weight = self->weight;
    run(self, ops, options, problem, nth);
}

void solver_run_open(solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem)
{
    solver_run_starved(self, ops, options, problem, 0);
}

void solver_run_again(solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem)
{
    self->solution.has_start = true;
    run(self, ops, options, problem, 0);
}

void solver_run_close(solver_run *self)
{
    free(self->weight);
    memset(self, 0, sizeof *self);
}

typedef struct scored {
    double score;
    float label;
} scored;

static int compare_scores(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return x < y ? -1 : x > y;
}

double matrix_auc(const tw_matrix *matrix, const tw_fit_solution *solution)
{
    scored *all = calloc(matrix->n_events, sizeof *all);
    double ranks = 0.0, positives = 0.0, n = (double)matrix->n_events;
    assert_non_null(all);
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        all[i] = (scored){solution->bias, matrix->label[i]};
        for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
            all[i].score += (double)matrix->value[e] * solution->weight[matrix->column[e]];
    }
    qsort(all, matrix->n_events, sizeof *all, compare_scores);
    for (uint64_t from = 0, to = 0; from < matrix->n_events; from = to) {
        while (to < matrix->n_events && all[to].score == all[from].score)
            to++;
        for (uint64_t i = from; i < to; i++) {
            positives += all[i].label > 0.5f;
            ranks += all[i].label > 0.5f ? 0.5 * (double)(from + to + 1) : 0.0; /* ties share their mean rank */
        }
    }
    free(all);
    return (ranks - positives * (positives + 1.0) / 2.0) / (positives * (n - positives));
}

static long double score_of(const tw_matrix *matrix, uint64_t i, const double *w, double b)
{
    long double score = (long double)b;
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        score += (long double)matrix->value[e] * (long double)w[matrix->column[e]];
    return score;
}

static long double loss_of(tw_loss_kind loss, long double s, long double y, long double *slope, long double *bend)
{
    if (loss == TW_LOSS_LOGISTIC) {
        long double p = 1.0L / (1.0L + expl(-s));
        *slope = p - y;
        *bend = p * (1.0L - p);
        return y == 0.0L ? log1pl(expl(s)) : log1pl(expl(-s)) + (1.0L - y) * s; /* |s| below 11,000 */
    }
    bool is_poisson = loss == TW_LOSS_POISSON;
    *slope = is_poisson ? expl(s) - y : s - y;
    *bend = is_poisson ? expl(s) : 1.0L;
    return is_poisson ? expl(s) - y * s : (s - y) * (s - y) / 2.0L;
}

double matrix_objective(
    const tw_fit_problem *problem, double l2, double l1, const double *w, double b, double *gradient)
{
    const tw_matrix *matrix = problem->matrix;
    size_t n = matrix->n_columns;
    long double total = 0.0L, *sum = calloc(n + 1, sizeof *sum);
    assert_non_null(sum);
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        long double slope, bend, c = (long double)matrix->weight[i];
        total +=
            c * loss_of(problem->loss.kind, score_of(matrix, i, w, b), (long double)matrix->label[i], &slope, &bend);
        for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
            sum[matrix->column[e]] += c * slope * (long double)matrix->value[e];
        sum[n] += c * slope;
    }
    for (size_t j = 0; j < n; j++) {
        total += (long double)l2 * (long double)w[j] * (long double)w[j] / 2.0L + (long double)(l1 * fabs(w[j]));
        sum[j] += (long double)l2 * (long double)w[j];
    }
    for (size_t j = 0; gradient != NULL && j <= n; j++)
        gradient[j] = (double)sum[j];
    free(sum);
    return (double)total;
}

/* Solves a x = b by Gaussian elimination with row pivots; a [n x n] row-major is spoiled, b becomes x. */
static void eliminate(long double *a, long double *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        size_t best = k;
        for (size_t i = k + 1; i < n; i++)
            best = fabsl(a[i * n + k]) > fabsl(a[best * n + k]) ? i : best;
        for (size_t j = 0; j < n; j++) {
            long double kept = a[k * n + j];
            a[k * n + j] = a[best * n + j];
            a[best * n + j] = kept;
        }
        long double kept = b[k];
        b[k] = b[best];
        b[best] = kept;
        for (size_t i = k + 1; i < n; i++) {
            long double factor = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            b[i] -= factor * b[k];
        }
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t j = k + 1; j < n; j++)
            b[k] -= a[k * n + j] * b[j];
        b[k] /= a[k * n + k];
    }
}

static void add_event(const tw_fit_problem *problem, uint64_t i, const double *x, long double *h, long double *g)
{
    const tw_matrix *matrix = problem->matrix;
    size_t n = (size_t)matrix->n_columns + problem->has_bias;
    long double slope, bend, *row = calloc(n + 1, sizeof *row), c = (long double)matrix->weight[i];
    assert_non_null(row);
    double b = problem->has_bias ? x[n - 1] : 0.0;
    (void)loss_of(problem->loss.kind, score_of(matrix, i, x, b), (long double)matrix->label[i], &slope, &bend);
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        row[matrix->column[e]] += (long double)matrix->value[e];
    if (problem->has_bias)
        row[n - 1] = 1.0L;
    for (size_t j = 0; j < n; j++) {
        g[j] += c * slope * row[j];
        for (size_t k = 0; k < n; k++)
            h[j * n + k] += c * bend * row[j] * row[k];
    }
    free(row);
}

void matrix_newton(const tw_fit_problem *problem, double l2, double *x)
{
    size_t columns = problem->matrix->n_columns, n = columns + problem->has_bias;
    bool is_bounded = problem->loss.kind != TW_LOSS_SQUARED; /* no coordinate moves by more than 1 */
    memset(x, 0, (columns + 1) * sizeof *x);
    for (int step = 0; step < 50; step++) {
        long double *h = calloc(n * n, sizeof *h), *g = calloc(n, sizeof *g), largest = 0.0L;
        assert_true(h != NULL && g != NULL);
        for (uint64_t i = 0; i < problem->matrix->n_events; i++)
            add_event(problem, i, x, h, g);
        for (size_t j = 0; j < columns; j++) {
            g[j] += (long double)l2 * (long double)x[j];
            h[j * n + j] += (long double)l2;
        }
        eliminate(h, g, n);
        for (size_t j = 0; j < n; j++)
            largest = fabsl(g[j]) > largest ? fabsl(g[j]) : largest;
        for (size_t j = 0; j < n; j++)
            x[j] -= (double)(g[j] / (is_bounded && largest > 1.0L ? largest : 1.0L));
        free(h);
        free(g);
    }
}

void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1.0 + fabs(want))))
        fail_msg("got %.15g, wanted %.15g", got, want);
}
