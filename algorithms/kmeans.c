/* kmeans: streaming k-means: running means of the events that came to each centre, old ones forgotten. Decay as in
 * Spark's streaming k-means by points; seeding: see math/seeding.h; moves of centres: see math/codebook.h.
 *
 * Learn   j = nearest centre; weight = weight f + c, sum = sum f + c x, centre = sum / weight, where c is the
 *         importance of the event (0: scored, not learned) and f what is kept since j learned last. That equals
 *         forgetting in all centres at every event.
 * Score   [squared distance, j] before the event moves the centre; [NaN, -1] while there is no centre.
 * Init    kmeans++, random: the first `init_events` events are kept; at their half, quarter, ... number too, the
 *         centres are fitted to what is there. first: events become centres in turn. While fewer than k centres are in
 *         use, an event that equals none of them becomes one.
 * Move    every KMEANS_TICK events one centre's cost of removal and gain by a second centre is looked at; once round,
 *         the cheapest centre moves to the largest gain if that lowers the sum of squared distances.
 *
 * Sparse  see algorithms/kmeans_sparse.c; the rest of this is about dense input.
 * Blocks  centroids [k], halves [2 k] (move): records of math/codebook.h; sums and weights of several workers merge
 *         exactly, fits and moves that two make at the same time do not (kmeans_flight, kmeans_fit)
 *         progress [1]: kmeans_progress; clock [1] (forgetting): algorithms/forgetting.h
 *         reservoir [r]: the first r events {u64 tick, f32 weight, f32 point[d]} */
#include <math.h>
#include <string.h>

#include "algorithms/kmeans.h"
#include "base/hash.h"
#include "math/function.h"
#include "thalweg/learner.h"

enum {
    KMEANS_MAX_CENTRES = 65536,
    KMEANS_MAX_RESERVOIR = 20000,
    KMEANS_RESERVOIR_BYTES = 64 << 20,
    KMEANS_EVENTS_PER_CENTRE = 20,
    KMEANS_FIRST_PER_CENTRE = 4, /* events a centre at the first of the fits */
    KMEANS_REPAIR_PART = 8,
    KMEANS_FLIGHT_PART = 64, /* of the events after the seeding may be in flight */
    KMEANS_HALF_EVENTS = 16, /* events that a half must hold before its gain is believed */
};

/* Points longer than this (squared) would give distances that are no finite floats. */
static const float KMEANS_LENGTH_LIMIT = 1e36f;
/* A gain is a noisy sum; it must beat the cost by this factor. */
static const double KMEANS_GAIN_MARGIN = 1.1;

/* The blocks of one call. */
typedef struct kmeans_view {
    kmeans_state *self;
    kmeans_progress *progress;
    uint64_t now; /* the tick of the event that is learned */
    tw_cells cells;
    tw_sample reservoir;
} kmeans_view;

static const tw_option kmeans_options[] = {
    {.name = "k",
        .type = TW_OPTION_INT,
        .fallback = "8",
        .min = 1,
        .max = KMEANS_MAX_CENTRES,
        .help = "number of centres"},
    {.name = "dims",
        .type = TW_OPTION_INT,
        .fallback = "0",
        .min = 0,
        .max = 65536,
        .help = "width of a row; 0 takes the number of numeric columns"},
    {.name = "input",
        .type = TW_OPTION_CHOICE,
        .fallback = "dense",
        .choices = "dense|sparse",
        .help = "sparse: events as features of any number, centres in a row of k sums a feature; no moves"},
    {.name = "decay",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 1e-6,
        .max = 1,
        .help = "factor on all earlier weights per event; 1 forgets nothing"},
    TW_FORGETTING_OPTIONS,
    {.name = "init",
        .type = TW_OPTION_CHOICE,
        .fallback = "kmeans++",
        .choices = "kmeans++|random|first",
        .help = "where the first centres come from"},
    {.name = "init_events",
        .type = TW_OPTION_INT,
        .fallback = "0",
        .min = 0,
        .max = KMEANS_MAX_RESERVOIR,
        .help = "events kept to fit the first centres to, at most 64 MiB; 0 takes 20 for each centre"},
    {.name = "move",
        .type = TW_OPTION_BOOL,
        .fallback = "true",
        .help = "moves a centre to where it lowers the sum of squared distances"},
    {.name = "seed",
        .type = TW_OPTION_INT,
        .fallback = "1",
        .min = 0,
        .max = 9e15,
        .help = "seed of the first centres"},
    {.name = NULL},
};

static uint32_t kmeans_reservoir_size(const tw_option_values *options)
{
    int64_t k = tw_option_int(options, "k"), events = tw_option_int(options, "init_events");
    if (strcmp(tw_option_text(options, "init"), "first") == 0) {
        return 0;
    }
    events = events > 0 ? events : k * KMEANS_EVENTS_PER_CENTRE;
    return (uint32_t)(events < KMEANS_MAX_RESERVOIR ? events : KMEANS_MAX_RESERVOIR);
}

static size_t kmeans_state_size(const tw_option_values *options)
{
    return sizeof(kmeans_state) +
           tw_seeding_scratch_size(kmeans_reservoir_size(options), (uint32_t)tw_option_int(options, "k"));
}

static tw_status kmeans_add_book(
    kmeans_state *self, tw_schema *schema, const char *name, uint32_t count, tw_error *error)
{
    tw_block *block = tw_schema_add_block(schema, name, count, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_record *record = &block->record;
    tw_status status = tw_record_add(record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
    status = status ? status : tw_record_add(record, "weight", TW_FIELD_F64, 1, TW_MERGE_FADE, error);
    status = status ? status : tw_record_add(record, "sum", TW_FIELD_F64, self->width, TW_MERGE_FADE, error);
    status = status ? status : tw_record_add(record, "centre", TW_FIELD_F32, self->width, TW_MERGE_LAST, error);
    self->record_size = record->size;
    return status;
}

/* Fields of kmeans_progress, in order. */
tw_status tw_kmeans_add_progress(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    static const struct {
        const char *name;
        tw_field_type type;
        tw_merge merge;
    } fields[] = {
        {"events", TW_FIELD_U64, TW_MERGE_ADD},
        {"live", TW_FIELD_U64, TW_MERGE_MAX},
        {"fitted", TW_FIELD_U64, TW_MERGE_MAX},
        {"fits", TW_FIELD_U64, TW_MERGE_ADD},
        {"cursor", TW_FIELD_U64, TW_MERGE_MAX},
        {"weight", TW_FIELD_F64, TW_MERGE_ADD},
        {"cost", TW_FIELD_F64, TW_MERGE_LAST},
        {"gain", TW_FIELD_F64, TW_MERGE_LAST},
        {"from", TW_FIELD_U64, TW_MERGE_LAST},
        {"to", TW_FIELD_U64, TW_MERGE_LAST},
    };
    self->progress = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "progress", 1, error);
    tw_status status = block ? TW_STATUS_OK : TW_STATUS_INVALID;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && status == TW_STATUS_OK; i++) {
        status = tw_record_add(&block->record, fields[i].name, fields[i].type, 1, fields[i].merge, error);
    }
    return status;
}

static tw_status kmeans_add_reservoir(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    self->reservoir = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "reservoir", self->n_reservoir, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_status status = tw_record_add(&block->record, "tick", TW_FIELD_U64, 1, TW_MERGE_LAST, error);
    status = status ? status : tw_record_add(&block->record, "weight", TW_FIELD_F32, 1, TW_MERGE_LAST, error);
    status = status ? status : tw_record_add(&block->record, "point", TW_FIELD_F32, self->width, TW_MERGE_LAST, error);
    self->point_size = block->record.size;
    return status;
}

static tw_status kmeans_add_blocks(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    self->centroids = schema->n_blocks;
    tw_status status = kmeans_add_book(self, schema, "centroids", self->k, error);
    self->halves = schema->n_blocks;
    if (status == TW_STATUS_OK && self->is_moving) {
        status = kmeans_add_book(self, schema, "halves", 2 * self->k, error);
    }
    status = status ? status : tw_kmeans_add_progress(self, schema, error);
    return status || self->n_reservoir == 0 ? status : kmeans_add_reservoir(self, schema, error);
}

static tw_status kmeans_add_forgetting(
    kmeans_state *self, const tw_option_values *options, tw_schema *schema, tw_error *error)
{
    double decay = tw_option_real(options, "decay");
    tw_status status = tw_forgetting_open(&self->forgetting, "kmeans", options, schema, error);
    if (status || decay == 1.0) {
        return status;
    }
    if (tw_forgetting_is_on(&self->forgetting)) {
        return tw_error_set(error, TW_STATUS_INVALID, "kmeans: give decay or a half-life, not both");
    }
    self->forgetting.ticks_per_event = -tw_log(decay) / tw_log(2.0) * TW_TICKS_PER_HALF_LIFE;
    return tw_forgetting_add_clock(schema, error);
}

/* Wide rows: as many as KMEANS_RESERVOIR_BYTES hold, but one for each centre. */
static tw_status kmeans_limit_reservoir(kmeans_state *self, bool is_given, tw_error *error)
{
    uint32_t most = (uint32_t)(KMEANS_RESERVOIR_BYTES / (16 + 4 * (size_t)self->width));
    most = most > self->k ? most : self->k;
    if (self->n_reservoir > most && is_given) {
        return tw_error_set(error, TW_STATUS_INVALID,
            "kmeans: init_events %u of width %u take more than %d MiB; the limit is %u", self->n_reservoir, self->width,
            KMEANS_RESERVOIR_BYTES >> 20, most);
    }
    self->n_reservoir = self->n_reservoir < most ? self->n_reservoir : most;
    if (self->n_reservoir > 0 && self->n_reservoir < self->k) {
        return tw_error_set(error, TW_STATUS_INVALID, "kmeans: init_events %u is below k %u; init=first needs none",
            self->n_reservoir, self->k);
    }
    return TW_STATUS_OK;
}

static tw_status kmeans_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    kmeans_state *self = self_;
    int64_t dims = tw_option_int(options, "dims");
    self->kernels = tw_kernels_best();
    self->k = (uint32_t)tw_option_int(options, "k");
    self->is_sparse = strcmp(tw_option_text(options, "input"), "sparse") == 0;
    self->width = self->is_sparse ? 0 : dims > 0 ? (uint32_t)dims : traits->dense_width;
    self->seed = (uint64_t)tw_option_int(options, "seed");
    self->is_moving = tw_option_bool(options, "move") && self->k > 2 && !self->is_sparse;
    self->n_reservoir = kmeans_reservoir_size(options);
    self->rule = strcmp(tw_option_text(options, "init"), "random") == 0 ? TW_SEEDING_RANDOM : TW_SEEDING_PLUS_PLUS;
    if (self->width == 0 && !self->is_sparse) {
        return tw_error_set(error, TW_STATUS_INVALID,
            "kmeans: the width of a row is unknown; declare numeric columns or set the option dims");
    }
    tw_status status = kmeans_limit_reservoir(self, tw_option_int(options, "init_events") > 0, error);
    traits->task = TW_TASK_CLUSTERING;
    traits->n_outputs = 2;
    traits->dense_width = self->width;
    status = status ? status : kmeans_add_forgetting(self, options, &traits->schema, error);
    if (status) {
        return status;
    }
    return self->is_sparse ? tw_kmeans_sparse_open(self, &traits->schema, error)
                           : kmeans_add_blocks(self, &traits->schema, error);
}

static tw_codebook kmeans_book(const kmeans_state *self, void *records)
{
    return (tw_codebook){
        .kernels = self->kernels, .record = records, .stride = self->record_size, .width = self->width};
}

static kmeans_view kmeans_open_view(kmeans_state *self, const tw_rows *rows)
{
    kmeans_progress *progress = rows->block[self->progress];
    return (kmeans_view){
        .self = self,
        .progress = progress,
        .cells = {.centre = kmeans_book(self, rows->block[self->centroids]),
            .half = kmeans_book(self, self->is_moving ? rows->block[self->halves] : NULL),
            .live = (uint32_t)progress->live},
        .reservoir = {self->n_reservoir > 0 ? rows->block[self->reservoir] : NULL, self->point_size, 0},
    };
}

/* score: [squared distance, index]. Returns the index. */
static uint32_t kmeans_score(const kmeans_view *view, const float *x, float *score)
{
    score[0] = NAN;
    score[1] = -1.0f;
    if (view->cells.live == 0) {
        return 0;
    }
    uint32_t nearest = tw_codebook_nearest(&view->cells.centre, 0, view->cells.live, x, &score[0]);
    score[1] = (float)nearest;
    return nearest;
}

/* The largest of r, r / 2, r / 4, ... down to KMEANS_FIRST_PER_CENTRE events a centre that is not above n; else 0. */
static uint64_t kmeans_fit_size(const kmeans_state *self, uint64_t n)
{
    uint64_t at = self->n_reservoir;
    while (n < at && at / 2 >= (uint64_t)KMEANS_FIRST_PER_CENTRE * self->k) {
        at /= 2;
    }
    return n >= at ? at : 0;
}

static void kmeans_collect(kmeans_view *view, const float *x, float weight)
{
    uint64_t at = view->progress->events - 1;
    *tw_sample_tick(&view->reservoir, at) = view->now;
    *tw_sample_weight(&view->reservoir, at) = weight;
    memcpy(tw_sample_point(&view->reservoir, at), x, view->self->width * sizeof(float));
}

/* How many fits a stream makes up to this size. */
static uint64_t kmeans_fits_due(const kmeans_state *self, uint64_t size)
{
    uint64_t n = 0;
    for (uint64_t at = size; at > 0; n++) {
        at = kmeans_fit_size(self, at - 1);
    }
    return n;
}

/* Fits once for each size, also where the count of events passed it at another worker; and again after two workers did
 * so at the same time, when centres hold the sum of both: then `fits` is not what it should be. Which worker repairs it
 * is drawn by its event, so that hardly two do. */
static void kmeans_fit(kmeans_view *view, const float *x)
{
    kmeans_state *self = view->self;
    kmeans_progress *progress = view->progress;
    uint64_t size = kmeans_fit_size(self, progress->events);
    if (size <= progress->fitted) {
        bool is_doubled = progress->fitted > 0 && progress->fits != kmeans_fits_due(self, progress->fitted);
        if (!is_doubled || tw_hash(x, self->width * sizeof *x) % KMEANS_REPAIR_PART != 0) {
            return;
        }
    }
    tw_seeding_scratch scratch = tw_seeding_scratch_at(self->scratch, self->n_reservoir, self->k);
    view->reservoir.count = (uint32_t)size;
    tw_seeding_fit(&view->cells, &view->reservoir, self->k, self->rule, self->seed + size, view->now, &scratch);
    progress->fitted = size;
    progress->fits = kmeans_fits_due(self, size);
}

static void kmeans_move(kmeans_view *view)
{
    kmeans_progress *progress = view->progress;
    uint32_t partner = 0;
    double least = KMEANS_HALF_EVENTS * progress->weight / (double)progress->events;
    bool is_better = progress->from != progress->to && progress->gain > KMEANS_GAIN_MARGIN * progress->cost &&
                     progress->from < view->cells.live && progress->to < view->cells.live;
    if (is_better) {
        double cost = tw_cells_cost(&view->cells, progress->from, view->now, &partner);
        is_better = tw_cells_gain(&view->cells, progress->to, least, view->now) > KMEANS_GAIN_MARGIN * cost;
    }
    if (is_better && partner != progress->to) {
        tw_cells_move(&view->cells, progress->from, partner, progress->to, view->now);
    }
}

/* Looks at one centre; after the last one makes the move that the round found. */
static void kmeans_look(kmeans_view *view)
{
    kmeans_progress *progress = view->progress;
    uint32_t partner;
    uint64_t j = progress->cursor++ % view->cells.live;
    double least = KMEANS_HALF_EVENTS * progress->weight / (double)progress->events;
    double cost = tw_cells_cost(&view->cells, j, view->now, &partner);
    double gain = tw_cells_gain(&view->cells, j, least, view->now);
    if (j == 0 || cost < progress->cost) {
        progress->cost = cost;
        progress->from = j;
    }
    if (j == 0 || gain > progress->gain) {
        progress->gain = gain;
        progress->to = j;
    }
    if (j + 1 == view->cells.live) {
        kmeans_move(view);
    }
}

/* The event as the latest: a new centre or a step of centre j; kept while the reservoir has room. */
static void kmeans_step(kmeans_view *view, const float *x, float weight, const float *score, uint32_t j)
{
    kmeans_state *self = view->self;
    kmeans_progress *progress = view->progress;
    progress->events++;
    progress->weight += (double)weight;
    bool is_filling = progress->events <= self->n_reservoir;
    if (!(view->cells.live == 0 && is_filling)) {
        if (view->cells.live < self->k && (view->cells.live == 0 || score[0] > 0.0f)) {
            j = view->cells.live++;
        }
        tw_codebook_add(&view->cells.centre, j, x, (double)weight, view->now);
        if (self->is_moving) {
            tw_cells_halve(&view->cells, j, x, (double)weight, view->now);
        }
    }
    if (is_filling) {
        kmeans_collect(view, x, weight);
    }
    if (self->n_reservoir > 0) {
        kmeans_fit(view, x);
    }
    if (self->is_moving && progress->events > self->n_reservoir && progress->events % KMEANS_TICK == 0) {
        kmeans_look(view);
    }
    progress->live = view->cells.live;
}

tw_status tw_kmeans_forget(
    const kmeans_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, uint64_t *now, tw_error *error)
{
    tw_forgetting_clock clock;
    *now = 0;
    if (!tw_forgetting_is_on(&self->forgetting)) {
        return TW_STATUS_OK;
    }
    tw_status status = tw_forgetting_advance(&self->forgetting, "kmeans", rows, batch, i, &clock, error);
    if (status == TW_STATUS_OK) {
        *(tw_forgetting_clock *)rows->block[self->forgetting.block] = clock;
        *now = tw_forgetting_tick(&self->forgetting, &clock);
    }
    return status;
}

tw_status tw_kmeans_check_length(double length, uint32_t event, tw_error *error)
{
    if (length <= (double)KMEANS_LENGTH_LIMIT) {
        return TW_STATUS_OK;
    }
    return tw_error_set(error, TW_STATUS_NUMERIC,
        "kmeans: the squared length of event %u of the batch is %g, the limit is %g; scale the columns", event, length,
        (double)KMEANS_LENGTH_LIMIT);
}

static void kmeans_predict(const void *self, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    union {
        const void *in;
        kmeans_state *out;
    } state = {self}; /* scoring writes nothing but scratch */
    if (state.out->is_sparse) {
        tw_kmeans_sparse_predict(state.out, batch, rows, scores);
        return;
    }
    kmeans_view view = kmeans_open_view(state.out, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        kmeans_score(&view, batch->dense + (size_t)i * batch->dense_width, scores + 2 * (size_t)i);
    }
}

static void kmeans_score_form(
    const void *self_, const tw_batch *batch, const tw_rows *rows, tw_score_form *form, double *weight)
{
    const kmeans_state *self = self_;
    const unsigned char *centroids = rows->block[self->centroids];
    (void)batch;
    (void)weight;
    if (self->is_sparse) {
        return;
    }
    form->rule = TW_SCORE_NEAREST;
    form->centre = (const float *)(const void *)(centroids + tw_codebook_centre_offset(self->width));
    form->centre_stride = self->record_size / sizeof(float);
    form->n_centres = (uint32_t)((const kmeans_progress *)rows->block[self->progress])->live;
}

static tw_status kmeans_learn(void *self_, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    kmeans_state *self = self_;
    if (self->is_sparse) {
        return tw_kmeans_sparse_learn(self, batch, rows, scores, error);
    }
    kmeans_view view = kmeans_open_view(self, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        const float *x = batch->dense + (size_t)i * batch->dense_width;
        float *score = scores + 2 * (size_t)i;
        float length = self->kernels->dot(x, x, self->width);
        uint32_t nearest = kmeans_score(&view, x, score);
        tw_status status = tw_kmeans_check_length((double)length, i, error);
        if (status == TW_STATUS_OK && batch->weight[i] > 0.0f) {
            status = tw_kmeans_forget(self, batch, rows, i, &view.now, error);
        }
        if (status) {
            return status;
        }
        if (batch->weight[i] > 0.0f) {
            kmeans_step(&view, x, batch->weight[i], score, nearest);
        }
    }
    return TW_STATUS_OK;
}

/* What is left in sum of n events of equal weight, all forgetting done, as a part of n. */
static double kmeans_left(const kmeans_state *self, uint64_t n)
{
    double rate = self->forgetting.ticks_per_event * (tw_log(2.0) / TW_TICKS_PER_HALF_LIFE);
    return rate > 0.0 && n > 0 ? (1.0 - tw_exp(-rate * (double)n)) / (1.0 - tw_exp(-rate)) / (double)n : 1.0;
}

static tw_status kmeans_check_centres(const kmeans_state *self, const tw_weights *weights, tw_error *error)
{
    if (self->is_sparse) {
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "kmeans: a warm start needs input: dense");
    }
    if (!weights->centre || weights->n_centres > self->k) {
        return tw_error_set(error, TW_STATUS_INVALID, "kmeans: a warm start of %u centres; at least 1, at most k %u",
            weights->centre ? weights->n_centres : 0, self->k);
    }
    for (uint32_t j = 0; j < weights->n_centres; j++) {
        double length = 0.0;
        for (uint32_t d = 0; d < self->width; d++) {
            length += weights->centre[(size_t)j * self->width + d] * weights->centre[(size_t)j * self->width + d];
        }
        if (!(length <= (double)KMEANS_LENGTH_LIMIT) || !(weights->centre_weight[j] >= 0.0)) {
            return tw_error_set(error, TW_STATUS_NUMERIC,
                "kmeans: centre %u has squared length %g and weight %g, the limits are %g and 0", j, length,
                weights->centre_weight[j], (double)KMEANS_LENGTH_LIMIT);
        }
    }
    return TW_STATUS_OK;
}

/* The centres with the weight that a stream of so many events would have left; no reservoir is filled any more. */
static tw_status kmeans_warm_start(
    void *self_, const tw_batch *batch, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    kmeans_state *self = self_;
    double total = 0.0, left = kmeans_left(self, weights->events);
    (void)batch;
    tw_status status = kmeans_check_centres(self, weights, error);
    if (status) {
        return status;
    }
    kmeans_view view = kmeans_open_view(self, rows);
    const tw_codebook *book = &view.cells.centre;
    view.now = tw_forgetting_is_on(&self->forgetting) ? tw_forgetting_now(&self->forgetting, rows) : 0;
    view.cells.live = 0;
    for (uint32_t j = 0; j < weights->n_centres; j++) {
        if (weights->centre_weight[j] > 0.0) {
            const double *centre = weights->centre + (size_t)j * self->width;
            uint32_t to = view.cells.live++;
            tw_codebook_set(book, to, centre, weights->centre_weight[j] * left, view.now);
            total += weights->centre_weight[j];
        }
    }
    for (uint64_t h = 0; self->is_moving && h < 2 * (uint64_t)self->k; h++) {
        tw_codebook_empty(&view.cells.half, h, view.now);
    }
    uint64_t events = weights->events > 0 ? weights->events : 1;
    *view.progress = (kmeans_progress){.live = view.cells.live,
        .events = events > self->n_reservoir ? events : self->n_reservoir,
        .fitted = self->n_reservoir,
        .fits = self->n_reservoir > 0 ? kmeans_fits_due(self, self->n_reservoir) : 0};
    view.progress->weight = total / (double)events * (double)view.progress->events;
    return TW_STATUS_OK;
}

static bool kmeans_hasten(void *self_, const tw_rows *rows, double half_lives)
{
    const kmeans_state *self = self_;
    return tw_forgetting_hasten(&self->forgetting, rows, half_lives);
}

/* Workers that fit or move centres at the same time undo each other: little is in flight while there is much to fit. */
static double kmeans_flight(const void *self_, uint64_t events_learned)
{
    const kmeans_state *self = self_;
    return events_learned > self->n_reservoir ? (double)(events_learned - self->n_reservoir) / KMEANS_FLIGHT_PART : 1.0;
}

const tw_learner_ops tw_learner_kmeans = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "kmeans",
    .summary = "streaming k-means: running means with decay, seeded by k-means++ on the first events",
    .options = kmeans_options,
    .state_size = kmeans_state_size,
    .open = kmeans_open,
    .predict = kmeans_predict,
    .learn = kmeans_learn,
    .flight = kmeans_flight,
    .warm_start = kmeans_warm_start,
    .hasten = kmeans_hasten,
    .score_form = kmeans_score_form,
};
