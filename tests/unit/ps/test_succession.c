/* Who serves, after lives that ended: the epoch that a shard has from its files, what late writers may do, and which
 * files of earlier lives go. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ps/edge/own_files.h"
#include "support/standby_pair.h"

#define OK(call) assert_int_equal(call, TW_STATUS_OK)

static void directory_make(char path[64])
{
    (void)snprintf(path, 64, "/tmp/tw_succession_XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void directory_remove(const char *path)
{
    tw_names names;
    char file[512];
    OK(tw_directory_list(path, &names, NULL));
    for (size_t i = 0; i < names.count; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, names.name[i]);
        OK(tw_file_remove(file, NULL));
    }
    tw_names_free(&names);
    assert_int_equal(rmdir(path), 0);
}

static tw_table *table_make(const pair *model)
{
    tw_hello *hello = calloc(1, sizeof *hello);
    tw_table *table;
    model_of(model, hello);
    OK(tw_table_create(&hello->spec, 0, TW_N_SLOTS - 1, &table, NULL));
    free(hello);
    return table;
}

static tw_replication replication_of(const tw_shard *shard)
{
    tw_replication now;
    tw_shard_replication(shard, &now);
    return now;
}

/* A shard that starts with the rows of a table of that epoch. */
static tw_shard *restarted(pair *self, uint64_t saved, uint64_t given, bool is_certain)
{
    tw_shard *shard;
    tw_shard_options options = {.count = 1,
        .incarnation = 77,
        .epoch = given,
        .is_epoch_certain = is_certain,
        .emit = primary_emit,
        .context = self};
    tw_table *table = table_make(self);
    tw_table_set_epoch(table, saved);
    OK(tw_shard_create(&options, &shard, NULL));
    OK(tw_shard_adopt_take(shard, table, NULL));
    return shard;
}

static void tell_of_successor(pair *self, tw_shard *shard, uint64_t epoch)
{
    tw_subscription which = {.count = 1};
    OK(tw_promoted_encode(&self->out, 3, 1, 0, epoch, &which, NULL));
    tw_shard_receive(shard, "worker", 6, self->out.bytes, self->out.size);
}

static void a_shard_is_of_the_epoch_that_its_rows_were_saved_with(void **state)
{
    (void)state;
    pair *self = pair_create(1, false);
    tw_shard *own = restarted(self, 3, 0, false), *told = restarted(self, 3, 1, true),
             *later = restarted(self, 3, 5, false);
    assert_int_equal(replication_of(own).epoch, 3);
    assert_int_equal(tw_table_epoch(tw_shard_table(own)), 3);
    assert_int_equal(replication_of(told).epoch, 1);
    assert_int_equal(tw_table_epoch(tw_shard_table(told)), 1);
    assert_int_equal(replication_of(later).epoch, 5);
    /* Whoever knows of it is let in, and whoever knows of a later one is not. */
    tw_shard *old = self->primary;
    self->primary = own;
    say_hello(self, false, 3);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    say_hello(self, false, 4);
    assert_int_equal(self->last.reason, TW_NACK_NOT_PRIMARY);
    self->primary = old;
    tw_shard_destroy(&own);
    tw_shard_destroy(&told);
    tw_shard_destroy(&later);
    pair_destroy(self);
}

static void of_two_of_one_epoch_the_one_that_has_it_from_its_files_gives_way(void **state)
{
    (void)state;
    pair *self = pair_create(2, false);
    tw_shard *hearsay = restarted(self, 2, 0, false), *certain = restarted(self, 2, 2, true);
    tell_of_successor(self, hearsay, 1);
    assert_false(replication_of(hearsay).is_deposed);
    tell_of_successor(self, hearsay, 2);
    assert_true(replication_of(hearsay).is_deposed);
    tell_of_successor(self, certain, 2);
    assert_false(replication_of(certain).is_deposed);
    tell_of_successor(self, certain, 3);
    assert_true(replication_of(certain).is_deposed);
    tw_shard_destroy(&hearsay);
    tw_shard_destroy(&certain);
    pair_destroy(self);
}

static void a_standby_learns_the_epoch_that_it_is_promoted_above(void **state)
{
    (void)state;
    pair *self = pair_create(3, false);
    say_hello(self, false, 0);
    tw_promotion promotion = {.epoch = 4};
    OK(tw_promote_encode(&self->out, 77, 1, &promotion, NULL));
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    turns(self, 10);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.epoch, 4);
    tw_shard *standby;
    tw_shard_options options = {
        .count = 1, .incarnation = 9, .is_standby = true, .emit = primary_emit, .context = self};
    OK(tw_shard_create(&options, &standby, NULL));
    tw_shard_know_epoch(standby, figures.epoch);
    tw_shard_receive(standby, "worker", 6, self->out.bytes, self->out.size);
    assert_int_equal(self->last.reason, TW_NACK_STALE_EPOCH); /* 4 is its primary's */
    promotion.epoch = 0;
    OK(tw_promote_encode(&self->out, 77, 2, &promotion, NULL));
    tw_shard_receive(standby, "worker", 6, self->out.bytes, self->out.size);
    assert_true(tw_shard_promotion_wanted(standby, &promotion));
    assert_int_equal(promotion.epoch, 5);
    tw_shard_destroy(&standby);
    pair_destroy(self);
}

static void a_standby_that_was_the_primary_later_than_this_one_is_not_fed_by_it(void **state)
{
    (void)state;
    pair *self = pair_create(4, false);
    tw_standby_destroy(&self->standby);
    tw_standby_options options = {.count = 1, .sender = 5, .epoch = 1, .emit = standby_emit, .context = self};
    OK(tw_standby_create(&options, &self->standby, NULL));
    say_hello(self, false, 0);
    push(self, 10, 1);
    turns(self, 50);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_false(figures.is_ready);
    assert_true(figures.n_refused > 0);
    assert_non_null(strstr(figures.why, "later epoch"));
    tw_promotion promotion = {.epoch = 1};
    OK(tw_promote_encode(&self->out, 77, 1, &promotion, NULL));
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    turns(self, 50);
    assert_true(is_ready(self));
    pair_destroy(self);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void write_file(const char *directory, uint64_t id, uint64_t epoch, bool is_own, uint64_t mark)
{
    static const pair model = {.kind = TW_TABLE_EXACT};
    tw_table *table = table_make(&model);
    tw_frozen *frozen;
    tw_row_file file;
    char name[TW_FILE_NAME_SIZE];
    tw_table_set_epoch(table, epoch);
    OK(tw_table_set_mark(table, 1, mark, NULL));
    OK(tw_table_freeze(table, 1 << 20, &frozen, NULL));
    if (is_own)
        tw_frozen_set_own(frozen);
    tw_row_file_name(id, 0, 1, name);
    OK(tw_frozen_write(frozen, directory, name, &file, NULL));
    tw_frozen_destroy(&frozen);
    tw_table_destroy(&table);
}

static bool is_there(const char *directory, const char *name)
{
    char path[512];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return stat(path, &found) == 0;
}

static void a_file_of_a_later_epoch_counts_as_newer(void **state)
{
    (void)state;
    char directory[64];
    tw_recovered found;
    uint64_t epoch = 9;
    directory_make(directory);
    OK(tw_row_files_epoch(directory, 0, 1, &epoch, NULL));
    assert_int_equal(epoch, 0);
    write_file(directory, 5, 1, true, 500);
    write_file(directory, 6, 0, true, 300); /* by the one that was taken over from */
    OK(tw_row_files_epoch(directory, 0, 1, &epoch, NULL));
    assert_int_equal(epoch, 1);
    OK(tw_table_recover(directory, 0, 1, 0, true, &found, NULL));
    assert_int_equal(found.id, 5);
    assert_int_equal(found.newest_id, 6);
    assert_int_equal(tw_table_mark(found.table, 1), 500);
    assert_int_equal(tw_table_epoch(found.table), 1);
    tw_table_destroy(&found.table);
    OK(tw_table_recover(directory, 0, 1, 0, false, &found, NULL));
    assert_int_equal(found.id, 6);
    tw_table_destroy(&found.table);
    directory_remove(directory);
}

/* It was stopped while it wrote the file 7 and goes on when its successor has written another one of that id. */
static void a_writer_that_wakes_up_late_replaces_nothing(void **state)
{
    (void)state;
    char directory[64];
    directory_make(directory);
    static const pair model = {.kind = TW_TABLE_EXACT};
    tw_table *table = table_make(&model);
    tw_frozen *frozen;
    tw_row_file file;
    tw_error error = {0};
    OK(tw_table_freeze(table, 1 << 20, &frozen, NULL));
    write_file(directory, 7, 1, true, 500);
    assert_int_equal(tw_frozen_write(frozen, directory, "000007.rows-0-of-1", &file, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "is there already"));
    tw_frozen_destroy(&frozen);
    tw_recovered found;
    OK(tw_table_recover(directory, 0, 1, 0, true, &found, NULL));
    assert_int_equal(found.id, 7);
    assert_int_equal(tw_table_mark(found.table, 1), 500);
    tw_table_destroy(&found.table);
    tw_table_destroy(&table);
    directory_remove(directory);
}

static void files_of_earlier_lives_go_but_nothing_that_a_checkpoint_or_a_successor_may_need(void **state)
{
    (void)state;
    char directory[64], path[256];
    directory_make(directory);
    for (uint64_t id = 1; id <= 4; id++)
        write_file(directory, id, 0, true, id);
    write_file(directory, 5, 0, false, 5); /* a worker asked for it */
    write_file(directory, 6, 1, true, 6);  /* by a successor */
    snprintf(path, sizeof path, "%s/000002.rows-0-of-1.0123456789abcdef.tmp", directory);
    fclose(fopen(path, "w"));
    tw_own_files own = {.directory = directory, .count = 1, .keep = 2};
    tw_own_files_begin(&own, 0);
    assert_int_equal(own.n, 4);
    write_file(directory, 8, 0, true, 8);
    tw_own_files_add(&own, 8);
    const char *const gone[] = {
        "000001.rows-0-of-1", "000002.rows-0-of-1", "000003.rows-0-of-1", "000002.rows-0-of-1.0123456789abcdef.tmp"};
    const char *const left[] = {"000004.rows-0-of-1", "000005.rows-0-of-1", "000006.rows-0-of-1", "000008.rows-0-of-1"};
    for (size_t i = 0; i < 4; i++) {
        assert_false(is_there(directory, gone[i]));
        assert_true(is_there(directory, left[i]));
    }
    directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_is_of_the_epoch_that_its_rows_were_saved_with),
        cmocka_unit_test(of_two_of_one_epoch_the_one_that_has_it_from_its_files_gives_way),
        cmocka_unit_test(a_standby_learns_the_epoch_that_it_is_promoted_above),
        cmocka_unit_test(a_standby_that_was_the_primary_later_than_this_one_is_not_fed_by_it),
        cmocka_unit_test(a_file_of_a_later_epoch_counts_as_newer),
        cmocka_unit_test(a_writer_that_wakes_up_late_replaces_nothing),
        cmocka_unit_test(files_of_earlier_lives_go_but_nothing_that_a_checkpoint_or_a_successor_may_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
