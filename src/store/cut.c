/* Row files of several shards make one model only where they were cut at the same marks: otherwise an event between the
 * cuts would be lost or doubled. A split that is none of the input, which any peer may have pushed to one shard alone,
 * must not make them useless: of such a one the lowest mark holds. */
#include "base/log.h"
#include "store/loader.h"
#include "thalweg/source.h"

void tw_table_take_any_cut(tw_table *self)
{
    self->takes_any_cut = true;
}

void tw_table_expect(tw_table *self, const struct tw_split *split, size_t n)
{
    self->expected = split;
    self->n_expected = n;
}

static bool is_foreign(const tw_table *table, uint64_t split)
{
    for (size_t i = 0; i < table->n_expected; i++) {
        if (table->expected[i].id == split)
            return false;
    }
    return table->n_expected > 0;
}

static uint64_t file_mark(const tw_loader *self, uint64_t split)
{
    for (size_t i = 0; i < self->n_marks; i++) {
        if (self->mark[i].split == split)
            return self->mark[i].to;
    }
    return 0;
}

static tw_status check_mark(const tw_loader *self, uint64_t split, uint64_t file, uint64_t table, tw_error *error)
{
    if (file == table || self->table->takes_any_cut || is_foreign(self->table, split))
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CONFLICT,
        "%s: its mark of split %llx is %llu, that of %s is %llu: the files are not of one "
        "cut, and go on with as many shards as they are of only; a named checkpoint does with any number",
        self->name, (unsigned long long)split, (unsigned long long)file, self->table->loaded,
        (unsigned long long)table);
}

tw_status tw_loader_check_marks(const tw_loader *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    const tw_table *table = self->table;
    if (table->n_loaded == 0)
        return status;
    for (size_t i = 0; i < self->n_marks && status == TW_STATUS_OK; i++) {
        uint64_t split = self->mark[i].split;
        status = check_mark(self, split, self->mark[i].to, tw_table_mark(table, split), error);
    }
    for (size_t i = 0; i < table->n_marks && status == TW_STATUS_OK; i++) {
        uint64_t split = table->mark[i].split;
        status = check_mark(self, split, file_mark(self, split), table->mark[i].to, error);
    }
    return status;
}

static void tell_foreign(const tw_loader *self, uint64_t split, uint64_t file, uint64_t table)
{
    tw_log(TW_LOG_WARN,
        "%s: split %llx is none of the model's input and was pushed to some of the shards only: its mark is %llu here "
        "and %llu in %s; the lower one holds",
        self->name, (unsigned long long)split, (unsigned long long)file, (unsigned long long)table,
        self->table->loaded);
}

/* They differ only where the split is none of the input, or nobody goes on from them. */
static tw_status take_lowest(tw_loader *self, uint64_t split, uint64_t file, tw_error *error)
{
    uint64_t table = tw_table_mark(self->table, split);
    if (file == table)
        return TW_STATUS_OK;
    if (!self->table->takes_any_cut)
        tell_foreign(self, split, file, table);
    return file < table ? tw_table_set_mark(self->table, split, file, error) : TW_STATUS_OK;
}

tw_status tw_loader_take_marks(tw_loader *self, tw_error *error)
{
    tw_table *table = self->table;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->n_marks && status == TW_STATUS_OK; i++) {
        const tw_mark *mark = &self->mark[i];
        status = table->n_loaded == 0 ? tw_table_set_mark(table, mark->split, mark->to, error)
                                      : take_lowest(self, mark->split, mark->to, error);
    }
    for (size_t i = 0; i < table->n_marks && status == TW_STATUS_OK; i++) {
        if (file_mark(self, table->mark[i].split) == 0)
            status = take_lowest(self, table->mark[i].split, 0, error);
    }
    return status;
}
