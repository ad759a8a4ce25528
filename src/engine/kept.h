/* kept.h: single scored events, all or the newest, for figures that bins cannot give: the exact AUC, and the AUC within
 * groups. 24 bytes an event. One thread per object. */
#ifndef TW_ENGINE_KEPT_H
#define TW_ENGINE_KEPT_H

#include "engine/judged.h"
#include "engine/state_bytes.h"

typedef struct tw_kept_event {
    uint64_t group; /* 0: none */
    float score, weight;
    uint64_t is_positive;
} tw_kept_event;

/* Zeroed is empty and keeps all. */
typedef struct tw_kept {
    uint64_t limit; /* the newest so many are kept; 0: all */
    tw_kept_event *event;
    size_t count, capacity;
    size_t oldest; /* with a limit: where the next one goes once `limit` are there */
} tw_kept;

void tw_kept_fini(tw_kept *self);

/* Keeps the labelled events; `facet`: which of the events' facets is the group, UINT32_MAX: none. */
TW_MUST_USE tw_status tw_kept_add(tw_kept *self, const tw_judged *events, uint32_t facet, tw_error *error);

/* P(score of a positive > score of a negative) + P(equal) / 2 over all kept events, by weight. NaN: one class only.
 * Reorders events, so only where there is no limit. */
double tw_kept_auc(tw_kept *self);

/* Mean of the AUC of each group, weighted by the group's weight; groups with one class and events without group are
 * left out (Zhu et al., "Optimized Cost per Click in Taobao Display Advertising", KDD 2017, section 4.2). *n_events:
 * events in the groups that count. NaN: none, or no memory to sort them. */
double tw_kept_gauc(tw_kept *self, double *n_events);

TW_MUST_USE tw_status tw_kept_save(const tw_kept *self, tw_text *out, tw_error *error);
/* Keeps the newest of the saved ones. */
TW_MUST_USE tw_status tw_kept_load(tw_kept *self, tw_state_reader *from, tw_error *error);

#endif
