/* crew_figures.h: figures that add up over several workers: what each leaves in a file while it learns and at its end,
 * and what the run that started them makes of these. Progressive sums and the bins of the AUC add up; the figures since
 * the last line and the lag do not, and stay unknown. One thread per object. */
#ifndef TW_CMD_CREW_FIGURES_H
#define TW_CMD_CREW_FIGURES_H

#include "cmd/assembly.h"
#include "engine/engine.h"

typedef struct crew_counts {
    uint64_t bad_events, bytes, batches, rewinds, conflicts, reconnects;
} crew_counts;

typedef struct crew_figures {
    const assembly *all; /* borrowed, built */
    crew_counts counts;
    tw_metrics *metrics;
} crew_figures;

/* All zero. */
TW_MUST_USE tw_status crew_figures_init(crew_figures *self, const assembly *all, tw_error *error);
/* A zeroed one is fine. */
void crew_figures_fini(crew_figures *self);

void crew_figures_add(crew_figures *self, const crew_figures *other);
/* Adds what the engine has counted so far; on its learning thread. Conflicts and reconnections are those of its
 * model's store from the start, and replace what is here. */
TW_MUST_USE tw_status crew_figures_add_engine(crew_figures *self, tw_engine *engine, tw_error *error);

/* Readers see the old file or the new one. */
TW_MUST_USE tw_status crew_figures_write(const crew_figures *self, const char *path, tw_error *error);
/* NOT_FOUND: there is no such file; nothing is added after an error. */
TW_MUST_USE tw_status crew_figures_add_file(crew_figures *self, const char *path, tw_error *error);

/* Fills what is known here and leaves the rest of `out` alone. */
void crew_figures_report(const crew_figures *self, tw_report *out);

#endif
