/* gate.h: decides whether a checkpoint may be served, by figures over the last learned events, each scored before it
 * was learned. The verdict is part of the manifest, written with it in one step: a version that is refused is never
 * seen as published, wherever the process is killed. A checkpoint without a verdict was made without a gate and is
 * published. One thread per object unless it says otherwise. */
#ifndef TW_ENGINE_GATE_H
#define TW_ENGINE_GATE_H

#include "base/limit.h"
#include "engine/recent.h"
#include "store/checkpoint.h"

enum { TW_GATE_MAX = 16, TW_GATE_NAME_SIZE = 32, TW_GATE_REASON_SIZE = 256 };

typedef struct tw_gate_requirement {
    const char *figure; /* of figures.h: "auc" */
    tw_limit limit;
} tw_gate_requirement;

typedef struct tw_gate_options {
    tw_gate_requirement require[TW_GATE_MAX];
    uint32_t n_required; /* 0: every version is published */
    uint32_t over;       /* learned events of the window: 1 .. TW_RECENT_MAX */
    double threshold;    /* of the classes, see metrics.h */
} tw_gate_options;

typedef struct tw_gate_figure {
    char name[TW_GATE_NAME_SIZE];
    tw_limit limit;
    double value; /* NaN: not known */
} tw_gate_figure;

typedef struct tw_verdict {
    bool is_published;
    uint64_t over, events;      /* wanted in the window; there */
    uint64_t published_version; /* the newest that passed, this one included; 0: none */
    uint64_t refused_versions;  /* so far, this one included */
    uint32_t n_figures;
    tw_gate_figure figure[TW_GATE_MAX];
} tw_verdict;

/* CONFIG: a figure that the learner's task does not have. */
TW_MUST_USE tw_status tw_gate_check(const tw_gate_options *options, tw_task task, const char *learner, tw_error *error);

/* Judges the manifest by its section "window" and puts the verdict into it; `before`: the verdict before this one
 * (zeroed: none). Any thread. */
TW_MUST_USE tw_status tw_gate_judge(const tw_gate_options *options,
    const tw_learner_traits *traits,
    const tw_verdict *before,
    tw_manifest *manifest,
    tw_verdict *out,
    tw_error *error);

/* The manifest's verdict; published, with zeroed counts, when it has none. */
TW_MUST_USE tw_status tw_verdict_read(const tw_manifest *manifest, tw_verdict *out, tw_error *error);

/* Why it was refused: "auc 0.61 is not >= 0.7"; "" when it was not. */
void tw_verdict_reason(const tw_verdict *self, char reason[TW_GATE_REASON_SIZE]);

#endif
