/* help, version and doctor. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/verbs.h"
#include "config/codes.h"
#include "config/reference.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "net/socket.h"

static const flag_spec no_flags[] = {{NULL, 0, NULL, NULL}};

static void print_verbs(void)
{
    (void)printf("thalweg %s: learns models from event streams while it serves them\n\ncommands:\n", TW_VERSION);
    for (size_t i = 0; verb_at(i) != NULL; i++)
        (void)printf("  %-11s %s\n", verb_at(i)->name, verb_at(i)->summary);
    (void)printf(
        "\nthalweg COMMAND --help lists the options of a command; thalweg help CODE explains an error (E102);\n"
        "thalweg help NAME prints the options of a learner, source, format or sink; thalweg help pipeline prints\n"
        "the whole reference of pipeline files.\n");
}

static void print_code(const tw_code *code)
{
    (void)printf("%s: %s\n\n%s\n\n%s\n\n%s\n", code->code, code->title, code->text, code->title_zh, code->text_zh);
}

static int print_plugin(const char *name)
{
    assembly all;
    tw_text out = {0};
    tw_error error = {0};
    bool is_found = false;
    tw_status status = assembly_init(&all, &error);
    if (status == TW_STATUS_OK && strcmp(name, "pipeline") == 0) {
        status = tw_reference_markdown(&all.catalogue, &out, &error);
        is_found = true;
    }
    for (int kind = TW_PLUGIN_LEARNER; kind < TW_PLUGIN_N_KINDS && status == TW_STATUS_OK && !is_found; kind++) {
        const tw_option *table = all.catalogue.options(all.catalogue.context, (tw_plugin_kind)kind, name);
        if (table == NULL)
            continue;
        is_found = true;
        (void)printf("%s: %s\n\n", name, all.catalogue.summary(all.catalogue.context, (tw_plugin_kind)kind, name));
        status = tw_reference_table(table, &out, &error);
    }
    if (status == TW_STATUS_OK && out.bytes != NULL)
        (void)fputs(out.bytes, stdout);
    if (status < 0)
        console_error(&error);
    else if (!is_found)
        console_note("thalweg help: %s is neither a command, an error code nor a plug-in", name);
    tw_text_fini(&out);
    assembly_fini(&all);
    return status < 0 ? tw_status_exit_code(status) : is_found ? 0 : tw_status_exit_code(TW_STATUS_INVALID);
}

static int help_main(const verb *self, int argc, char **argv)
{
    flags given;
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments == 0) {
        print_verbs();
        return 0;
    }
    const char *name = given.argument[0];
    const tw_code *explained = tw_code_find(name);
    if (explained != NULL) {
        print_code(explained);
        return 0;
    }
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        char wish[] = "--help";
        char *help[] = {argv[1], wish, NULL};
        if (strcmp(verb_at(i)->name, name) == 0)
            return verb_at(i)->run(verb_at(i), 2, help);
    }
    return print_plugin(name);
}

const verb verb_help = {
    "help", "help [COMMAND|CODE|NAME]", "Explains a command, an error code or a plug-in.", no_flags, help_main};

static int version_main(const verb *self, int argc, char **argv)
{
    flags given;
    int code = 0;
    if (!verb_parse_options(self, argc, argv, &given, &code))
        return code;
    (void)printf("thalweg %s\n", TW_VERSION);
    return 0;
}

const verb verb_version = {"version", "version", "Prints the version.", no_flags, version_main};

/* --- doctor ------------------------------------------------------------------------------------------------------- */

static void print_file(const char *label, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    bool is_read = tw_file_load(path, 4096, &text, &size, NULL) == TW_STATUS_OK;
    if (is_read)
        text[strcspn(text, "\n")] = '\0';
    (void)printf("%-22s %s\n", label, is_read ? text : "unknown");
    tw_free(text);
}

/* A socket of each kind that the program needs can be made here. */
static bool try_sockets(tw_error *error)
{
    tw_net *net = NULL;
    tw_socket *socket = NULL;
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER};
    tw_status status = tw_net_create(1, &net, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_create(net, &options, &socket, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_bind(socket, "tcp://127.0.0.1:*", error);
    tw_socket_destroy(&socket);
    tw_net_destroy(&net);
    return status == TW_STATUS_OK;
}

static int doctor_main(const verb *self, int argc, char **argv)
{
    flags given;
    struct utsname system;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse_options(self, argc, argv, &given, &code))
        return code;
    (void)printf("%-22s %s\n", "thalweg", TW_VERSION);
    if (uname(&system) == 0)
        (void)printf("%-22s %s %s %s\n", "system", system.sysname, system.release, system.machine);
    (void)printf("%-22s %ld\n", "cores", sysconf(_SC_NPROCESSORS_ONLN));
    (void)printf(
        "%-22s %.1f GiB\n", "memory", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30));
    (void)printf("%-22s %s\n", "kernels", tw_kernels_best()->name);
    (void)printf("%-22s %s\n", "blas", tw_blas_description());
    print_file("huge pages", "/sys/kernel/mm/transparent_hugepage/enabled");
    bool is_well = try_sockets(&error);
    (void)printf("%-22s %s\n", "loopback sockets", is_well ? "ok" : error.message);
    (void)printf("%-22s %s\n", "verdict", is_well ? "ready" : "not ready: see above");
    return is_well ? 0 : tw_status_exit_code(TW_STATUS_UNAVAILABLE);
}

const verb verb_doctor = {
    "doctor", "doctor", "What this machine offers the program, and what is missing.", no_flags, doctor_main};
