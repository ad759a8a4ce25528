#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/blas.h"
#include "math/gram.h"
#include "math/linear_objective.h"
#include "support/learner_fixture.h"
#include "support/matrix_fixture.h"

static const tw_loss_kind losses[] = {TW_LOSS_LOGISTIC, TW_LOSS_SQUARED, TW_LOSS_POISSON};
enum { N_LOSSES = 3, N_COLUMNS = 6, N = N_COLUMNS + 1, N_EVENTS = 150 };

static const double L2 = 0.3, STEP = 1e-5;

typedef struct fixture {
    matrix_fixture data;
    tw_fit_problem problem;
    tw_linear_objective objective;
    double x[N], gradient[N];
} fixture;

static void fixture_open(fixture *self, tw_loss_kind loss)
{
    uint64_t state = 5;
    memset(self, 0, sizeof *self);
    matrix_random(&self->data, loss, N_EVENTS, N_COLUMNS, 4);
    self->problem = (tw_fit_problem){.matrix = matrix_view(&self->data), .loss = {.kind = loss}, .has_bias = true};
    assert_int_equal(tw_linear_objective_init(&self->objective, &self->problem, L2, "test", NULL), TW_STATUS_OK);
    for (int j = 0; j < N; j++)
        self->x[j] = 2.0 * test_uniform(&state) - 1.0;
}

static void fixture_close(fixture *self)
{
    tw_linear_objective_fini(&self->objective);
    matrix_free(&self->data);
}

static double evaluate_beside(fixture *self, int j, double distance, double *gradient)
{
    double beside[N];
    memcpy(beside, self->x, sizeof beside);
    beside[j] += distance;
    return tw_linear_objective_evaluate(&self->objective, beside, gradient);
}

static void the_value_and_gradient_equal_the_slow_sums(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOSSES; i++) {
        fixture fixture;
        double want[N];
        fixture_open(&fixture, losses[i]);
        double value = tw_linear_objective_evaluate(&fixture.objective, fixture.x, fixture.gradient);
        double slow = matrix_objective(&fixture.problem, L2, 0.0, fixture.x, fixture.x[N_COLUMNS], want);
        assert_true(fabs(value / slow - 1.0) < 1e-14);
        for (int j = 0; j < N; j++)
            assert_true(fabs(fixture.gradient[j] - want[j]) < 1e-12 * (1.0 + fabs(want[j])));
        fixture_close(&fixture);
    }
}

static void the_gradient_is_the_difference_quotient_of_the_value(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOSSES; i++) {
        fixture fixture;
        double ignored[N];
        fixture_open(&fixture, losses[i]);
        (void)tw_linear_objective_evaluate(&fixture.objective, fixture.x, fixture.gradient);
        for (int j = 0; j < N; j++) {
            double above = evaluate_beside(&fixture, j, STEP, ignored);
            double quotient = (above - evaluate_beside(&fixture, j, -STEP, ignored)) / (2.0 * STEP);
            assert_true(fabs(quotient - fixture.gradient[j]) < 1e-5 * (1.0 + fabs(quotient)));
        }
        fixture_close(&fixture);
    }
}

static void logistic_losses_of_sure_scores_and_of_labels_between_keep_their_digits(void **state)
{
    static const float labels[] = {0.0f, 1.0f, 0.25f};
    (void)state;
    for (double s = -60.0; s <= 60.0; s += 7.5) {
        for (int i = 0; i < 3; i++) {
            matrix_fixture data = {0};
            tw_linear_objective objective;
            double gradient, want, bias = s;
            matrix_begin(&data, labels[i], 1.0f);
            const tw_fit_problem problem = {
                .matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
            assert_int_equal(tw_linear_objective_init(&objective, &problem, 0.0, "test", NULL), TW_STATUS_OK);
            double value = tw_linear_objective_evaluate(&objective, &bias, &gradient);
            double slow = matrix_objective(&problem, 0.0, 0.0, &bias, s, &want);
            assert_true(fabs(value / slow - 1.0) < 1e-14);
            assert_true(fabs(gradient - want) < 1e-15);
            tw_linear_objective_fini(&objective);
            matrix_free(&data);
        }
    }
}

/* Column k of the Hessian as product, as difference quotient of the gradient, in the whole matrix, and on its diagonal.
 */
static void the_hessian_is_the_difference_quotient_of_the_gradient(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOSSES; i++) {
        fixture fixture;
        double diagonal[N], above[N], below[N], product[N];
        fixture_open(&fixture, losses[i]);
        (void)tw_linear_objective_evaluate(&fixture.objective, fixture.x, fixture.gradient);
        tw_linear_objective_bend(&fixture.objective);
        tw_linear_objective_diagonal(&fixture.objective, diagonal);
        for (int k = 0; k < N; k++) {
            double unit[N] = {0};
            unit[k] = 1.0;
            tw_linear_objective_product(&fixture.objective, unit, product);
            (void)evaluate_beside(&fixture, k, STEP, above);
            (void)evaluate_beside(&fixture, k, -STEP, below);
            for (int j = 0; j < N; j++) {
                double quotient = (above[j] - below[j]) / (2.0 * STEP);
                assert_true(fabs(quotient - product[j]) < 1e-5 * (1.0 + fabs(quotient)));
            }
            /* The diagonal takes the entries of a column that occurs twice in an event one by one. */
            assert_true(diagonal[k] > 0.5 * product[k] && diagonal[k] < 2.0 * product[k]);
        }
        fixture_close(&fixture);
    }
}

static void a_column_of_zeros_has_diagonal_1(void **state)
{
    matrix_fixture data = {0};
    tw_linear_objective objective;
    double scale[3], gradient[3];
    (void)state;
    matrix_begin(&data, 1.0f, 2.0f);
    matrix_add(&data, 0, 3.0f);
    matrix_add(&data, 1, 0.0f);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_SQUARED}, .has_bias = true};
    assert_int_equal(tw_linear_objective_init(&objective, &problem, 0.0, "test", NULL), TW_STATUS_OK);
    double size = tw_linear_objective_reference(&objective, scale, gradient);
    assert_true(scale[0] == 18.0 && scale[1] == 1.0 && scale[2] == 2.0);
    assert_true(gradient[0] == -6.0 && gradient[1] == 0.0 && gradient[2] == -2.0);
    assert_true(fabs(size - sqrt(36.0 / 18.0 + 4.0 / 2.0)) < 1e-15);
    tw_linear_objective_fini(&objective);
    matrix_free(&data);
}

/* The slow sum over dense rows. */
static void slow_gram(const matrix_fixture *data, const double *factor, const double *mean, bool has_one, double *gram)
{
    size_t n = data->n_columns + (has_one ? 1u : 0u);
    double *row = calloc(n, sizeof *row);
    assert_non_null(row);
    memset(gram, 0, n * n * sizeof *gram);
    for (uint64_t i = 0; i < data->n_events; i++) {
        for (size_t j = 0; j < n; j++)
            row[j] = j == data->n_columns ? 1.0 : mean == NULL ? 0.0 : -mean[j];
        for (uint64_t e = data->row_start[i]; e < data->row_start[i + 1]; e++)
            row[data->column[e]] += (double)data->value[e];
        for (size_t j = 0; j < n; j++) {
            for (size_t k = j; k < n; k++)
                gram[j * n + k] += factor[i] * row[j] * row[k];
        }
    }
    free(row);
}

/* 6 columns of 4 entries go through dense blocks, 60 columns entry by entry. */
static void gram_matrices_equal_the_slow_sums(void **state)
{
    static double factor[N_EVENTS], mean[60], got[61 * 61], want[61 * 61];
    tw_blas blas;
    tw_error error = {0};
    (void)state;
    if (tw_blas_open(&blas, &error) != TW_STATUS_OK) {
        print_message("SKIPPED: %s\n", error.message);
        skip();
    }
    for (int form = 0; form < 8; form++) {
        matrix_fixture data = {0};
        uint32_t n_columns = form % 2 == 0 ? 6 : 60;
        bool has_mean = form / 2 % 2 == 1, has_one = !has_mean && form >= 4;
        double total = 0.0, lost = 0.0;
        matrix_random(&data, TW_LOSS_SQUARED, N_EVENTS, n_columns, 4);
        memset(mean, 0, sizeof mean);
        for (uint32_t i = 0; i < N_EVENTS; i++)
            total += factor[i] = 0.5 + i % 4;
        for (uint32_t i = 0; i < N_EVENTS; i++) {
            for (uint64_t e = data.row_start[i]; e < data.row_start[i + 1]; e++)
                mean[data.column[e]] += factor[i] * (double)data.value[e] / total;
        }
        const tw_gram_problem problem = {
            .matrix = matrix_view(&data), .factor = factor, .mean = has_mean ? mean : NULL, .has_one = has_one};
        slow_gram(&data, factor, problem.mean, has_one, want);
        assert_int_equal(tw_gram(&problem, &blas, got, form >= 4 ? &lost : NULL, &error), TW_STATUS_OK);
        size_t n = n_columns + (has_one ? 1u : 0u);
        for (size_t j = 0; j < n; j++) {
            for (size_t k = j; k < n; k++)
                assert_true(fabs(got[j * n + k] - want[j * n + k]) < 1e-11);
        }
        assert_true(form < 4 || (lost >= 1.0 && lost < 2.0));
        matrix_free(&data);
    }
}

static void digits_lost_to_the_means_are_counted(void **state)
{
    static const double mean[40] = {1000.5};
    static double gram[40 * 40];
    matrix_fixture data = {0};
    tw_blas blas = {0}; /* not called: entry by entry */
    double lost = 0.0;
    (void)state;
    for (int i = 0; i < 10; i++) {
        matrix_begin(&data, 0.0f, 1.0f);
        matrix_add(&data, 0, i % 2 == 0 ? 1000.0f : 1001.0f);
    }
    data.n_columns = 40;
    const tw_gram_problem problem = {.matrix = matrix_view(&data), .mean = mean};
    assert_int_equal(tw_gram(&problem, &blas, gram, &lost, NULL), TW_STATUS_OK);
    assert_true(fabs(gram[0] - 2.5) < 1e-8);
    assert_true(lost > 4.0e6 && lost < 4.1e6);
    matrix_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_and_gradient_equal_the_slow_sums),
        cmocka_unit_test(the_gradient_is_the_difference_quotient_of_the_value),
        cmocka_unit_test(logistic_losses_of_sure_scores_and_of_labels_between_keep_their_digits),
        cmocka_unit_test(the_hessian_is_the_difference_quotient_of_the_gradient),
        cmocka_unit_test(a_column_of_zeros_has_diagonal_1),
        cmocka_unit_test(gram_matrices_equal_the_slow_sums),
        cmocka_unit_test(digits_lost_to_the_means_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
