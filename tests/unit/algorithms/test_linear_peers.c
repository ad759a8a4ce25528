/* linear: one pass over a9a gives the figures of Vowpal Wabbit 9.11.9 and scikit-learn 1.9.1 with the same rule,
 * without a bias. Measured by: vw --loss_function logistic --noconstant --invariant --power_t 0 -l 0.1       sgd, rate
 * 0.1 vw --loss_function logistic --noconstant --adaptive -l 0.1                    adagrad, rate 0.1
 *   SGDClassifier(loss="log_loss", penalty=..., alpha=1e-3, learning_rate="constant", eta0=0.01, shuffle=False,
 *                 fit_intercept=False).partial_fit(X, y)                          sgd, rate 0.01, plain steps */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/loss_reference.h"

extern const tw_learner_ops tw_learner_linear;

static const struct {
    const char *options;
    double progressive, test, tolerance; /* 0: not measured */
} peers[] = {
    {"bias=false optimizer=sgd rate=0.1", 0.362934, 0.350399, 1e-5},
    {"bias=false optimizer=adagrad rate=0.1", 0.332596, 0.324288, 2e-6},
    {"bias=false optimizer=adagrad rate=0.05", 0.337646, 0.325511, 2e-6},
    {"bias=false optimizer=sgd rate=0.01", 0, 0.326316, 5e-5},
    {"bias=false optimizer=sgd rate=0.01 l2=1e-3", 0, 0.327137, 5e-5},
    {"bias=false optimizer=sgd rate=0.01 l1=1e-3", 0, 0.328125, 1e-3}, /* there L1 is clipped by its running total */
};

static void one_pass_over_a9a_gives_the_figures_of_peers(void **state)
{
    (void)state;
    event_list train = {0}, test = {0};
    if (!load_libsvm(TW_SOURCE_DIR "/../shared/data/a9a/a9a.train.libsvm.gz", &train) ||
        !load_libsvm(TW_SOURCE_DIR "/../shared/data/a9a/a9a.test.libsvm.gz", &test)) {
        print_message("SKIPPED: ../shared/data/a9a is not beside the repository\n");
        skip();
    }
    float *scores = calloc(train.n_events, sizeof *scores);
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        learner_fixture learner;
        learner_fixture_open(&learner, &tw_learner_linear, peers[i].options, 0, 128);
        assert_int_equal(learner_fixture_learn(&learner, &train, 0, train.n_events, 256, scores, NULL), TW_STATUS_OK);
        double progressive = mean_logistic_loss(&train, scores);
        learner_fixture_predict(&learner, &test, scores);
        double tested = mean_logistic_loss(&test, scores);
        print_message("%s: progressive %.6f (%.6f), test %.6f (%.6f)\n", peers[i].options, progressive,
            peers[i].progressive, tested, peers[i].test);
        assert_true(peers[i].progressive == 0 || fabs(progressive - peers[i].progressive) <= peers[i].tolerance);
        assert_true(fabs(tested - peers[i].test) <= peers[i].tolerance);
        learner_fixture_close(&learner);
    }
    free(scores);
    event_list_free(&train);
    event_list_free(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_pass_over_a9a_gives_the_figures_of_peers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
