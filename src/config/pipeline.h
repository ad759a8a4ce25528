/* pipeline.h: a pipeline as plain typed values, checked as far as it can be without starting anything.
 *
 * Beyond unknown keys, types, ranges and missing keys these are refused (code):
 *   E105  no source; a column without `field` that is not a constant
 *   E120  alerts, tests; workers > 1 with sources that follow, standard input, sinks, a dead-letter file, a file of
 *         windows, evaluate.drift or publish
 *   E121  features.hash.bits with model.table: exact, or with other model.bits; model.bits with model.table: exact
 *   E122  a source that follows and is not the last; several passes over one that follows or that is standard input;
 *         sources of one sequence with different formats
 *   E123  a malformed address; an address off loopback, unless it is a shard's and security has keys or insecure;
 *         security.key without server_key or the other way round
 *   E124  checkpoint.every or keep without checkpoint.dir; both periods 0
 *   E125  shards with connect; bind without shards; as many bind addresses as shards or none; standby without shards;
 *         staleness that is neither a number of rounds nor unlimited
 *   E126  transform, scale or missing on a column that is not numeric; separator on one that is not a set or longer
 * than one character; a field twice in the same way; a cross of fewer than 2 or more than 4 fields, of unknown,
 *         numeric, constant or ignored fields; too many columns or crosses
 *   E127  more than TW_PIPELINE_MAX_POSITIVE positive labels; the label or weight field among the columns
 *   E128  model.loss for a learner without that option, or against params.loss
 *   E129  evaluate.drift.delta of 1 or more with adwin
 *   E130  mode batch with endless sources only; a solver with mode online; solver ftrl or sgd for another learner;
 *         options of passes with a batch solver, options of mode batch without it
 *   E132  evaluate.window by time without source.time.field; evaluate.windows without evaluate.window;
 *         evaluate.slices with more than TW_PIPELINE_MAX_SLICES fields or one twice; the label, weight or time among
 *         slices and groups; evaluate.label_delay with parameter servers or workers
 *   E133  publish.require without a figure or without checkpoint.dir, or with something else than a limit */
#ifndef TW_CONFIG_PIPELINE_H
#define TW_CONFIG_PIPELINE_H

#include "base/limit.h"
#include "config/schema.h"
#include "config/tree.h"
#include "thalweg/params.h"

enum {
    TW_PIPELINE_MAX_CROSS_FIELDS = 4,
    TW_PIPELINE_MAX_COLUMNS = 4096,
    TW_PIPELINE_MAX_CROSSES = 256,
    TW_PIPELINE_MAX_POSITIVE = 16,
    TW_PIPELINE_DEFAULT_BITS = 22,
    TW_PIPELINE_MAX_REQUIREMENTS = 16,
    TW_PIPELINE_MAX_SLICES = 15,
};

typedef struct tw_text_list {
    const char **item;
    uint32_t count;
} tw_text_list;

typedef enum tw_pipeline_time_unit {
    TW_PIPELINE_TIME_S,
    TW_PIPELINE_TIME_MS,
    TW_PIPELINE_TIME_US,
    TW_PIPELINE_TIME_ISO8601,
} tw_pipeline_time_unit;

typedef struct tw_pipeline_source {
    const char *type; /* name of the source plug-in */
    const tw_option_values *options;
    const char *format; /* name of the format plug-in */
    const tw_option_values *format_options;
    bool is_endless;        /* follows */
    double events_per_s;    /* replay rate; 0: as fast as possible */
    const char *time_field; /* NULL: no event time */
    tw_pipeline_time_unit time_unit;
    bool is_bad_fatal;       /* the first malformed record ends the run */
    double bad_limit;        /* share of malformed records above which the run stops; 1: no limit */
    const char *dead_letter; /* NULL: none */
} tw_pipeline_source;

typedef enum tw_pipeline_column_kind {
    TW_PIPELINE_NUMERIC,
    TW_PIPELINE_CATEGORICAL,
    TW_PIPELINE_SET,
    TW_PIPELINE_CONSTANT,
    TW_PIPELINE_IGNORE,
} tw_pipeline_column_kind;

typedef struct tw_pipeline_column {
    const char *field; /* NULL for a constant */
    tw_pipeline_column_kind kind;
    bool is_log1p, is_scaled, has_missing;
    double missing;
    char separator; /* set: 0 = arrays only */
} tw_pipeline_column;

typedef struct tw_pipeline_cross {
    const char *field[TW_PIPELINE_MAX_CROSS_FIELDS];
    uint32_t n_fields;
} tw_pipeline_cross;

typedef struct tw_pipeline_sink {
    const char *type;
    const tw_option_values *options;
} tw_pipeline_sink;

typedef struct tw_pipeline_requirement {
    const char *figure; /* "auc" */
    tw_limit limit;
} tw_pipeline_requirement;

typedef enum tw_pipeline_detector {
    TW_PIPELINE_NO_DETECTOR,
    TW_PIPELINE_ADWIN,
    TW_PIPELINE_PAGE_HINKLEY,
} tw_pipeline_detector;

typedef struct tw_pipeline_drift {
    tw_pipeline_detector detector;
    bool is_of_error; /* else of the loss */
    double delta, threshold, alpha;
    uint64_t min_events;
    bool is_forgetting;
    double half_lives;
} tw_pipeline_drift;

/* Owns all that it points to, except the tree. Texts that are optional are NULL when absent. */
/* Numbered as in cmd/children.h. */
typedef enum tw_pipeline_standby {
    TW_PIPELINE_NO_STANDBY,
    TW_PIPELINE_STANDBY_ASYNC,
    TW_PIPELINE_STANDBY_SYNC,
} tw_pipeline_standby;

typedef struct tw_pipeline {
    const char *name;

    tw_pipeline_source *source; /* [n_sources], read one after the other */
    uint32_t n_sources;

    uint64_t hash_seed;
    tw_pipeline_column *column; /* [n_columns]; 0: an automatic plan */
    uint32_t n_columns;
    tw_pipeline_cross *cross; /* [n_crosses] */
    uint32_t n_crosses;
    bool is_scaled_default; /* features.scale: standard; already in each column's is_scaled */
    bool is_dense;
    uint32_t dense_width; /* 0: number of numeric columns */
    tw_text_list missing_values;

    const char *label_field; /* never NULL */
    tw_text_list positive;
    const char *weight_field;

    const char *learner;
    const tw_option_values *learner_options;
    bool is_hashed;
    uint32_t bits;      /* hashed: 12 .. 31; exact: 0 */
    uint64_t max_bytes; /* 0: no cap */
    tw_keep keep;       /* admission, expiry, eviction */

    uint32_t workers;            /* 1 */
    uint32_t shards;             /* started with the run; 0: none */
    tw_pipeline_standby standby; /* of the started shards */
    tw_text_list connect, bind;
    int64_t shard_timeout_us;
    uint32_t staleness;  /* UINT32_MAX: unlimited */
    bool is_flight_free; /* workers learn whole batches, whatever the learner allows */
    uint64_t stripe_bytes;
    const char *shard_key, *shard_server_key; /* files or text, both or none */
    bool is_insecure;

    const char *checkpoint_dir;
    uint64_t checkpoint_events; /* 0: not by events */
    int64_t checkpoint_us;      /* 0: not by time */
    uint32_t checkpoint_keep, checkpoint_deltas;

    uint64_t window_events;   /* 0: no windows by events */
    int64_t window_us;        /* 0: no windows by event time */
    const char *windows_path; /* NULL: none */
    bool is_auc_exact;
    tw_text_list metrics; /* empty: all */
    double threshold;
    tw_text_list slices; /* fields */
    uint32_t slice_limit;
    const char *group; /* NULL: none */
    uint64_t group_events;
    uint64_t label_delay; /* events; 0: none */
    tw_pipeline_drift drift;

    tw_pipeline_requirement require[TW_PIPELINE_MAX_REQUIREMENTS]; /* of publish */
    uint32_t n_required;
    uint32_t require_over; /* learned events */

    tw_pipeline_sink *sink; /* [n_sinks] */
    uint32_t n_sinks;

    const char *serve_zmq, *serve_http;
    uint64_t serve_max_body;
    uint32_t serve_max_connections;

    bool is_batch;      /* the bounded sources are fitted as a whole */
    const char *solver; /* batch: its name; "online", "ftrl" or "sgd": the learner itself */
    const tw_option_values *solver_options;
    const char *cache; /* NULL: a temporary file */
    double holdout;    /* 0: none */
    uint32_t early_stop;
    bool is_shuffled;
    uint64_t shuffle_seed;
    uint32_t passes;       /* over the input, or batch: of the learner over the cache */
    uint32_t batch_events; /* events after which a batch is closed */
    int64_t max_latency_us;
    uint32_t queue_batches;

    struct tw_bound *bound; /* private */
    const tw_tree *tree;    /* private */
} tw_pipeline;

/* OK: *out is made and `problems` is as it was. CONFIG: `problems` says everything that is wrong (also what it said
 * before the call counts) and `error` is the first of it. The tree is borrowed for the pipeline's life. */
TW_MUST_USE tw_status tw_pipeline_create(const tw_tree *tree,
    const tw_plugin_catalogue *catalogue,
    tw_problems *problems,
    tw_pipeline **out,
    tw_error *error);
void tw_pipeline_destroy(tw_pipeline **self);

/* Appends the pipeline as YAML with every default filled in. With origins each value is followed by a comment that says
 * where it comes from; without, the text is canonical: it is saved in checkpoints, and it reads back to itself. */
TW_MUST_USE tw_status tw_pipeline_resolved(const tw_pipeline *self, bool with_origins, tw_text *out, tw_error *error);

#endif
