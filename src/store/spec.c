#include "store/spec.h"

#include <math.h>
#include <string.h>

static bool field_equals(const tw_field *a, const tw_field *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->merge == b->merge && a->init == b->init &&
           a->count == b->count && a->offset == b->offset && a->init_value == b->init_value &&
           signbit(a->init_value) == signbit(b->init_value);
}

static tw_status record_compare(const char *what, const tw_record *there, const tw_record *wanted, tw_error *error)
{
    if (there->n_fields != wanted->n_fields || there->size != wanted->size)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s has %u fields in %u bytes there, wanted %u in %u", what,
            there->n_fields, there->size, wanted->n_fields, wanted->size);
    for (uint32_t i = 0; i < there->n_fields; i++) {
        const tw_field *a = &there->field[i], *b = &wanted->field[i];
        if (!field_equals(a, b))
            return tw_error_set(error, TW_STATUS_CONFLICT,
                "%s: field %u is \"%s\" (type %d, count %u, start %g) there, wanted \"%s\" (type %d, count %u, "
                "start %g)",
                what, i, a->name, (int)a->type, a->count, a->init_value, b->name, (int)b->type, b->count,
                b->init_value);
    }
    return TW_STATUS_OK;
}

static tw_status schema_compare(const tw_schema *there, const tw_schema *wanted, tw_error *error)
{
    tw_status status = record_compare("the row", &there->row, &wanted->row, error);
    if (status < 0)
        return status;
    if (there->n_blocks != wanted->n_blocks)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%u blocks there, wanted %u", there->n_blocks, wanted->n_blocks);
    for (uint32_t i = 0; i < there->n_blocks && status == TW_STATUS_OK; i++) {
        const tw_block *a = &there->block[i], *b = &wanted->block[i];
        if (strcmp(a->name, b->name) != 0 || a->count != b->count)
            return tw_error_set(error, TW_STATUS_CONFLICT, "block %u is \"%s\" x %u there, wanted \"%s\" x %u", i,
                a->name, a->count, b->name, b->count);
        status = record_compare(a->name, &a->record, &b->record, error);
    }
    return status;
}

tw_status tw_spec_compare(const tw_table_spec *there, const tw_table_spec *wanted, tw_error *error)
{
    if (there->kind != wanted->kind)
        return tw_error_set(error, TW_STATUS_CONFLICT, "the table is %s there, wanted %s",
            there->kind == TW_TABLE_EXACT ? "exact" : "hashed", wanted->kind == TW_TABLE_EXACT ? "exact" : "hashed");
    if (there->kind == TW_TABLE_HASHED && there->bits != wanted->bits)
        return tw_error_set(
            error, TW_STATUS_CONFLICT, "the table has %u bits there, wanted %u", there->bits, wanted->bits);
    if (there->hash_seed != wanted->hash_seed)
        return tw_error_set(error, TW_STATUS_CONFLICT, "the hash seed is %llu there, wanted %llu",
            (unsigned long long)there->hash_seed, (unsigned long long)wanted->hash_seed);
    return schema_compare(&there->schema, &wanted->schema, error);
}

void tw_keep_encode(const tw_keep *self, tw_wire_out *out)
{
    uint64_t probability;
    memcpy(&probability, &self->admit_probability, sizeof probability);
    tw_wire_put(out, self->expire_after, 8);
    tw_wire_put(out, self->admit_bytes, 8);
    tw_wire_put(out, probability, 8);
    tw_wire_put(out, self->admit_count, 4);
    tw_wire_put(out, self->evicts, 4);
}

void tw_keep_decode(tw_keep *self, tw_wire_in *in)
{
    uint64_t expire_after = tw_wire_get(in, 8), admit_bytes = tw_wire_get(in, 8), probability = tw_wire_get(in, 8);
    *self = (tw_keep){.expire_after = expire_after, .admit_bytes = admit_bytes};
    memcpy(&self->admit_probability, &probability, sizeof probability);
    self->admit_count = (uint32_t)tw_wire_get(in, 4);
    self->evicts = tw_wire_get(in, 4) != 0;
}

tw_status tw_keep_compare(const tw_table_spec *there, const tw_table_spec *wanted, tw_error *error)
{
    const tw_keep *a = &there->keep, *b = &wanted->keep;
    if (a->admit_count == b->admit_count && a->admit_bytes == b->admit_bytes && a->expire_after == b->expire_after &&
        a->evicts == b->evicts && !(a->admit_probability < b->admit_probability) &&
        !(a->admit_probability > b->admit_probability))
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CONFLICT,
        "there keys are admitted by count %u or probability %g, expire after %llu and are %sevicted; wanted %u, %g, "
        "%llu, %sevicted (model.admission, model.expiry, model.evict)",
        a->admit_count, a->admit_probability, (unsigned long long)a->expire_after, a->evicts ? "" : "not ",
        b->admit_count, b->admit_probability, (unsigned long long)b->expire_after, b->evicts ? "" : "not ");
}
