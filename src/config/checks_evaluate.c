/* Combinations of the block `evaluate` that a pipeline must not have. */
#include "config/checker.h"
#include "config/pipeline.h"

bool tw_check_span(const char *text, uint64_t *events, int64_t *duration_us)
{
    static const tw_option table[] = {
        {"span", TW_OPTION_DURATION, NULL, 1, 9e17, NULL, false, ""},
        {.name = NULL},
    };
    int64_t count = 0;
    tw_option_values *values = NULL;
    *events = 0;
    *duration_us = 0;
    if (tw_text_to_int(text, &count)) {
        *events = count > 0 ? (uint64_t)count : 0;
        return count >= 0;
    }
    bool is_time = tw_option_values_create(table, &values, NULL) == TW_STATUS_OK &&
                   tw_option_set(values, "span", text, NULL) == TW_STATUS_OK;
    if (is_time)
        *duration_us = tw_option_int(values, "span");
    tw_option_values_destroy(&values);
    return is_time;
}

static void check_facet(checker *self, const tw_bound *evaluate, const char *option, const char *field)
{
    const tw_bound *label = tw_bound_map(self->root, "label");
    const tw_bound *time = tw_bound_map(tw_bound_map(self->root, "source"), "time");
    if (is_word(label, "field", field) || is_word(label, "weight", field) || is_word(time, "field", field))
        (void)COMPLAIN(self, evaluate, option, "E132",
            "evaluate.%s: \"%.80s\" is the label, weight or time; events cannot be told apart by it", option, field);
}

static void check_facets(checker *self, const tw_bound *evaluate)
{
    size_t n_slices = tw_option_count(evaluate->values, "slices");
    if (n_slices > TW_PIPELINE_MAX_SLICES)
        (void)COMPLAIN(self, evaluate, "slices", "E132", "evaluate.slices: %zu fields are more than the limit %d",
            n_slices, (int)TW_PIPELINE_MAX_SLICES);
    for (size_t i = 0; i < n_slices; i++) {
        const char *field = tw_option_item(evaluate->values, "slices", i);
        check_facet(self, evaluate, "slices", field);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(tw_option_item(evaluate->values, "slices", k), field) == 0)
                (void)COMPLAIN(self, evaluate, "slices", "E132", "evaluate.slices: \"%.80s\" is there twice", field);
        }
    }
    if (text_of(evaluate, "groups") != NULL)
        check_facet(self, evaluate, "groups", text_of(evaluate, "groups"));
}

void check_evaluate(checker *self)
{
    const tw_bound *evaluate = tw_bound_map(self->root, "evaluate");
    uint64_t events = 0;
    int64_t duration_us = 0;
    if (!tw_check_span(text_of(evaluate, "window"), &events, &duration_us)) {
        (void)COMPLAIN(self, evaluate, "window", "E103",
            "evaluate.window: expected events such as 100_000 or a time such as 1h, found \"%.80s\"",
            text_of(evaluate, "window"));
        return;
    }
    if (duration_us > 0 && text_of(tw_bound_map(tw_bound_map(self->root, "source"), "time"), "field") == NULL)
        (void)COMPLAIN(self, evaluate, "window", "E132",
            "evaluate.window: windows of %.40s need event times: source.time.field is missing",
            text_of(evaluate, "window"));
    if (text_of(evaluate, "windows") != NULL && events == 0 && duration_us == 0)
        (void)COMPLAIN(self, evaluate, "windows", "E132",
            "evaluate.windows: without evaluate.window there are no windows to write");
    check_facets(self, evaluate);
    const tw_bound *servers = tw_bound_map(self->root, "parameter_servers");
    bool is_remote = tw_option_int(servers->values, "shards") > 0 || tw_option_count(servers->values, "connect") > 0 ||
                     tw_option_int(self->root->values, "workers") > 1;
    if (tw_option_int(evaluate->values, "label_delay") > 0 && is_remote)
        (void)COMPLAIN(self, evaluate, "label_delay", "E132",
            "evaluate.label_delay: events that wait are learned one by one, from a local table only; remove "
            "parameter_servers and workers, or the delay");
}
