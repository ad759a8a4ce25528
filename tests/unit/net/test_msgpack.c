#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "net/msgpack.h"

static tw_packer sample(void)
{
    tw_packer packer = {0};
    tw_pack_map(&packer, 7);
    tw_pack_text(&packer, "nil");
    tw_pack_nil(&packer);
    tw_pack_text(&packer, "yes");
    tw_pack_bool(&packer, true);
    tw_pack_text(&packer, "big");
    tw_pack_uint(&packer, UINT64_MAX);
    tw_pack_text(&packer, "negative");
    tw_pack_array(&packer, 5);
    tw_pack_int(&packer, -1);
    tw_pack_int(&packer, -100);
    tw_pack_int(&packer, -1000);
    tw_pack_int(&packer, -100000);
    tw_pack_int(&packer, INT64_MIN);
    tw_pack_text(&packer, "pi");
    tw_pack_double(&packer, 3.25);
    tw_pack_text(&packer, "bytes");
    tw_pack_bytes(&packer, "ab", 2);
    tw_pack_text(&packer, "empty");
    tw_pack_map(&packer, 0);
    assert_int_equal(tw_packer_status(&packer, NULL), TW_STATUS_OK);
    return packer;
}

static void what_is_packed_is_found_again(void **state)
{
    (void)state;
    static const int64_t negative[] = {-1, -100, -1000, -100000, INT64_MIN};
    tw_packer packer = sample();
    tw_document document;
    double number;
    uint64_t whole;
    assert_int_equal(tw_unpack(packer.bytes, packer.size, 0, &document, NULL), TW_STATUS_OK);
    const tw_value *root = document.value;
    assert_int_equal(root->n_nodes, document.n_values);
    assert_int_equal(tw_value_find(root, "nil")->kind, TW_VALUE_NIL);
    assert_true(tw_value_find(root, "yes")->as.is_true);
    assert_true(tw_value_unsigned(tw_value_find(root, "big"), &whole));
    assert_true(whole == UINT64_MAX);
    const tw_value *list = tw_value_find(root, "negative"), *at = tw_value_first(list);
    for (uint32_t i = 0; i < list->size; i++, at = tw_value_next(at))
        assert_true(at->kind == TW_VALUE_INT && at->as.i == negative[i]);
    assert_true(tw_value_number(tw_value_find(root, "pi"), &number) && number == 3.25);
    assert_memory_equal(tw_value_find(root, "bytes")->as.bytes, "ab", 2);
    assert_int_equal(tw_value_find(root, "empty")->size, 0);
    assert_null(tw_value_find(root, "other"));
    assert_null(tw_value_find(NULL, "other"));
    tw_document_fini(&document);
    tw_packer_fini(&packer);
}

static void every_truncation_and_every_byte_behind_is_refused(void **state)
{
    (void)state;
    tw_packer packer = sample();
    tw_document document;
    for (size_t size = 0; size < packer.size; size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, packer.bytes, size);
        assert_int_equal(tw_unpack(copy, size, 0, &document, NULL), TW_STATUS_PROTOCOL);
        free(copy);
    }
    tw_pack_nil(&packer);
    assert_int_equal(tw_unpack(packer.bytes, packer.size, 0, &document, NULL), TW_STATUS_PROTOCOL);
    tw_packer_fini(&packer);
}

static void a_small_message_cannot_declare_a_huge_array(void **state)
{
    (void)state;
    static const unsigned char bomb[] = {0xdd, 0x10, 0, 0, 0, 0xc0};
    tw_document document;
    tw_error error;
    assert_int_equal(tw_unpack(bomb, sizeof bomb, 0, &document, &error), TW_STATUS_PROTOCOL);
    assert_non_null(strstr(error.message, "count exceeds"));
}

static void depth_and_number_of_objects_are_limited(void **state)
{
    (void)state;
    unsigned char nested[4000];
    memset(nested, 0x91, sizeof nested);
    tw_document document;
    assert_int_equal(tw_unpack(nested, sizeof nested, 0, &document, NULL), TW_STATUS_PROTOCOL);
    nested[16] = 0xc0;
    assert_int_equal(tw_unpack(nested, 17, 0, &document, NULL), TW_STATUS_OK);
    tw_document_fini(&document);
    nested[17] = 0xc0;
    nested[16] = 0x91;
    assert_int_equal(tw_unpack(nested, 18, 0, &document, NULL), TW_STATUS_PROTOCOL);
    tw_packer packer = sample();
    assert_int_equal(tw_unpack(packer.bytes, packer.size, 5, &document, NULL), TW_STATUS_PROTOCOL);
    tw_packer_fini(&packer);
}

static void random_bytes_are_read_within_their_bounds(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (uint32_t i = 0; i < 200000; i++) {
        size_t size = i % 40;
        unsigned char *bytes = malloc(size + 1);
        for (size_t j = 0; j < size; j++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bytes[j] = (unsigned char)(random >> 56);
        }
        tw_document document;
        if (tw_unpack(bytes, size, 0, &document, NULL) == TW_STATUS_OK) {
            assert_int_equal(document.value->n_nodes, document.n_values);
            tw_document_fini(&document);
        }
        free(bytes);
    }
}

static void a_failed_allocation_is_remembered_until_asked(void **state)
{
    (void)state;
    tw_packer packer = {0};
    tw_fault_arm(TW_FAULT_ALLOC, 1, 12, false);
    tw_pack_text(&packer, "lost");
    tw_fault_disarm(TW_FAULT_ALLOC);
    tw_pack_nil(&packer);
    assert_int_equal(tw_packer_status(&packer, NULL), TW_STATUS_NO_MEMORY);
    tw_packer_fini(&packer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_found_again),
        cmocka_unit_test(every_truncation_and_every_byte_behind_is_refused),
        cmocka_unit_test(a_small_message_cannot_declare_a_huge_array),
        cmocka_unit_test(depth_and_number_of_objects_are_limited),
        cmocka_unit_test(random_bytes_are_read_within_their_bounds),
        cmocka_unit_test(a_failed_allocation_is_remembered_until_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
