/* check: all errors of a pipeline; starts nothing. */
#include <stdio.h>
#include <string.h>

#include "cmd/console.h"
#include "cmd/verbs.h"
#include "config/reference.h"

static const flag_spec check_flags[] = {
    {"set", 's', "PATH=VALUE", "overrides a value of the pipeline; may be repeated"},
    {"resolved", 0, NULL, "prints the pipeline with every default and where each value comes from"},
    {"schema", 0, NULL, "prints a JSON Schema of pipeline files, for editors"},
    {NULL, 0, NULL, NULL},
};

static tw_status check_file(assembly *all, const flags *given, tw_text *out, tw_error *error)
{
    tw_status status = tw_tree_load(all->tree, given->argument[0], &all->problems, error);
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++) {
        if (strcmp(given->value[i].flag->name, "set") == 0)
            status = tw_tree_assign(all->tree, "-s", given->value[i].text, &all->problems, error);
    }
    if (status == TW_STATUS_OK)
        status = assembly_check(all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(all, error);
    if (status == TW_STATUS_OK && flags_has(given, "resolved"))
        status = tw_pipeline_resolved(all->pipeline, true, out, error);
    return status;
}

static int check_main(const verb *self, int argc, char **argv)
{
    flags given;
    assembly all;
    tw_text out = {0};
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    bool is_schema = flags_has(&given, "schema");
    if (!is_schema && given.n_arguments != 1)
        return verb_misused(self, "one pipeline file is expected, %zu were given", given.n_arguments);
    tw_status status = assembly_init(&all, &error);
    if (status == TW_STATUS_OK)
        status =
            is_schema ? tw_reference_json_schema(&all.catalogue, &out, &error) : check_file(&all, &given, &out, &error);
    if (status == TW_STATUS_OK && out.bytes != NULL)
        (void)fputs(out.bytes, stdout);
    else if (status == TW_STATUS_OK)
        (void)printf("%s: ok\n", given.argument[0]);
    else if (!console_problems(&all))
        console_error(&error);
    tw_text_fini(&out);
    assembly_fini(&all);
    return tw_status_exit_code(status);
}

const verb verb_check = {
    "check", "check FILE [OPTIONS]", "All errors of a pipeline at once; starts nothing.", check_flags, check_main};
