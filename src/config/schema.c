#include "config/schema.h"

static const tw_config_child no_children[] = {{.name = NULL}};

#define OPTION_BOOL(key, value, text)                                                                                  \
    {                                                                                                                  \
        key, TW_OPTION_BOOL, value, 0, 0, NULL, false, text                                                            \
    }
#define OPTION_INT(key, value, low, high, text)                                                                        \
    {                                                                                                                  \
        key, TW_OPTION_INT, value, low, high, NULL, false, text                                                        \
    }
#define OPTION_REAL(key, value, text)                                                                                  \
    {                                                                                                                  \
        key, TW_OPTION_REAL, value, 0, 0, NULL, false, text                                                            \
    }
#define OPTION_TEXT(key, value, text)                                                                                  \
    {                                                                                                                  \
        key, TW_OPTION_TEXT, value, 0, 0, NULL, false, text                                                            \
    }
#define OPTION_CHOICE(key, value, words, text)                                                                         \
    {                                                                                                                  \
        key, TW_OPTION_CHOICE, value, 0, 0, words, false, text                                                         \
    }
#define OPTION_TIME(key, value, low, high, text)                                                                       \
    {                                                                                                                  \
        key, TW_OPTION_DURATION, value, low, high, NULL, false, text                                                   \
    }
#define OPTION_SIZE(key, value, low, high, text)                                                                       \
    {                                                                                                                  \
        key, TW_OPTION_SIZE, value, low, high, NULL, false, text                                                       \
    }
#define OPTION_RATIO(key, value, text)                                                                                 \
    {                                                                                                                  \
        key, TW_OPTION_RATIO, value, 0, 0, NULL, false, text                                                           \
    }
#define OPTION_LIST(key, text)                                                                                         \
    {                                                                                                                  \
        key, TW_OPTION_LIST, NULL, 0, 0, NULL, false, text                                                             \
    }
#define OPTION_END                                                                                                     \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }
#define CHILD(key, kind, block)                                                                                        \
    {                                                                                                                  \
        key, kind, block, TW_PLUGIN_NONE, NULL, NULL                                                                   \
    }
#define REFUSED(key, hint)                                                                                             \
    {                                                                                                                  \
        key, TW_CHILD_REFUSED, NULL, TW_PLUGIN_NONE, hint, NULL                                                        \
    }
#define CHILD_END                                                                                                      \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

/* --- source ------------------------------------------------------------------------------------------------------- */

static const tw_option format_options[] = {
    OPTION_TEXT("type", NULL, "format plug-in that decodes the bytes; required in the first source"),
    OPTION_END,
};
static const tw_config_block format_block = {
    "source.format",
    "How bytes become events. A plain word is short for {type: word}; the other keys are the format's own.",
    format_options,
    no_children,
    TW_PLUGIN_FORMAT,
};

static const tw_option time_options[] = {
    {"field", TW_OPTION_TEXT, NULL, 0, 0, NULL, false, "field that holds the event time; absent: no event time"},
    OPTION_CHOICE(
        "unit", "ms", "s|ms|us|iso8601", "unit of the field: seconds, milliseconds or microseconds since 1970"),
    OPTION_END,
};
static const tw_config_block time_block = {
    "source.time", "Event time, for lag and windows.", time_options, no_children, TW_PLUGIN_NONE};

static const tw_option bad_record_options[] = {
    OPTION_CHOICE(
        "action", "skip", "skip|stop", "what a malformed record does: it is skipped and counted, or ends the run"),
    OPTION_RATIO("limit", "1", "share of malformed records above which the run stops; 1 = no limit"),
    OPTION_TEXT("dead_letter", NULL, "file that takes a copy of every malformed record"),
    OPTION_END,
};
static const tw_config_block bad_record_block = {"source.bad_records",
    "What happens to records that cannot be decoded. They are never learned from.", bad_record_options, no_children,
    TW_PLUGIN_NONE};

static const tw_option source_options[] = {
    OPTION_TEXT("type", "file", "source plug-in that delivers the bytes"),
    OPTION_TEXT("rate", NULL, "replays at this many events a second, such as 50000/s; absent: as fast as possible"),
    OPTION_END,
};
static const tw_config_child source_children[] = {
    CHILD("format", TW_CHILD_NAMED_MAP, &format_block),
    CHILD("time", TW_CHILD_MAP, &time_block),
    CHILD("bad_records", TW_CHILD_MAP, &bad_record_block),
    REFUSED("max_lateness", "events are learned in the order of arrival; remove the key"),
    CHILD_END,
};
static const tw_config_block source_block = {
    "source",
    "Where events come from: a map, or a list of maps that are read one after the other as one stream (history, then "
    "live). In a list, `format`, `time` and `bad_records` of the first entry hold for the others too. The other keys "
    "are the source's own.",
    source_options,
    source_children,
    TW_PLUGIN_SOURCE,
};

/* --- features, label ---------------------------------------------------------------------------------------------- */

static const tw_option hash_options[] = {
    {"bits", TW_OPTION_INT, NULL, 12, 31, NULL, false, "the same as model.table: hashed with model.bits"},
    OPTION_INT("seed", "0", 0, 4294967295.0, "seed of feature keys and of initial values"),
    OPTION_CHOICE("function", "xxh3", "xxh3", "hash function of feature keys"),
    OPTION_END,
};
static const tw_config_block hash_block = {
    "features.hash", "How features become 64-bit keys.", hash_options, no_children, TW_PLUGIN_NONE};

static const tw_option column_options[] = {
    OPTION_TEXT("field", NULL, "name of the field in a record; required unless as: constant"),
    {"as", TW_OPTION_CHOICE, NULL, 0, 0, "numeric|categorical|set|constant|ignore", true, "how the field is used"},
    OPTION_CHOICE("transform", NULL, "none|log1p", "numeric: log1p takes log(1 + x); absent: none"),
    OPTION_CHOICE("scale",
        NULL,
        "none|standard",
        "numeric: standard subtracts the running mean and divides by the running deviation; absent: features.scale"),
    OPTION_REAL("missing", NULL, "numeric: value of an absent or blank field; absent: the feature is left out"),
    OPTION_TEXT("separator", NULL, "set: one character that separates the elements of a text; absent: arrays only"),
    OPTION_END,
};
static const tw_config_child column_children[] = {
    REFUSED("edges", "buckets are not available; use as: numeric or as: categorical"),
    CHILD_END,
};
static const tw_config_block column_block = {"features.columns[]",
    "One feature. Without any column every field is used: numbers as numeric, texts as categorical, arrays as sets.",
    column_options, column_children, TW_PLUGIN_NONE};

static const tw_option features_options[] = {
    OPTION_CHOICE("scale", "none", "none|standard", "scale of numeric columns that do not say their own"),
    OPTION_BOOL("dense", "false", "numeric columns also form dense rows, for learners that want vectors"),
    OPTION_INT("dims", "0", 0, 65536, "width of dense rows; 0 = the number of numeric columns"),
    OPTION_LIST("missing_values", "texts that mean \"no value\" besides the empty one, such as NA"),
    OPTION_END,
};
static const tw_config_child features_children[] = {
    CHILD("hash", TW_CHILD_MAP, &hash_block),
    CHILD("columns", TW_CHILD_MAPS, &column_block),
    {"crosses", TW_CHILD_WORD_LISTS, NULL, TW_PLUGIN_NONE,
        "lists of 2 to 4 categorical or set columns (or namespaces) whose combinations become features", NULL},
    REFUSED("names", "names are not kept; `model show` prints keys"),
    CHILD_END,
};
static const tw_config_block features_block = {
    "features", "Which fields of a record become features.", features_options, features_children, TW_PLUGIN_NONE};

static const tw_option label_options[] = {
    OPTION_TEXT("field", "label", "field that holds the label; formats with a label of their own ignore it"),
    OPTION_LIST("positive", "texts that mean 1, all others mean 0; absent: 1 and -1 or 0, true and false"),
    OPTION_TEXT("weight", NULL, "field that holds the importance of an event; absent: 1"),
    OPTION_END,
};
static const tw_config_block label_block = {
    "label", "What is to be predicted.", label_options, no_children, TW_PLUGIN_NONE};

/* --- model, parameter servers ------------------------------------------------------------------------------------- */

static const tw_option model_options[] = {
    {"type", TW_OPTION_TEXT, NULL, 0, 0, NULL, true, "learner"},
    OPTION_TEXT("loss", NULL, "short for params.loss"),
    OPTION_CHOICE(
        "table", "exact", "exact|hashed", "exact: one row a key, no collisions; hashed: 2^bits rows, no keys kept"),
    {"bits", TW_OPTION_INT, NULL, 12, 31, NULL, false, "log2 of the rows of a hashed table; absent: 22"},
    OPTION_SIZE("max_bytes", "0", 0, 9e18, "cap on the memory of rows, reaching it is an error; 0 = none"),
    OPTION_CHOICE("evict",
        NULL,
        "none|oldest",
        "oldest: at max_bytes the rows learned longest ago give way, slot by slot; absent: none"),
    OPTION_END,
};
static const tw_option admission_options[] = {
    OPTION_INT("count", NULL, 2, 4095, "a key gets a row at its n-th event; absent: by probability, or at once"),
    {"probability", TW_OPTION_RATIO, NULL, 0, 0, NULL, false,
        "a key gets a row at each of its events with this chance, the same one in every run"},
    OPTION_SIZE("memory",
        NULL,
        786432,
        1e13,
        "of the counts of keys without a row, 12 bytes each; absent: 12 MiB; the keys seen longest ago are forgotten"),
    OPTION_END,
};
static const tw_config_block admission_block = {"model.admission",
    "When a key of an exact table gets a row. Until then it has the initial one and what is learned of it is dropped.",
    admission_options, no_children, TW_PLUGIN_NONE};
static const tw_option expiry_options[] = {
    OPTION_INT("after", NULL, 1000, 1073741824, "events without its key after which a row is forgotten; absent: never"),
    OPTION_END,
};
static const tw_config_block expiry_block = {"model.expiry",
    "How long a row of an exact table lasts without being learned.", expiry_options, no_children, TW_PLUGIN_NONE};
static const tw_config_child model_children[] = {
    CHILD("admission", TW_CHILD_MAP, &admission_block),
    CHILD("expiry", TW_CHILD_MAP, &expiry_block),
    {"params", TW_CHILD_PARAMS, NULL, TW_PLUGIN_LEARNER, "options of the learner", "type"},
    CHILD_END,
};
static const tw_config_block model_block = {
    "model", "The learner and the table that holds its rows.", model_options, model_children, TW_PLUGIN_NONE};

static const tw_option server_options[] = {
    OPTION_INT(
        "shards", "0", 0, 4096, "shards started with the run, over which the rows are spread; 0 = a local table"),
    OPTION_LIST(
        "connect", "addresses of shards that run already, in the order of their numbers; A|B: a shard and its standby"),
    OPTION_LIST("bind", "addresses of the started shards, one each; absent: ipc"),
    OPTION_CHOICE("standby",
        "none",
        "none|async|sync",
        "a second process for every started shard, which takes over when it dies; sync: pushes wait for its copy"),
    OPTION_TIME("timeout", "30s", 1e5, 864e8, "how long a shard may stay silent before the run ends and names it"),
    OPTION_TEXT("staleness",
        "unlimited",
        "rounds (batches or slices) that a worker may be ahead of the slowest one: 0 (in step, reruns are "
        "bit-equal), a number, or unlimited; without effect for one worker"),
    OPTION_CHOICE("flight",
        "rule",
        "rule|none",
        "rule: several workers learn in slices so small that the model stays that of one; none: whole batches, for "
        "experiments on what the rule is good for"),
    OPTION_SIZE("stripe",
        "1MiB",
        1024,
        1099511627776.0,
        "bytes of a stripe, of which every worker reads its share; a small file wants smaller ones, and a model is "
        "continued with the same"),
    OPTION_END,
};
static const tw_option security_options[] = {
    OPTION_TEXT("key", NULL, "file of this program's own secret key (thalweg keygen); absent: connections are plain"),
    OPTION_TEXT("server_key", NULL, "public key of the shards, as text or as a file; needed with key"),
    OPTION_BOOL("insecure",
        "false",
        "plain connections to other machines too: anybody who can reach them may read and change the model"),
    OPTION_END,
};
static const tw_config_block security_block = {"parameter_servers.security",
    "How the run proves itself to shards that it joins (connect), and they to it: CurveZMQ keys.", security_options,
    no_children, TW_PLUGIN_NONE};
static const tw_config_child server_children[] = {
    CHILD("security", TW_CHILD_MAP, &security_block),
    REFUSED("consistency", "write parameter_servers.staleness: 0"),
    CHILD_END,
};
static const tw_config_block server_block = {"parameter_servers", "Where the rows live, if not in the process itself.",
    server_options, server_children, TW_PLUGIN_NONE};

/* --- running ------------------------------------------------------------------------------------------------------ */

static const tw_option every_options[] = {
    OPTION_INT("events", "0", 0, 9e15, "learned events between checkpoints; 0 = by time only"),
    OPTION_TIME("time", "60s", 0, 0, "time between checkpoints; 0 = by events only"),
    OPTION_END,
};
static const tw_config_block every_block = {
    "checkpoint.every", "Whichever comes first.", every_options, no_children, TW_PLUGIN_NONE};
static const tw_option checkpoint_options[] = {
    OPTION_TEXT("dir", NULL, "directory of the checkpoints, which are also the model; absent: nothing is saved"),
    OPTION_INT("keep", "3", 1, 10000, "checkpoints that are kept"),
    OPTION_INT("deltas",
        "8",
        0,
        32,
        "checkpoints that hold only the rows that changed, between two that hold all of them; 0 = all of them always"),
    OPTION_END,
};
static const tw_config_child checkpoint_children[] = {CHILD("every", TW_CHILD_MAP, &every_block), CHILD_END};
static const tw_config_block checkpoint_block = {"checkpoint",
    "Saved while learning goes on; a run resumes from the last one.", checkpoint_options, checkpoint_children,
    TW_PLUGIN_NONE};

static const tw_option drift_options[] = {
    OPTION_CHOICE("detector",
        "none",
        "none|adwin|page_hinkley",
        "adwin: a window that drops its old part when its mean has changed (Bifet and Gavalda 2007); page_hinkley: a "
        "cumulative sum (Page 1954)"),
    OPTION_CHOICE("of",
        "loss",
        "loss|error",
        "what is watched: the learner's loss of each event (k-means: squared distance), or 1 for a wrong sign and 0 "
        "for a right one"),
    {"delta", TW_OPTION_REAL, NULL, 1e-12, 1e12, NULL, false,
        "adwin: chance of a false alarm, below 1 (absent: 0.002, MOA); page_hinkley: rise of the mean that is "
        "tolerated, "
        "in units of what is watched (absent: 0.005, MOA)"},
    {"threshold", TW_OPTION_REAL, "50", 1e-12, 1e12, NULL, false,
        "page_hinkley: cumulated rise that is a drift, in units of what is watched (MOA)"},
    {"alpha", TW_OPTION_REAL, "0.9999", 0, 1, NULL, false, "page_hinkley: factor by which the past fades (MOA)"},
    OPTION_INT("min_events", "30", 1, 1e9, "page_hinkley: events before the first drift (MOA)"),
    OPTION_CHOICE("action",
        "report",
        "report|forget",
        "forget: also moves the learner's forgetting clock on, so that it learns in larger steps"),
    {"half_lives", TW_OPTION_REAL, "3", 1e-3, 64, NULL, false,
        "forget: half-lives by which a drift moves the clock on"},
    OPTION_END,
};
static const tw_config_block drift_block = {"evaluate.drift",
    "Watches for a lasting rise of the loss. The model does not depend on batches with it either.", drift_options,
    no_children, TW_PLUGIN_NONE};

static const tw_option evaluate_options[] = {
    OPTION_TEXT("window", "0", "length of tumbling windows, events such as 100_000 or event time such as 1h; 0 = none"),
    OPTION_TEXT("windows", NULL, "file that takes the figures of each finished window, one JSON object a line"),
    OPTION_CHOICE("auc", "binned", "binned|exact", "exact keeps every score in memory"),
    {"metrics", TW_OPTION_LIST, NULL, 0, 0,
        "loss|logloss|best_constant_logloss|normalized_entropy|auc|auc_error|gauc|gauc_events|calibration|accuracy|"
        "precision|recall|f1|kappa|kappa_no_change|mse|rmse|mae|r2|inertia|calibration_table",
        false, "figures to give, the others are null; absent: all of the learner's task"},
    {"threshold", TW_OPTION_REAL, "0.5", 1e-9, 0.999999999, NULL, false,
        "binary: a prediction above it counts as class 1"},
    OPTION_INT("label_delay",
        "0",
        0,
        1e9,
        "events that are scored before the label of an event arrives and is learned, one by one; local tables only"),
    OPTION_LIST("slices", "fields whose values have figures of their own in the report, at most 15, features or not"),
    OPTION_INT("slice_limit", "1000", 1, 1000000, "values of a field with figures of their own; the rest are one more"),
    OPTION_TEXT("groups", NULL, "field, such as a user, within whose values gauc compares scores; absent: no gauc"),
    OPTION_INT("group_events", "100000", 0, 1e9, "newest events that gauc is taken over, 24 bytes each; 0 = all"),
    OPTION_END,
};
static const tw_config_child evaluate_children[] = {CHILD("drift", TW_CHILD_MAP, &drift_block), CHILD_END};
static const tw_config_block evaluate_block = {"evaluate",
    "Progressive figures: every event is scored before it is learned.", evaluate_options, evaluate_children,
    TW_PLUGIN_NONE};

static const tw_option sink_options[] = {
    {"type", TW_OPTION_TEXT, NULL, 0, 0, NULL, true, "sink plug-in"},
    OPTION_END,
};
static const tw_config_block sink_block = {"sinks[]",
    "Where progressive scores go, one entry a sink. The other keys are the sink's own.", sink_options, no_children,
    TW_PLUGIN_SINK};

static const tw_option serve_options[] = {
    OPTION_TEXT("zmq", NULL, "address of the ZeroMQ prediction socket, such as tcp://127.0.0.1:5560"),
    OPTION_TEXT("http", NULL, "host:port of the HTTP server, such as 127.0.0.1:8080"),
    OPTION_SIZE("max_body", "8MiB", 1024, 1073741824.0, "largest request that is accepted"),
    OPTION_INT("max_connections", "256", 1, 65536, "open HTTP connections at one time"),
    OPTION_END,
};
static const tw_config_child serve_children[] = {
    REFUSED("refresh", "predictions are made by the live model; remove the key"),
    REFUSED("max_age", "every answer carries the age of the model; remove the key"),
    CHILD_END,
};
static const tw_config_block serve_block = {
    "serve", "Predictions from the model while it is trained.", serve_options, serve_children, TW_PLUGIN_NONE};

static const tw_option require_options[] = {
    OPTION_TEXT("loss", NULL, "limit on the mean of the learner's own loss"),
    OPTION_TEXT("logloss", NULL, "limit on the mean logloss, such as \"<= 0.45\""),
    OPTION_TEXT("normalized_entropy", NULL, "limit on logloss over that of the best constant, such as \"< 1\""),
    OPTION_TEXT("auc", NULL, "limit on the exact AUC, such as \">= 0.70\""),
    OPTION_TEXT("calibration", NULL, "limit on the sum of predictions over the sum of labels"),
    OPTION_TEXT("accuracy", NULL, "limit on the share of right classes"),
    OPTION_TEXT("precision", NULL, "limit on the precision of class 1"),
    OPTION_TEXT("recall", NULL, "limit on the recall of class 1"),
    OPTION_TEXT("f1", NULL, "limit on F1 of class 1"),
    OPTION_TEXT("kappa", NULL, "limit on Cohen's kappa"),
    OPTION_TEXT("kappa_no_change", NULL, "limit on kappa against repeating the label before"),
    OPTION_TEXT("mse", NULL, "limit on the mean squared error (regression)"),
    OPTION_TEXT("rmse", NULL, "limit on its root (regression)"),
    OPTION_TEXT("mae", NULL, "limit on the mean absolute error (regression)"),
    OPTION_TEXT("r2", NULL, "limit on the share of variance explained (regression)"),
    OPTION_TEXT("inertia", NULL, "limit on the mean squared distance (clustering)"),
    OPTION_INT("over",
        "10_000",
        1,
        1e6,
        "the newest learned events that the figures are of, each scored before it was learned; with fewer, no version "
        "is published; 12 bytes an event are kept"),
    OPTION_END,
};
static const tw_config_block require_block = {"publish.require",
    "What a checkpoint must keep to be served. A limit is >=, <=, > or < and a number. One that fails is saved, for "
    "resuming, and marked as refused; the newest one that passed is served instead.",
    require_options, no_children, TW_PLUGIN_NONE};
static const tw_config_child publish_children[] = {CHILD("require", TW_CHILD_MAP, &require_block), CHILD_END};
static const tw_option publish_options[] = {OPTION_END};
static const tw_config_block publish_block = {
    "publish", "Which checkpoints are served.", publish_options, publish_children, TW_PLUGIN_NONE};

static const tw_option train_options[] = {
    OPTION_CHOICE("mode",
        "online",
        "online|batch",
        "online: event by event; batch: the bounded part of the sources as a whole, then online what follows it; "
        "absent: batch if a solver is named"),
    OPTION_TEXT("solver", "online", "what fits the bounded part in mode batch: a batch solver, or the learner itself"),
    OPTION_INT("passes",
        "1",
        1,
        1000000,
        "times that bounded data is learned; mode batch: by the learner itself (solver online, ftrl or sgd)"),
    OPTION_TEXT("cache",
        NULL,
        "mode batch: file that keeps the decoded events for later runs over the same input; absent: a temporary one"),
    {"holdout", TW_OPTION_RATIO, NULL, 0, 0.5, NULL, false,
        "mode batch by the learner itself: share of the events, evenly spread, that is only scored; 0 = none; absent: "
        "10%"},
    {"early_stop", TW_OPTION_INT, NULL, 0, 1000000, NULL, false,
        "mode batch by the learner itself: ends after so many passes without a better loss on the held-out events, and "
        "keeps the best pass; 0 = never; absent: 3"},
    {"shuffle_seed", TW_OPTION_INT, NULL, 0, 4294967295.0, NULL, false,
        "mode batch by the learner itself: each pass in another order, drawn by this seed; absent: the order of the "
        "input"},
    OPTION_END,
};
static const tw_config_child train_children[] = {
    {"params", TW_CHILD_PARAMS, NULL, TW_PLUGIN_SOLVER, "options of the solver", "solver"},
    REFUSED("tolerance", "it belongs into train.params"),
    CHILD_END,
};
static const tw_config_block train_block = {
    "train", "How often and by what the data is learned.", train_options, train_children, TW_PLUGIN_NONE};

static const tw_option engine_options[] = {
    OPTION_INT("batch", "256", 1, 1048576, "events after which a batch is closed; the model does not depend on it"),
    OPTION_TIME("max_latency", "5ms", 0, 60e6, "time after which a batch is closed even if it is not full"),
    OPTION_INT("queue", "3", 1, 1024, "decoded batches that may wait for the learner; few stay in the cache"),
    OPTION_END,
};
static const tw_config_block engine_block = {
    "engine", "Knobs of the loop. None of them changes the model.", engine_options, no_children, TW_PLUGIN_NONE};

static const tw_option root_options[] = {
    {"version", TW_OPTION_INT, NULL, 1, 1, NULL, true, "version of the file's form; always 1"},
    OPTION_TEXT("name", "pipeline", "name of the model in messages, addresses and shards"),
    OPTION_LIST("include", "files whose keys are taken over, relative to this file; keys of this file win"),
    OPTION_INT("workers", "1", 1, 1024, "learning processes, which share bounded files in stripes of 1 MiB"),
    OPTION_END,
};
static const tw_config_child root_children[] = {
    CHILD("source", TW_CHILD_MAP_OR_MAPS, &source_block),
    CHILD("features", TW_CHILD_MAP, &features_block),
    CHILD("label", TW_CHILD_MAP, &label_block),
    CHILD("model", TW_CHILD_MAP, &model_block),
    CHILD("parameter_servers", TW_CHILD_MAP, &server_block),
    CHILD("checkpoint", TW_CHILD_MAP, &checkpoint_block),
    CHILD("evaluate", TW_CHILD_MAP, &evaluate_block),
    CHILD("sinks", TW_CHILD_MAPS, &sink_block),
    CHILD("serve", TW_CHILD_MAP, &serve_block),
    CHILD("train", TW_CHILD_MAP, &train_block),
    CHILD("engine", TW_CHILD_MAP, &engine_block),
    REFUSED("alerts", "write scores to a sink and watch them there"),
    CHILD("publish", TW_CHILD_MAP, &publish_block),
    REFUSED("tests", "remove the block, or run `thalweg predict` on sample rows"),
    CHILD_END,
};
static const tw_config_block root_block = {
    "", "A pipeline: from a source through features to a learner.", root_options, root_children, TW_PLUGIN_NONE};

const tw_config_block *tw_config_root(void)
{
    return &root_block;
}
