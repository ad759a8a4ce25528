/* kmeans: streaming k-means on dense rows: running means of the events that came to each centre, old ones forgotten.
 * Decay as in Spark's streaming k-means by points; seeding: Arthur and Vassilvitskii, "k-means++", SODA 2007.
 *
 * Blocks  centroids [k]  {u64 last, f64 weight, f64 sum[d], f32 centre[d]}, centre = sum / weight; sums and weights
 * add, so several workers merge exactly; `centre` is refreshed by the next event that comes to it clock [1]      {u64
 * events, u64 live}: events learned; centres in use, always the first ones reservoir [r]  {f32 weight, f32 point[d]}:
 * the first r events, until the centres are seeded from them Learn   j = nearest centre, f = decay^(events since j
 * learned last);  weight = weight f + c;  sum = sum f + c x (c the importance of the event; 0 is scored and not
 * learned). That equals decaying all centres every event. Score   [squared distance, j] before the event moves the
 * centre; [NaN, -1] while there is no centre Init    kmeans++: k seeds from the first `init_events` events, each drawn
 * with probability ~ its squared distance to the nearest seed so far, then up to 10 rounds of Lloyd's algorithm on
 * them. first: events become centres in turn. While fewer than k centres are in use, an event that equals none of them
 * becomes one. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "math/function.h"
#include "math/kernels.h"
#include "thalweg/learner.h"

enum { KMEANS_ROUNDS = 10, KMEANS_EVENTS_PER_CENTRE = 20, KMEANS_MAX_CENTRES = 65536 };

/* Points longer than this (squared) would give distances that are no finite floats. */
static const float KMEANS_LENGTH_LIMIT = 1e36f;

typedef struct kmeans_clock {
    uint64_t events, live;
} kmeans_clock;

/* Head of a centroid record; sum [d] and centre [d] follow. */
typedef struct kmeans_head {
    uint64_t last;
    double weight;
} kmeans_head;

typedef struct kmeans_state {
    const tw_kernels *kernels;
    double log_decay;
    uint64_t seed;
    uint32_t k, width, n_reservoir; /* n_reservoir 0: init first */
    uint32_t centroids, clock, reservoir;
    size_t record_size, centre_offset, point_size;
    float distance[]; /* [n_reservoir] scratch of the seeding: squared distance of each point to its nearest seed */
} kmeans_state;

/* The blocks of one call. */
typedef struct kmeans_view {
    kmeans_state *self;
    unsigned char *centroid, *reservoir;
    kmeans_clock *clock;
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
    {.name = "decay",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 1e-6,
        .max = 1,
        .help = "factor on all earlier weights per event; 1 forgets nothing"},
    {.name = "half_life",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e18,
        .help = "events after which a weight counts half; 0 uses decay"},
    {.name = "init",
        .type = TW_OPTION_CHOICE,
        .fallback = "kmeans++",
        .choices = "kmeans++|first",
        .help = "where the first centres come from"},
    {.name = "init_events",
        .type = TW_OPTION_INT,
        .fallback = "0",
        .min = 0,
        .max = 1000000,
        .help = "events collected for kmeans++; 0 takes 20 for each centre"},
    {.name = "seed", .type = TW_OPTION_INT, .fallback = "1", .min = 0, .max = 9e15, .help = "seed of kmeans++"},
    {.name = NULL},
};

static uint32_t kmeans_reservoir_size(const tw_option_values *options)
{
    int64_t k = tw_option_int(options, "k"), events = tw_option_int(options, "init_events");
    if (strcmp(tw_option_text(options, "init"), "first") == 0) {
        return 0;
    }
    return (uint32_t)(events > 0 ? events : k * KMEANS_EVENTS_PER_CENTRE);
}

static size_t kmeans_state_size(const tw_option_values *options)
{
    return sizeof(kmeans_state) + kmeans_reservoir_size(options) * sizeof(float);
}

static tw_status kmeans_add_centroids(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    self->centroids = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "centroids", self->k, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_record *record = &block->record;
    tw_status status = tw_record_add(record, "last", TW_FIELD_U64, 1, TW_MERGE_MAX, error);
    status = status ? status : tw_record_add(record, "weight", TW_FIELD_F64, 1, TW_MERGE_ADD, error);
    status = status ? status : tw_record_add(record, "sum", TW_FIELD_F64, self->width, TW_MERGE_ADD, error);
    status = status ? status : tw_record_add(record, "centre", TW_FIELD_F32, self->width, TW_MERGE_ADD, error);
    self->record_size = record->size;
    self->centre_offset = sizeof(kmeans_head) + self->width * sizeof(double);
    return status;
}

static tw_status kmeans_add_clock(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    self->clock = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "clock", 1, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_status status = tw_record_add(&block->record, "events", TW_FIELD_U64, 1, TW_MERGE_ADD, error);
    return status ? status : tw_record_add(&block->record, "live", TW_FIELD_U64, 1, TW_MERGE_MAX, error);
}

static tw_status kmeans_add_reservoir(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    if (self->n_reservoir == 0) {
        return TW_STATUS_OK;
    }
    self->reservoir = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "reservoir", self->n_reservoir, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_status status = tw_record_add(&block->record, "weight", TW_FIELD_F32, 1, TW_MERGE_LAST, error);
    status = status ? status : tw_record_add(&block->record, "point", TW_FIELD_F32, self->width, TW_MERGE_LAST, error);
    self->point_size = block->record.size;
    return status;
}

static tw_status kmeans_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    kmeans_state *self = self_;
    int64_t dims = tw_option_int(options, "dims");
    double half_life = tw_option_real(options, "half_life");
    if (half_life > 0.0 && tw_option_is_given(options, "decay")) {
        return tw_error_set(error, TW_STATUS_INVALID, "kmeans: give decay or half_life, not both");
    }
    self->kernels = tw_kernels_best();
    self->k = (uint32_t)tw_option_int(options, "k");
    self->width = dims > 0 ? (uint32_t)dims : traits->dense_width;
    self->seed = (uint64_t)tw_option_int(options, "seed");
    self->log_decay = half_life > 0.0 ? -tw_log(2.0) / half_life : tw_log(tw_option_real(options, "decay"));
    self->n_reservoir = kmeans_reservoir_size(options);
    if (self->width == 0) {
        return tw_error_set(error, TW_STATUS_INVALID,
            "kmeans: the width of a row is unknown; declare numeric columns or set the option dims");
    }
    if (self->n_reservoir > 0 && self->n_reservoir < self->k) {
        return tw_error_set(
            error, TW_STATUS_INVALID, "kmeans: init_events %u is below k %u", self->n_reservoir, self->k);
    }
    traits->task = TW_TASK_CLUSTERING;
    traits->n_outputs = 2;
    traits->dense_width = self->width;
    tw_status status = kmeans_add_centroids(self, &traits->schema, error);
    status = status ? status : kmeans_add_clock(self, &traits->schema, error);
    return status ? status : kmeans_add_reservoir(self, &traits->schema, error);
}

static kmeans_head *kmeans_at(const kmeans_view *view, uint64_t j)
{
    return (kmeans_head *)(void *)(view->centroid + j * view->self->record_size);
}

static double *kmeans_sum(kmeans_head *head)
{
    return (double *)(void *)(head + 1);
}

static float *kmeans_centre(const kmeans_view *view, uint64_t j)
{
    return (float *)(void *)(view->centroid + j * view->self->record_size + view->self->centre_offset);
}

static float *kmeans_point(const kmeans_view *view, uint64_t i)
{
    return (float *)(void *)(view->reservoir + i * view->self->point_size) + 1;
}

static uint32_t kmeans_nearest(const kmeans_view *view, const float *x, float *distance)
{
    const kmeans_state *self = view->self;
    return self->kernels->nearest(x, kmeans_centre(view, 0), self->record_size / sizeof(float),
        (uint32_t)view->clock->live, self->width, distance);
}

/* score: [squared distance, index]. Returns the index. */
static uint32_t kmeans_score(const kmeans_view *view, const float *x, float *score)
{
    if (view->clock->live == 0) {
        score[0] = NAN;
        score[1] = -1.0f;
        return 0;
    }
    uint32_t nearest = kmeans_nearest(view, x, &score[0]);
    score[1] = (float)nearest;
    return nearest;
}

static void kmeans_refresh(const kmeans_view *view, uint64_t j)
{
    kmeans_head *head = kmeans_at(view, j);
    const double *sum = kmeans_sum(head), inverse = 1.0 / head->weight;
    float *centre = kmeans_centre(view, j);
    for (uint32_t d = 0; d < view->self->width; d++) {
        centre[d] = (float)(sum[d] * inverse);
    }
}

static void kmeans_add(const kmeans_view *view, uint64_t j, const float *x, double weight)
{
    kmeans_head *head = kmeans_at(view, j);
    double *sum = kmeans_sum(head);
    double log_decay = view->self->log_decay, kept = 1.0;
    if (log_decay < 0.0 && head->last < view->clock->events) {
        kept = tw_exp(log_decay * (double)(view->clock->events - head->last));
    }
    head->last = view->clock->events;
    head->weight = head->weight * kept + weight;
    for (uint32_t d = 0; d < view->self->width; d++) {
        sum[d] = sum[d] * kept + weight * (double)x[d];
    }
    kmeans_refresh(view, j);
}

static void kmeans_seed(const kmeans_view *view, uint64_t point)
{
    uint64_t j = view->clock->live++;
    memcpy(kmeans_centre(view, j), kmeans_point(view, point), view->self->width * sizeof(float));
    for (uint32_t i = 0; i < view->self->n_reservoir; i++) {
        float distance;
        view->self->kernels->nearest(kmeans_point(view, i), kmeans_centre(view, j), 0, 1, view->self->width, &distance);
        float *least = &view->self->distance[i];
        *least = j == 0 || distance < *least ? distance : *least;
    }
}

/* The `draw`-th number of the seeding, uniform in [0, 1). */
static double kmeans_random(const kmeans_state *self, uint64_t draw)
{
    return (double)(tw_mix64(self->seed * 0x9e3779b97f4a7c15ull + draw + 1) >> 11) * 0x1p-53;
}

/* Index of a point drawn with probability ~ distance; false when every point is a seed already. */
static bool kmeans_draw(const kmeans_view *view, double random, uint32_t *out)
{
    const float *distance = view->self->distance;
    double total = 0.0, sum = 0.0;
    bool is_found = false;
    for (uint32_t i = 0; i < view->self->n_reservoir; i++) {
        total += (double)distance[i];
    }
    for (uint32_t i = 0; i < view->self->n_reservoir && (!is_found || sum <= random * total); i++) {
        sum += (double)distance[i];
        if (distance[i] > 0.0f) {
            *out = i;
            is_found = true;
        }
    }
    return is_found;
}

/* One round of Lloyd's algorithm on the reservoir; leaves its weights and sums in the centroids. */
static void kmeans_lloyd(const kmeans_view *view)
{
    for (uint64_t j = 0; j < view->clock->live; j++) {
        memset(kmeans_at(view, j), 0, view->self->centre_offset);
    }
    for (uint32_t i = 0; i < view->self->n_reservoir; i++) {
        float *point = kmeans_point(view, i), distance;
        kmeans_head *head = kmeans_at(view, kmeans_nearest(view, point, &distance));
        double *sum = kmeans_sum(head), weight = (double)point[-1];
        head->weight += weight;
        for (uint32_t d = 0; d < view->self->width; d++) {
            sum[d] += weight * (double)point[d];
        }
    }
    for (uint64_t j = 0; j < view->clock->live; j++) {
        kmeans_at(view, j)->last = view->clock->events;
        if (kmeans_at(view, j)->weight > 0.0) {
            kmeans_refresh(view, j);
        }
    }
}

static void kmeans_start(const kmeans_view *view)
{
    kmeans_state *self = view->self;
    uint32_t point = (uint32_t)(kmeans_random(self, 0) * (double)self->n_reservoir);
    kmeans_seed(view, point);
    while (view->clock->live < self->k && kmeans_draw(view, kmeans_random(self, view->clock->live), &point)) {
        kmeans_seed(view, point);
    }
    for (int round = 0; round < KMEANS_ROUNDS; round++) {
        kmeans_lloyd(view);
    }
}

static void kmeans_collect(const kmeans_view *view, const float *x, float weight)
{
    float *point = kmeans_point(view, view->clock->events - 1);
    point[-1] = weight;
    memcpy(point, x, view->self->width * sizeof(float));
    if (view->clock->events == view->self->n_reservoir) {
        kmeans_start(view);
    }
}

/* The event as the clock's latest: collected, a new centre, or a step of centre j. */
static void kmeans_step(const kmeans_view *view, const float *x, float weight, const float *score, uint32_t j)
{
    const kmeans_state *self = view->self;
    view->clock->events++;
    if (view->clock->live == 0 && view->clock->events <= self->n_reservoir) {
        kmeans_collect(view, x, weight);
    } else if (view->clock->live < self->k && (view->clock->live == 0 || score[0] > 0.0f)) {
        kmeans_add(view, view->clock->live++, x, (double)weight);
    } else {
        kmeans_add(view, j, x, (double)weight);
    }
}

static kmeans_view kmeans_open_view(kmeans_state *self, const tw_rows *rows)
{
    return (kmeans_view){
        .self = self,
        .centroid = rows->block[self->centroids],
        .reservoir = self->n_reservoir > 0 ? rows->block[self->reservoir] : NULL,
        .clock = rows->block[self->clock],
    };
}

static void kmeans_predict(const void *self, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    union {
        const void *in;
        kmeans_state *out;
    } state = {self}; /* scoring writes nothing through the view */
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
    form->rule = TW_SCORE_NEAREST;
    form->centre = (const float *)(const void *)(centroids + self->centre_offset);
    form->centre_stride = self->record_size / sizeof(float);
    form->n_centres = (uint32_t)((const kmeans_clock *)rows->block[self->clock])->live;
}

static tw_status kmeans_learn(void *self_, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    kmeans_state *self = self_;
    kmeans_view view = kmeans_open_view(self, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        const float *x = batch->dense + (size_t)i * batch->dense_width;
        float *score = scores + 2 * (size_t)i;
        float length = self->kernels->dot(x, x, self->width);
        uint32_t nearest = kmeans_score(&view, x, score);
        if (!(length <= KMEANS_LENGTH_LIMIT)) {
            return tw_error_set(error, TW_STATUS_NUMERIC,
                "kmeans: the squared length of event %u of the batch is %g, the limit is %g; scale the columns", i,
                (double)length, (double)KMEANS_LENGTH_LIMIT);
        }
        if (batch->weight[i] > 0.0f) {
            kmeans_step(&view, x, batch->weight[i], score, nearest);
        }
    }
    return TW_STATUS_OK;
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
    .score_form = kmeans_score_form,
};
