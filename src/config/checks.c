#include "config/checker.h"

#include <stdio.h>
#include <string.h>

#include "config/pipeline.h"

enum { MAX_STALENESS = 1000000, MAX_ADDRESSES = 256 };

bool tw_check_rate(const char *text, double *events_per_s)
{
    char number[64];
    size_t size = strlen(text);
    if (size > 2 && strcmp(text + size - 2, "/s") == 0)
        size -= 2;
    if (size == 0 || size >= sizeof number)
        return false;
    memcpy(number, text, size);
    number[size] = '\0';
    return tw_text_to_real(number, events_per_s) && *events_per_s > 0.0;
}

bool tw_check_staleness(const char *text, uint32_t *rounds)
{
    double number = 0;
    *rounds = UINT32_MAX;
    if (strcmp(text, "unlimited") == 0)
        return true;
    if (!tw_text_to_real(text, &number) || !(number >= 0 && number <= MAX_STALENESS))
        return false;
    *rounds = (uint32_t)number;
    return (double)*rounds == number;
}

/* A named solver asks for mode batch. */
static bool is_batch(const tw_bound *train)
{
    return is_given(train, "mode") ? is_word(train, "mode", "batch") : is_given(train, "solver");
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

bool tw_check_follows(const tw_bound *source)
{
    if (source->plugin == NULL)
        return false;
    const tw_option *table = tw_option_table(source->plugin);
    size_t index = tw_option_table_find(table, "follow");
    return index != SIZE_MAX && table[index].type == TW_OPTION_BOOL && tw_option_bool(source->plugin, "follow");
}

static bool same_values(const tw_option_values *a, const tw_option_values *b)
{
    const tw_option *table = tw_option_table(a);
    if (table != tw_option_table(b))
        return false;
    for (; table->name != NULL; table++) {
        char left[TW_ERROR_MESSAGE_SIZE], right[TW_ERROR_MESSAGE_SIZE];
        if (tw_option_format(a, table->name, left, sizeof left, NULL) < 0 ||
            tw_option_format(b, table->name, right, sizeof right, NULL) < 0 || strcmp(left, right) != 0)
            return false;
    }
    return true;
}

static void check_sequence(checker *self, const tw_bound_child *sources)
{
    for (size_t i = 0; i < sources->n_items; i++) {
        const tw_bound *source = sources->item[i];
        if (i + 1 < sources->n_items && tw_check_follows(source))
            (void)COMPLAIN(self, source, "follow", "E122",
                "%s.follow: a source that follows never ends, so it must be the last one", source->path);
        const tw_bound_child *format = tw_bound_child_of(source, "format");
        if (text_of(format->item[0], "type") == NULL && (i == 0 || format->node != NULL)) {
            tw_problem *problem = tw_problems_add(self->problems, self->tree, format->item[0]->place, "E105",
                "%s.format%s is missing", source->path, format->node != NULL ? ".type" : "");
            tw_problem_hint(problem, "format: json, csv, libsvm, vw, or a map with a key \"type\"");
        }
        if (i == 0 || format->node == NULL)
            continue;
        const tw_bound *first = tw_bound_map(sources->item[0], "format"), *own = format->item[0];
        if (first->plugin != NULL && own->plugin != NULL && !same_values(first->plugin, own->plugin))
            (void)tw_problems_add(self->problems, self->tree, format->node->place, "E122",
                "%s: the sources of one sequence must have the same format; leave it out here", own->path);
    }
}

static void check_sources(checker *self)
{
    const tw_bound_child *sources = tw_bound_child_of(self->root, "source");
    if (sources->node == NULL || (sources->node->kind == TW_NODE_LIST && sources->node->count == 0)) {
        tw_problem *problem = tw_problems_add(self->problems, self->tree,
            sources->node != NULL ? sources->node->place : self->root->place, "E105", "source is missing");
        tw_problem_hint(problem, "source: {type: file, path: [events.jsonl], format: json}");
    }
    const tw_bound *train = tw_bound_map(self->root, "train");
    for (size_t i = 0; i < sources->n_items; i++) {
        const tw_bound *source = sources->item[i];
        double rate;
        if (text_of(source, "rate") != NULL && !tw_check_rate(text_of(source, "rate"), &rate))
            (void)COMPLAIN(self, source, "rate", "E103",
                "%s.rate: expected events a second such as 50000/s, found \"%.80s\"", source->path,
                text_of(source, "rate"));
        bool is_read_once = tw_check_follows(source) || is_word(source, "type", "stdin");
        if (!is_batch(train) && tw_option_int(train->values, "passes") > 1 && is_read_once)
            (void)COMPLAIN(
                self, train, "passes", "E122", "train.passes: %s can be read only once; use 1", source->path);
    }
    check_sequence(self, sources);
}

/* --- features ----------------------------------------------------------------------------------------------------- */

static void check_column(checker *self, const tw_bound *column)
{
    static const char *const numeric_only[] = {"transform", "scale", "missing"};
    const char *as = text_of(column, "as");
    if (as == NULL)
        return;
    for (size_t i = 0; i < 3 && strcmp(as, "numeric") != 0; i++) {
        if (is_given(column, numeric_only[i]))
            (void)COMPLAIN(self, column, numeric_only[i], "E126", "%s.%s: only for as: numeric, this column is %s",
                column->path, numeric_only[i], as);
    }
    const char *separator = text_of(column, "separator");
    if (separator != NULL && strcmp(as, "set") != 0)
        (void)COMPLAIN(
            self, column, "separator", "E126", "%s.separator: only for as: set, this column is %s", column->path, as);
    if (separator != NULL && (strlen(separator) != 1 || (separator[0] & 0x80) != 0))
        (void)COMPLAIN(self, column, "separator", "E126", "%s.separator: expected one ASCII character, found \"%.40s\"",
            column->path, separator);
    const char *field = text_of(column, "field");
    if (field == NULL && strcmp(as, "constant") != 0)
        (void)COMPLAIN(self, column, "field", "E105", "%s.field is missing", column->path);
}

static void check_column_against(checker *self, const tw_bound_child *columns, size_t index)
{
    const tw_bound *column = columns->item[index];
    const char *field = text_of(column, "field"), *as = text_of(column, "as");
    if (field == NULL || as == NULL)
        return;
    for (size_t i = 0; i < index; i++) {
        if (is_word(columns->item[i], "field", field) && is_word(columns->item[i], "as", as)) {
            (void)COMPLAIN(
                self, column, "field", "E126", "%s.field: \"%s\" is there already as %s", column->path, field, as);
            return;
        }
    }
    const tw_bound *label = tw_bound_map(self->root, "label");
    bool is_label = is_given(label, "field") && is_word(label, "field", field);
    if (strcmp(as, "ignore") != 0 && (is_label || is_word(label, "weight", field)))
        (void)COMPLAIN(self, column, "field", "E127", "%s.field: \"%s\" is the %s; it must not be a feature too",
            column->path, field, is_label ? "label" : "weight");
}

static void check_cross_field(checker *self, const tw_bound_child *columns, const tw_node *word, size_t cross)
{
    tw_nearest nearest = {.word = word->text};
    const char *wrong = NULL;
    for (size_t i = 0; i < columns->n_items; i++) {
        const char *field = text_of(columns->item[i], "field"), *as = text_of(columns->item[i], "as");
        if (field == NULL || as == NULL)
            continue;
        bool is_crossable = strcmp(as, "categorical") == 0 || strcmp(as, "set") == 0;
        if (strcmp(field, word->text) == 0) {
            if (is_crossable)
                return;
            wrong = as;
        } else if (is_crossable) {
            tw_nearest_offer(&nearest, field);
        }
    }
    tw_problem *problem =
        wrong != NULL ? tw_problems_add(self->problems, self->tree, word->place, "E126",
                            "features.crosses[%zu]: \"%s\" is %s; only categorical and set columns can be crossed",
                            cross, word->text, wrong)
                      : tw_problems_add(self->problems, self->tree, word->place, "E126",
                            "features.crosses[%zu]: no column has the field \"%s\"", cross, word->text);
    if (wrong == NULL && nearest.best != NULL)
        tw_problem_label(problem, "did you mean \"%s\"?", nearest.best);
}

static void check_crosses(checker *self, const tw_bound_child *columns, const tw_node *crosses)
{
    if (crosses->count > TW_PIPELINE_MAX_CROSSES)
        (void)tw_problems_add(self->problems, self->tree, crosses->place, "E126",
            "features.crosses: %zu crosses are more than the limit %d", crosses->count, (int)TW_PIPELINE_MAX_CROSSES);
    for (size_t i = 0; i < crosses->count; i++) {
        const tw_node *words = crosses->entry[i].node;
        if (words->kind != TW_NODE_LIST)
            continue;
        if (words->count < 2 || words->count > TW_PIPELINE_MAX_CROSS_FIELDS)
            (void)tw_problems_add(self->problems, self->tree, words->place, "E126",
                "features.crosses[%zu]: a cross has 2 to %d fields, found %zu", i, (int)TW_PIPELINE_MAX_CROSS_FIELDS,
                words->count);
        for (size_t k = 0; columns->n_items > 0 && k < words->count; k++) {
            if (words->entry[k].node->kind == TW_NODE_SCALAR && words->entry[k].node->text[0] != '\0')
                check_cross_field(self, columns, words->entry[k].node, i);
        }
    }
}

static void check_features(checker *self)
{
    const tw_bound *features = tw_bound_map(self->root, "features"), *label = tw_bound_map(self->root, "label");
    const tw_bound_child *columns = tw_bound_child_of(features, "columns");
    const tw_node *crosses = tw_bound_child_of(features, "crosses")->node;
    if (columns->n_items > TW_PIPELINE_MAX_COLUMNS) {
        (void)tw_problems_add(self->problems, self->tree, columns->node->place, "E126",
            "features.columns: %zu columns are more than the limit %d", columns->n_items, (int)TW_PIPELINE_MAX_COLUMNS);
        return;
    }
    for (size_t i = 0; i < columns->n_items; i++) {
        check_column(self, columns->item[i]);
        check_column_against(self, columns, i);
    }
    if (is_word(features, "scale", "standard") && columns->n_items == 0)
        (void)COMPLAIN(self, features, "scale", "E126",
            "features.scale: standard scales declared columns, and none are: name them in features.columns "
            "(--numeric)");
    if (crosses != NULL && crosses->kind == TW_NODE_LIST)
        check_crosses(self, columns, crosses);
    size_t n_positive = tw_option_count(label->values, "positive");
    if (n_positive > TW_PIPELINE_MAX_POSITIVE)
        (void)COMPLAIN(self, label, "positive", "E127", "label.positive: %zu texts are more than the limit %d",
            n_positive, (int)TW_PIPELINE_MAX_POSITIVE);
}

/* --- model -------------------------------------------------------------------------------------------------------- */

static void check_table(checker *self)
{
    const tw_bound *model = tw_bound_map(self->root, "model");
    const tw_bound *hash = tw_bound_map(tw_bound_map(self->root, "features"), "hash");
    bool is_exact = is_given(model, "table") && is_word(model, "table", "exact");
    if (is_given(model, "bits") && is_exact)
        (void)COMPLAIN(
            self, model, "bits", "E121", "model.bits: an exact table has no bits; remove it or write table: hashed");
    if (!is_given(hash, "bits") || !tw_option_has(hash->values, "bits"))
        return;
    if (is_exact)
        (void)COMPLAIN(self, hash, "bits", "E121",
            "features.hash.bits: asks for a hashed table, but model.table is exact; remove one of them");
    if (is_given(model, "bits") && tw_option_int(model->values, "bits") != tw_option_int(hash->values, "bits"))
        (void)COMPLAIN(self, hash, "bits", "E121",
            "features.hash.bits: %lld, but model.bits is %lld; remove one of them",
            (long long)tw_option_int(hash->values, "bits"), (long long)tw_option_int(model->values, "bits"));
}

/* Admission, expiry and eviction. */
static void check_keep(checker *self)
{
    const tw_bound *model = tw_bound_map(self->root, "model"), *hash = tw_bound_map(self->root, "features");
    const tw_bound *admission = tw_bound_map(model, "admission"), *expiry = tw_bound_map(model, "expiry");
    bool evicts = is_word(model, "evict", "oldest");
    bool admits = is_given(admission, "count") || is_given(admission, "probability");
    bool is_hashed =
        is_word(model, "table", "hashed") || is_given(model, "bits") || is_given(tw_bound_map(hash, "hash"), "bits");
    if (is_given(admission, "count") && is_given(admission, "probability"))
        (void)COMPLAIN(self, admission, "probability", "E135",
            "model.admission: by count or by probability, not both; remove one of them");
    if (is_hashed && (admits || evicts || is_given(expiry, "after")))
        (void)COMPLAIN(self, model, "table", "E135",
            "model: a hashed table has no keys that could be admitted, expire or give way; use table: exact");
    if (evicts && tw_option_int(model->values, "max_bytes") == 0)
        (void)COMPLAIN(self, model, "evict", "E135", "model.evict: oldest needs a cap: set model.max_bytes");
}

/* model.loss stands for params.loss. */
static tw_status apply_loss(checker *self)
{
    const tw_bound *model = tw_bound_map(self->root, "model");
    tw_bound_child *params = tw_bound_child_of(model, "params");
    const char *loss = text_of(model, "loss");
    if (loss == NULL || params->params == NULL)
        return TW_STATUS_OK;
    if (tw_option_table_find(tw_option_table(params->params), "loss") == SIZE_MAX) {
        (void)COMPLAIN(self, model, "loss", "E128", "model.loss: %s has no choice of loss", text_of(model, "type"));
        return TW_STATUS_OK;
    }
    if (tw_option_is_given(params->params, "loss")) {
        char given[64];
        if (tw_option_format(params->params, "loss", given, sizeof given, NULL) < 0 || strcmp(given, loss) != 0)
            (void)COMPLAIN(self, model, "loss", "E128", "model.loss: %.40s, but model.params.loss is %s", loss, given);
        return TW_STATUS_OK;
    }
    const tw_node *value = tw_node_find(model->node, "loss")->node;
    return tw_bound_set(
        self->tree, params->params, params->params_place, "model", "loss", value, self->problems, self->error);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static bool is_loopback(const char *host, size_t size)
{
    static const char *const names[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < 2; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], host, size) == 0)
            return true;
    }
    return size > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size;
}

static bool is_port(const char *text)
{
    int64_t port;
    return strcmp(text, "*") == 0 ||
           (strspn(text, "0123456789") == strlen(text) && tw_text_to_int(text, &port) && port >= 0 && port <= 65535);
}

typedef enum address_kind { ADDRESS_LOCAL, ADDRESS_OPEN, ADDRESS_HTTP } address_kind;

/* ADDRESS_OPEN: other machines too. */
static void check_address(checker *self, tw_place place, const char *path, const char *address, address_kind kind)
{
    bool is_http = kind == ADDRESS_HTTP;
    const char *host = address;
    if (!is_http && strncmp(address, "ipc://", 6) == 0 && address[6] != '\0')
        return;
    bool is_good = is_http || strncmp(address, "tcp://", 6) == 0;
    if (is_good && !is_http)
        host = address + 6;
    const char *colon = strrchr(host, ':');
    if (!is_good || colon == NULL || colon == host || !is_port(colon + 1)) {
        (void)tw_problems_add(self->problems, self->tree, place, "E123", "%s: expected %s, found \"%.120s\"", path,
            is_http ? "host:port such as 127.0.0.1:8080" : "tcp://host:port or ipc://path", address);
    } else if (kind != ADDRESS_OPEN && !is_loopback(host, (size_t)(colon - host))) {
        tw_problem *problem = tw_problems_add(
            self->problems, self->tree, place, "E123", "%s: \"%.120s\" is not a loopback address", path, address);
        tw_problem_hint(
            problem, strcmp(path, "parameter_servers.connect") == 0
                         ? "set parameter_servers.security (key, server_key), or use 127.0.0.1, [::1] or ipc://"
                         : "use 127.0.0.1, [::1] or ipc://");
    }
}

/* "A|B": where a shard may be, its standby included. */
static void check_alternatives(checker *self, tw_place place, const char *path, const char *text, address_kind kind)
{
    char address[256];
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, "|");
        (void)snprintf(address, sizeof address, "%.*s", (int)size, at);
        check_address(self, place, path, address, kind);
        at += size;
        if (*at == '\0')
            return;
    }
}

/* Whether shards on other machines may be joined. */
static bool check_security(checker *self, const tw_bound *security)
{
    bool has_key = text_of(security, "key") != NULL, has_server = text_of(security, "server_key") != NULL;
    if (has_key != has_server)
        (void)COMPLAIN(self, security, has_key ? "key" : "server_key", "E123",
            "parameter_servers.security: %s is missing: both sides prove themselves, or none",
            has_key ? "server_key" : "key");
    return (has_key && has_server) || tw_option_bool(security->values, "insecure");
}

/* Whoever learned into one shard as two would be refused by it, late. */
static void check_distinct(checker *self, const tw_bound *servers)
{
    const char *address[MAX_ADDRESSES];
    size_t n = tw_option_count(servers->values, "connect"), size = 0;
    n = n < MAX_ADDRESSES ? n : MAX_ADDRESSES;
    for (size_t i = 0; i < n; i++)
        address[i] = tw_option_item(servers->values, "connect", i);
    const char *twice = tw_text_find_twice(address, n, &size);
    if (twice != NULL)
        (void)COMPLAIN(self, servers, "connect", "E123",
            "parameter_servers.connect: \"%.*s\" is there twice: every shard, and every standby, has an address of its "
            "own",
            (int)size, twice);
}

static void check_servers(checker *self)
{
    static const char *const lists[] = {"connect", "bind"};
    const tw_bound *servers = tw_bound_map(self->root, "parameter_servers"), *serve = tw_bound_map(self->root, "serve");
    size_t n_connect = tw_option_count(servers->values, "connect"), n_bind = tw_option_count(servers->values, "bind");
    int64_t shards = tw_option_int(servers->values, "shards");
    bool is_open = check_security(self, tw_bound_map(servers, "security"));
    if (shards > 0 && n_connect > 0)
        (void)COMPLAIN(self, servers, "connect", "E125",
            "parameter_servers.connect: shards are either started (shards) or joined (connect), not both");
    if (n_bind > 0 && (uint64_t)shards != n_bind)
        (void)COMPLAIN(self, servers, "bind", "E125", "parameter_servers.bind: %zu addresses for %lld shards", n_bind,
            (long long)shards);
    if (shards == 0 && tw_option_int(self->root->values, "workers") <= 1 && n_connect == 0 &&
        strcmp(text_of(servers, "standby"), "none") != 0)
        (void)COMPLAIN(self, servers, "standby", "E125",
            "parameter_servers.standby: there is no shard to stand by for: set parameter_servers.shards");
    if (n_connect > 0 && strcmp(text_of(servers, "standby"), "none") != 0)
        (void)COMPLAIN(self, servers, "standby", "E125",
            "parameter_servers.standby: shards that are joined have standbys of their own (thalweg ps --standby-of), "
            "which connect names as A|B; remove it");
    check_distinct(self, servers);
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < tw_option_count(servers->values, lists[i]); k++) {
            char path[64];
            (void)snprintf(path, sizeof path, "parameter_servers.%s", lists[i]);
            const char *item = tw_option_item(servers->values, lists[i], k);
            if (i == 0)
                check_alternatives(
                    self, tw_bound_place(servers, lists[i]), path, item, is_open ? ADDRESS_OPEN : ADDRESS_LOCAL);
            else
                check_address(self, tw_bound_place(servers, lists[i]), path, item, ADDRESS_LOCAL);
        }
    }
    if (text_of(serve, "zmq") != NULL)
        check_address(self, tw_bound_place(serve, "zmq"), "serve.zmq", text_of(serve, "zmq"), ADDRESS_LOCAL);
    if (text_of(serve, "http") != NULL)
        check_address(self, tw_bound_place(serve, "http"), "serve.http", text_of(serve, "http"), ADDRESS_HTTP);
    uint32_t rounds;
    if (!tw_check_staleness(text_of(servers, "staleness"), &rounds))
        (void)COMPLAIN(self, servers, "staleness", "E125",
            "parameter_servers.staleness: expected 0, a number of rounds up to %d, or unlimited, found \"%.40s\"",
            MAX_STALENESS, text_of(servers, "staleness"));
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void check_shared_source(checker *self, const tw_bound *source)
{
    const tw_bound *bad = tw_bound_map(source, "bad_records");
    bool is_file = is_word(source, "type", "file");
    if (!is_file || tw_check_follows(source))
        (void)COMPLAIN(self, source, tw_check_follows(source) ? "follow" : "type", "E120",
            "%s: several workers read bounded files (type: file, without follow); use workers: 1", source->path);
    for (size_t i = 0; is_file && source->plugin != NULL && i < tw_option_count(source->plugin, "path"); i++) {
        if (strcmp(tw_option_item(source->plugin, "path", i), "-") == 0)
            (void)COMPLAIN(self, source, "path", "E120",
                "%s.path: standard input has one reader; use workers: 1, or files", source->path);
    }
    if (text_of(bad, "dead_letter") != NULL)
        (void)COMPLAIN(self, bad, "dead_letter", "E120",
            "%s.dead_letter: written by one worker only; use workers: 1 or remove it", bad->path);
}

/* Several workers share bounded files; what only one process can keep in order is refused. */
static void check_workers(checker *self)
{
    const tw_bound_child *sources = tw_bound_child_of(self->root, "source");
    const tw_bound_child *sinks = tw_bound_child_of(self->root, "sinks");
    if (tw_option_int(self->root->values, "workers") <= 1)
        return;
    if (is_batch(tw_bound_map(self->root, "train")))
        (void)COMPLAIN(self, self->root, "workers", "E130",
            "workers: train.mode: batch fits the data in one process; use workers: 1");
    for (size_t i = 0; i < sources->n_items; i++)
        check_shared_source(self, sources->item[i]);
    if (sinks->node != NULL && sinks->n_items > 0)
        (void)COMPLAIN(self, self->root, "workers", "E120",
            "workers: several workers score events in no fixed order, so sinks are not written; use workers: 1 or "
            "remove sinks");
    const tw_bound *publish = tw_bound_map(self->root, "publish");
    const tw_bound *drift = tw_bound_map(tw_bound_map(self->root, "evaluate"), "drift");
    if (publish->node != NULL)
        (void)COMPLAIN(self, tw_bound_map(publish, "require"), "over", "E120",
            "publish.require: the newest events of several workers have no order; use workers: 1 or remove publish");
    if (!is_word(drift, "detector", "none"))
        (void)COMPLAIN(self, drift, "detector", "E120",
            "evaluate.drift: several workers learn events in no fixed order; use workers: 1 or detector: none");
    const tw_bound *evaluate = tw_bound_map(self->root, "evaluate");
    if (!is_word(evaluate, "window", "0") || is_word(evaluate, "auc", "exact"))
        (void)COMPLAIN(self, evaluate, is_word(evaluate, "auc", "exact") ? "auc" : "window", "E120",
            "evaluate: windows and the exact AUC want the events of one process in order; use workers: 1");
    bool has_slices = tw_option_count(evaluate->values, "slices") > 0;
    if (has_slices || text_of(evaluate, "groups") != NULL)
        (void)COMPLAIN(self, evaluate, has_slices ? "slices" : "groups", "E120",
            "evaluate: figures of slices and groups are not joined over several workers; use workers: 1, or thalweg "
            "eval");
}

static void check_run(checker *self)
{
    const tw_bound *checkpoint = tw_bound_map(self->root, "checkpoint");
    const tw_bound *every = tw_bound_map(checkpoint, "every");
    bool has_dir = text_of(checkpoint, "dir") != NULL;
    if (!has_dir && checkpoint->node != NULL && checkpoint->node->count > 0)
        (void)COMPLAIN(self, checkpoint, "dir", "E124", "checkpoint.dir is missing: without it nothing is saved");
    if (has_dir && tw_option_int(every->values, "events") == 0 && tw_option_int(every->values, "time") == 0)
        (void)COMPLAIN(self, every, "time", "E124", "checkpoint.every: events and time are both 0");
    check_workers(self);
    check_evaluate(self);
}

/* --- batch training ----------------------------------------------------------------------------------------------- */

/* Options that only the learner's own passes know. */
static void check_pass_options(checker *self, const tw_bound *train)
{
    static const char *const names[] = {"passes", "holdout", "early_stop", "shuffle_seed"};
    const char *solver = text_of(train, "solver");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_given(train, names[i]) && (i > 0 || tw_option_int(train->values, "passes") > 1))
            (void)COMPLAIN(self, train, names[i], "E130",
                "train.%s: for the learner's own passes (solver online, ftrl or sgd); %s has its own in train.params",
                names[i], solver);
    }
}

static void check_own_solver(checker *self, const tw_bound *train)
{
    const char *solver = text_of(train, "solver"), *learner = text_of(tw_bound_map(self->root, "model"), "type");
    bool is_ftrl = strcmp(solver, "ftrl") == 0, is_sgd = strcmp(solver, "sgd") == 0;
    if (learner == NULL)
        return;
    bool is_gradient = strcmp(learner, "linear") == 0 || strcmp(learner, "logistic") == 0;
    if ((is_ftrl && strcmp(learner, "ftrl") != 0) || (is_sgd && !is_gradient))
        (void)COMPLAIN(self, train, "solver", "E130",
            "train.solver: %s is passes of the learner %s, but this model is of learner %s; write online for its own "
            "passes",
            solver, is_ftrl ? "ftrl" : "linear or logistic", learner);
}

static void check_train(checker *self)
{
    static const char *const batch_only[] = {"cache", "holdout", "early_stop", "shuffle_seed"};
    const tw_bound *train = tw_bound_map(self->root, "train");
    const tw_bound_child *sources = tw_bound_child_of(self->root, "source");
    const char *solver = text_of(train, "solver");
    if (!is_batch(train)) {
        if (strcmp(solver, "online") != 0)
            (void)COMPLAIN(self, train, "solver", "E130",
                "train.solver: %s fits bounded data as a whole; train.mode must be batch", solver);
        for (size_t i = 0; i < sizeof batch_only / sizeof batch_only[0]; i++) {
            if (is_given(train, batch_only[i]))
                (void)COMPLAIN(
                    self, train, batch_only[i], "E130", "train.%s: only with train.mode: batch", batch_only[i]);
        }
        return;
    }
    if (sources->n_items == 1 && tw_check_follows(sources->item[0]))
        (void)COMPLAIN(self, train, "mode", "E130",
            "train.mode: batch needs a bounded part, but %s follows and never ends; put the history before it",
            sources->item[0]->path);
    check_own_solver(self, train);
    if (strcmp(solver, "online") != 0 && strcmp(solver, "ftrl") != 0 && strcmp(solver, "sgd") != 0)
        check_pass_options(self, train);
}

tw_status tw_check_pipeline(const tw_tree *tree, tw_bound *pipeline, tw_problems *problems, tw_error *error)
{
    checker self = {tree, pipeline, problems, error};
    check_sources(&self);
    check_features(&self);
    check_table(&self);
    check_keep(&self);
    check_servers(&self);
    check_run(&self);
    tw_check_publish(tree, pipeline, problems);
    check_train(&self);
    return apply_loss(&self);
}
