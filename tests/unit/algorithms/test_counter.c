#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/learner_fixture.h"

extern const tw_learner_ops tw_learner_counter;

static void every_occurrence_of_a_key_adds_one(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = {0};
    float scores[3];
    event_list_begin(&events, NAN, 1.0f);
    event_list_add(&events, 0, 0.5f);
    event_list_add(&events, 0, -3.0f);
    event_list_add(&events, 1, 1.0f);
    event_list_begin(&events, 1.0f, 0.0f);
    event_list_add(&events, 1, 0.0f);
    event_list_begin(&events, 1.0f, 1.0f);
    learner_fixture_open(&learner, &tw_learner_counter, "", 0, 3);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 3, 2, scores, NULL), TW_STATUS_OK);
    const double want[] = {2, 2, 0};
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(learner.ops->weight(learner.self, learner_fixture_row(&learner, i)) == want[i]);
    }
    assert_true(scores[0] == 3.0f && scores[1] == 1.0f && scores[2] == 0.0f);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_occurrence_of_a_key_adds_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
