/* What is wrong with the blocks publish and evaluate.drift. */
#include <string.h>

#include "base/limit.h"
#include "config/checks.h"
#include "config/pipeline.h"

static void check_drift(const tw_tree *tree, const tw_bound *root, tw_problems *problems)
{
    const tw_bound *drift = tw_bound_map(tw_bound_map(root, "evaluate"), "drift");
    const char *detector = tw_option_text(drift->values, "detector");
    bool is_adwin = detector != NULL && strcmp(detector, "adwin") == 0;
    if (is_adwin && tw_option_has(drift->values, "delta") && tw_option_real(drift->values, "delta") >= 1)
        (void)tw_problems_add(problems, tree, tw_bound_place(drift, "delta"), "E129",
            "evaluate.drift.delta: %g is no chance of a false alarm; adwin takes values below 1, such as 0.002",
            tw_option_real(drift->values, "delta"));
}

bool tw_bound_has_requirement(const tw_bound *require)
{
    for (const tw_option *option = require->block->options; option->name != NULL; option++) {
        if (option->type == TW_OPTION_TEXT && tw_option_has(require->values, option->name))
            return true;
    }
    return false;
}

static void check_require(const tw_tree *tree, const tw_bound *root, tw_problems *problems)
{
    const tw_bound *publish = tw_bound_map(root, "publish"), *require = tw_bound_map(publish, "require");
    if (publish->node == NULL)
        return;
    if (!tw_bound_has_requirement(require)) {
        tw_problem *problem =
            tw_problems_add(problems, tree, tw_bound_place(require, "over"), "E133", "publish.require names no figure");
        tw_problem_hint(problem, "publish: {require: {auc: \">= 0.70\", over: 100_000}}");
    }
    for (const tw_option *option = require->block->options; option->name != NULL; option++) {
        tw_limit limit;
        if (option->type != TW_OPTION_TEXT || !tw_option_has(require->values, option->name) ||
            tw_limit_parse(tw_option_text(require->values, option->name), &limit))
            continue;
        tw_problem *problem = tw_problems_add(problems, tree, tw_bound_place(require, option->name), "E133",
            "publish.require.%s: expected >=, <=, > or < and a number, found \"%.80s\"", option->name,
            tw_option_text(require->values, option->name));
        tw_problem_hint(problem, "%s: \">= 0.70\", with quotes", option->name);
    }
    if (!tw_option_has(tw_bound_map(root, "checkpoint")->values, "dir"))
        (void)tw_problems_add(problems, tree, tw_bound_place(require, "over"), "E133",
            "publish: only checkpoints are published; checkpoint.dir is missing");
}

void tw_check_publish(const tw_tree *tree, const tw_bound *root, tw_problems *problems)
{
    check_drift(tree, root, problems);
    check_require(tree, root, problems);
}
