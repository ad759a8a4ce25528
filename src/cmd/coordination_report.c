#include "cmd/coordination_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cmd/refused_report.h"

enum { NUMBER_SIZE = 24 };

/* --- the tables --------------------------------------------------------------------------------------------------- */

static const char *count_text(uint64_t value, char text[NUMBER_SIZE])
{
    if (value == TW_STATUS_UNKNOWN)
        (void)snprintf(text, NUMBER_SIZE, "-");
    else
        (void)snprintf(text, NUMBER_SIZE, "%" PRIu64, value);
    return text;
}

static const char *age_text(uint64_t ms, char text[NUMBER_SIZE])
{
    if (ms == TW_STATUS_UNKNOWN)
        (void)snprintf(text, NUMBER_SIZE, "-");
    else
        (void)snprintf(text, NUMBER_SIZE, "%.1f s", (double)ms / 1e3);
    return text;
}

static const char *yes_text(uint64_t value)
{
    return value == TW_STATUS_UNKNOWN ? "-" : value != 0 ? "yes" : "no";
}

void coordination_print(FILE *out, const char *address, const tw_coordination *said)
{
    char text[NUMBER_SIZE], age[NUMBER_SIZE];
    const uint64_t *figure = said->figure;
    (void)fprintf(out,
        "coordinator at %s: %" PRIu64 " workers; %" PRIu64 " of %" PRIu64 " shares given, %" PRIu64
        " learned in all passes; %" PRIu64 " takeovers\n",
        address, figure[TW_COORDINATION_MEMBERS], figure[TW_COORDINATION_GRANTED], figure[TW_COORDINATION_SHARES],
        figure[TW_COORDINATION_FINISHED], figure[TW_COORDINATION_TAKEOVERS]);
    if (figure[TW_COORDINATION_CHECKPOINT] != TW_STATUS_UNKNOWN)
        (void)fprintf(out, "named checkpoint %06" PRIu64 ", %s ago\n", figure[TW_COORDINATION_CHECKPOINT],
            age_text(figure[TW_COORDINATION_CHECKPOINT_AGE_MS], age));
    uint64_t n_frames = refused_sum(said->nack), n_connections = figure[TW_COORDINATION_REFUSED_CONNECTIONS];
    if (n_frames > 0 || (n_connections > 0 && n_connections != TW_STATUS_UNKNOWN))
        (void)fprintf(out, "refused: %" PRIu64 " frames, %s connections\n", n_frames, count_text(n_connections, text));
    (void)fprintf(out, "%-5s  %-32s  %-6s  %-7s  %9s  %9s  %9s\n", "shard", "address", "serves", "standby", "epoch",
        "takeovers", "heard");
    for (uint32_t i = 0; i < said->n_shards; i++) {
        const tw_coordination_shard *one = &said->shard[i];
        (void)fprintf(out, "%5u  %-32s  %-6s  %-7s  %9" PRIu64 "  %9s  %9s\n", i, one->address,
            yes_text(one->is_served), yes_text(one->has_standby), one->epoch, count_text(one->takeovers, text),
            age_text(one->silent_ms, age));
    }
    (void)fprintf(
        out, "%-24s  %6s  %5s  %5s  %18s  %9s\n", "worker", "number", "share", "pass", "owner epoch", "heard");
    for (uint32_t i = 0; i < said->n_members; i++) {
        const tw_coordination_member *one = &said->member[i];
        bool has_share = one->grant.epoch != 0;
        (void)fprintf(out, "%-24s  %6" PRIu64, one->name, one->number);
        (void)fprintf(out, "  %5s", count_text(has_share ? one->grant.share : TW_STATUS_UNKNOWN, text));
        (void)fprintf(out, "  %5s", count_text(has_share ? one->grant.pass : TW_STATUS_UNKNOWN, text));
        (void)fprintf(out, "  %18s", count_text(has_share ? one->grant.epoch : TW_STATUS_UNKNOWN, text));
        (void)fprintf(out, "  %9s\n", age_text(one->silent_ms, age));
    }
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static json_t *json_count(uint64_t value)
{
    return value == TW_STATUS_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static json_t *json_yes(uint64_t value)
{
    return value == TW_STATUS_UNKNOWN ? json_null() : json_boolean(value != 0);
}

static json_t *json_shard(const tw_coordination_shard *one)
{
    json_t *out = json_object();
    put(out, "address", json_string(one->address));
    put(out, "is_served", json_yes(one->is_served));
    put(out, "has_standby", json_yes(one->has_standby));
    put(out, "epoch", json_count(one->epoch));
    put(out, "takeovers", json_count(one->takeovers));
    put(out, "heard_ms", json_count(one->silent_ms));
    return out;
}

static json_t *json_member(const tw_coordination_member *one)
{
    bool has_share = one->grant.epoch != 0;
    json_t *out = json_object();
    put(out, "name", json_string(one->name));
    put(out, "number", json_count(one->number));
    put(out, "share", has_share ? json_integer(one->grant.share) : json_null());
    put(out, "pass", has_share ? json_integer(one->grant.pass) : json_null());
    put(out, "owner_epoch", has_share ? json_count(one->grant.epoch) : json_null());
    put(out, "heard_ms", json_count(one->silent_ms));
    return out;
}

char *coordination_json(const char *address, const tw_coordination *said)
{
    const tw_status_entry *table = tw_coordination_table();
    json_t *out = json_object(), *shards = json_array(), *members = json_array();
    put(out, "address", json_string(address));
    for (int i = 0; i < TW_COORDINATION_N_FIGURES; i++)
        put(out, table[i].name, json_count(said->figure[i]));
    for (uint32_t i = 0; i < said->n_shards; i++)
        (void)json_array_append_new(shards, json_shard(&said->shard[i]));
    for (uint32_t i = 0; i < said->n_members; i++)
        (void)json_array_append_new(members, json_member(&said->member[i]));
    put(out, "refused", refused_json(said->nack));
    put(out, "map", shards);
    put(out, "members", members);
    char *text = json_dumps(out, JSON_INDENT(2));
    json_decref(out);
    return text;
}

/* --- metrics ------------------------------------------------------------------------------------------------------ */

static tw_status add_head(const char *name, const char *type, const char *help, tw_text *out, tw_error *error)
{
    return tw_text_addf(
        out, error, "# HELP thalweg_coordinator_%s %s\n# TYPE thalweg_coordinator_%s %s\n", name, help, name, type);
}

static tw_status add_shards(const tw_coordination *said, tw_text *out, tw_error *error)
{
    tw_status status = add_head("shard_is_served", "gauge", "1: somebody serves this shard.", out, error);
    for (uint32_t i = 0; i < said->n_shards && status == TW_STATUS_OK; i++) {
        if (said->shard[i].is_served != TW_STATUS_UNKNOWN)
            status = tw_text_addf(out, error, "thalweg_coordinator_shard_is_served{shard=\"%u\"} %" PRIu64 "\n", i,
                said->shard[i].is_served);
    }
    if (status == TW_STATUS_OK)
        status = add_head("shard_takeovers", "gauge", "Times that this shard was taken over from.", out, error);
    for (uint32_t i = 0; i < said->n_shards && status == TW_STATUS_OK; i++)
        status = tw_text_addf(
            out, error, "thalweg_coordinator_shard_takeovers{shard=\"%u\"} %" PRIu64 "\n", i, said->shard[i].epoch);
    return status;
}

static tw_status add_refused(const tw_coordination *said, tw_text *out, tw_error *error)
{
    char key[REFUSED_KEY_SIZE];
    tw_status status = add_head("refused_frames_total", "counter", "Frames refused, by reason.", out, error);
    for (int i = 1; i < TW_NACK_N_REASONS && status == TW_STATUS_OK; i++) {
        refused_key(i, key);
        status = tw_text_addf(
            out, error, "thalweg_coordinator_refused_frames_total{reason=\"%s\"} %" PRIu64 "\n", key, said->nack[i]);
    }
    return status;
}

tw_status coordination_metrics(const tw_coordination *said, tw_text *out, tw_error *error)
{
    const tw_status_entry *table = tw_coordination_table();
    tw_status status = TW_STATUS_OK;
    for (int i = 0; i < TW_COORDINATION_N_FIGURES && status == TW_STATUS_OK; i++) {
        if (table[i].metric == NULL || said->figure[i] == TW_STATUS_UNKNOWN)
            continue;
        status = add_head(table[i].metric, table[i].type, table[i].help, out, error);
        if (status == TW_STATUS_OK)
            status = tw_text_addf(
                out, error, "thalweg_coordinator_%s %.9g\n", table[i].metric, (double)said->figure[i] * table[i].scale);
    }
    if (status == TW_STATUS_OK)
        status = add_refused(said, out, error);
    return status == TW_STATUS_OK ? add_shards(said, out, error) : status;
}
