/* kmeans_sparse: the form of kmeans for events of any features. Arithmetic and records: math/sparse_codebook.h.
 *
 * Learn   as the dense form: the nearest centre's sum and weight, all older points forgotten alike. No moves: the rows
 * of a centre that moves are not at hand. Every KMEANS_TICK events a centre with less than 1e-8 of the heaviest one's
 *         weight starts again at an event of the heaviest (the rule of Spark's streaming k-means).
 * Init    first: the first k different events. kmeans++, random: events become centres by chance, over init_events.
 *         While fewer than k centres are in use, events are learned by those that are.
 *
 * Rows    {u64 tick, u64 step, f64 sum[k]} a feature; block centroids [k] {u64 tick, u64 born, f64 weight, f64 length}
 * Limits  8 k + 16 bytes a feature. Several workers: sums and weights merge exactly; a length lacks the products of
 *         changes that were made at the same time, and a centre that one of them begins anew starts from its own. */
#include "algorithms/kmeans.h"

#include <math.h>

#include "base/hash.h"

tw_status tw_kmeans_sparse_open(kmeans_state *self, tw_schema *schema, tw_error *error)
{
    self->centroids = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "centroids", self->k, error);
    tw_status status = block ? tw_sparse_centre_fields(&block->record, error) : TW_STATUS_INVALID;
    status = status ? status : tw_sparse_row_fields(&schema->row, self->k, error);
    return status ? status : tw_kmeans_add_progress(self, schema, error);
}

static tw_sparse_codebook kmeans_sparse_book(kmeans_state *self, const tw_rows *rows)
{
    const kmeans_progress *progress = rows->block[self->progress];
    return (tw_sparse_codebook){
        .centre = rows->block[self->centroids], .dot = self->scratch, .k = self->k, .live = (uint32_t)progress->live};
}

static tw_sparse_nearest kmeans_sparse_score(const kmeans_state *self,
    const tw_sparse_codebook *book,
    const tw_batch *batch,
    const tw_rows *rows,
    uint32_t i,
    float *score)
{
    uint32_t first = batch->row_start[i];
    tw_sparse_point point = {rows->row + first, batch->value + first, batch->row_start[i + 1] - first};
    uint64_t now = tw_forgetting_is_on(&self->forgetting) ? tw_forgetting_now(&self->forgetting, rows) : 0;
    tw_sparse_nearest nearest = tw_sparse_find(book, &point, now);
    bool is_found = isfinite(nearest.distance);
    score[0] = is_found ? (float)nearest.distance : NAN;
    score[1] = is_found ? (float)nearest.index : -1.0f;
    return nearest;
}

/* Whether the event becomes a centre: with a chance ~ its squared distance (kmeans++) or the same for all (random), so
 * that k are expected in init_events events; surely when there are only as many events left. */
static bool kmeans_sparse_is_seed(const kmeans_state *self, kmeans_progress *progress, const tw_sparse_nearest *nearest)
{
    const double rounding = 1e-12;
    uint64_t need = self->k - progress->live, left = 1;
    double distance = nearest->distance < (double)INFINITY ? nearest->distance : nearest->length;
    left = progress->events < self->n_reservoir ? self->n_reservoir - progress->events + 1 : 1;
    progress->cost += distance;
    if (need == 0 || (progress->live > 0 && !(distance > rounding * nearest->length))) {
        return false;
    }
    double mean = progress->cost / (double)progress->events;
    double chance = (double)need / (double)left * (self->rule == TW_SEEDING_RANDOM ? 1.0 : distance / mean);
    uint64_t draw = tw_mix64(tw_mix64(self->seed + 1) + progress->events * 0x9e3779b97f4a7c15ull);
    return progress->live == 0 || need >= left || (double)(draw >> 11) * 0x1p-53 < chance;
}

/* A centre with less than 1e-8 of the weight of the heaviest, where the event is the heaviest's (Spark's rule); else
 * the nearest. */
static uint32_t kmeans_sparse_dying(const tw_sparse_codebook *book, uint32_t nearest, uint64_t now)
{
    const double limit = 1e-8;
    double heaviest = tw_sparse_weight(book, nearest, now), least = heaviest;
    uint32_t lightest = nearest;
    for (uint32_t j = 0; j < book->live; j++) {
        double weight = tw_sparse_weight(book, j, now);
        if (weight > heaviest) {
            return nearest;
        }
        lightest = weight < least ? j : lightest;
        least = weight < least ? weight : least;
    }
    return least < limit * heaviest ? lightest : nearest;
}

static void kmeans_sparse_step(kmeans_state *self,
    tw_sparse_codebook *book,
    kmeans_progress *progress,
    const tw_sparse_point *point,
    const tw_sparse_nearest *nearest,
    double weight,
    uint64_t now)
{
    uint32_t j = nearest->index;
    progress->events++;
    progress->weight += weight;
    if (progress->live < self->k && kmeans_sparse_is_seed(self, progress, nearest)) {
        j = (uint32_t)progress->live++;
        book->live = (uint32_t)progress->live;
        tw_sparse_begin(book, j, progress->events, now);
    } else if (progress->events % KMEANS_TICK == 0 || nearest->distance == (double)INFINITY) {
        uint32_t other = kmeans_sparse_dying(book, j, now);
        if (other != j) {
            tw_sparse_begin(book, other, progress->events, now);
        }
        j = other;
    }
    tw_sparse_add(book, point, j, weight, progress->events, now);
}

tw_status tw_kmeans_sparse_learn(
    kmeans_state *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    kmeans_progress *progress = rows->block[self->progress];
    uint64_t now = 0;
    tw_sparse_codebook book = kmeans_sparse_book(self, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        uint32_t first = batch->row_start[i];
        tw_sparse_point point = {rows->row + first, batch->value + first, batch->row_start[i + 1] - first};
        tw_sparse_nearest nearest = kmeans_sparse_score(self, &book, batch, rows, i, scores + 2 * (size_t)i);
        tw_status status = tw_kmeans_check_length(nearest.length, i, error);
        if (status == TW_STATUS_OK && batch->weight[i] > 0.0f) {
            status = tw_kmeans_forget(self, batch, rows, i, &now, error);
            if (status == TW_STATUS_OK) {
                kmeans_sparse_step(self, &book, progress, &point, &nearest, (double)batch->weight[i], now);
            }
        }
        if (status) {
            return status;
        }
    }
    return TW_STATUS_OK;
}

void tw_kmeans_sparse_predict(kmeans_state *self, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    tw_sparse_codebook book = kmeans_sparse_book(self, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        (void)kmeans_sparse_score(self, &book, batch, rows, i, scores + 2 * (size_t)i);
    }
}
