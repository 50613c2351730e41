/* The arena planner and the layouts. */
#include "pare/arena_planner.h"
#include "kernel.h"
#include "runtime_case.h"

static void random_lifetimes_never_overlap(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 7);
    for (int round = 0; round < 200; round++) {
        pare_usage records[60];
        size_t count = 1 + pare_random_below(&random, 60);
        size_t total = 0;
        size_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            records[i].bytes = pare_random_below(&random, 5000);
            records[i].first = (uint32_t)pare_random_below(&random, 40);
            records[i].last = records[i].first + (uint32_t)pare_random_below(&random, 10);
            sum += (records[i].bytes + PARE_ARENA_SLACK + 63) / 64 * 64;
        }
        pare_error error;
        assert_ok(pare_arena_plan(records, count, &total, &error), &error);
        assert_true(total <= sum);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(records[i].offset % PARE_ARENA_ALIGNMENT, 0);
            assert_true(records[i].offset + records[i].bytes + PARE_ARENA_SLACK <= total);
            for (size_t j = 0; j < i; j++) {
                bool together = records[i].first <= records[j].last && records[j].first <= records[i].last;
                bool apart = records[i].offset + records[i].bytes + PARE_ARENA_SLACK <= records[j].offset ||
                             records[j].offset + records[j].bytes + PARE_ARENA_SLACK <= records[i].offset;
                assert_true(!together || apart);
            }
        }
    }
}

static void memory_is_used_again(void **state) {
    (void)state;
    pare_usage records[] = {{1000, 0, 1, 0}, {1000, 1, 2, 0}, {1000, 2, 3, 0}, {1000, 3, 4, 0}};
    size_t total;
    pare_error error;
    assert_ok(pare_arena_plan(records, 4, &total, &error), &error);
    assert_int_equal(total, 2 * 1088);
}

static void too_many_bytes_are_refused(void **state) {
    (void)state;
    pare_usage records[] = {{SIZE_MAX - 200, 0, 1, 0}, {SIZE_MAX - 200, 1, 2, 0}};
    size_t total;
    pare_error error;
    assert_fails(pare_arena_plan(records, 2, &total, &error), PARE_LIMIT, &error, "address space");
    records[0].bytes = SIZE_MAX;
    assert_fails(pare_arena_plan(records, 1, &total, &error), PARE_LIMIT, &error, "address space");
}

/* Element offset by the definition in kernel.h. */
static size_t place(pare_layout layout, const pare_shape *s, size_t n, size_t c, size_t p) {
    size_t channels = (size_t)s->dims[1];
    size_t positions = (size_t)(s->dims[2] * s->dims[3]);
    size_t block = layout == PARE_LAYOUT_BLOCK8 ? 8 : 16;
    switch (layout) {
    case PARE_LAYOUT_PLAIN:
        return (n * channels + c) * positions + p;
    case PARE_LAYOUT_CHANNELS_LAST:
        return (n * positions + p) * channels + c;
    default:
        return ((n * ((channels + block - 1) / block) + c / block) * positions + p) * block + c % block;
    }
}

static void check_reorder(pare_layout from, pare_layout to, const pare_shape *s, pare_dtype dtype) {
    size_t bytes = pare_dtype_bytes(dtype);
    size_t in_bytes = pare_layout_bytes(from, s, dtype);
    size_t out_bytes = pare_layout_bytes(to, s, dtype);
    uint8_t *in = pare_alloc_zero(in_bytes + 1, 1);
    uint8_t *out = pare_alloc(out_bytes + 1);
    memset(out, 0xEE, out_bytes);
    size_t positions = (size_t)(s->dims[2] * s->dims[3]);
    size_t used = 0;
    for (size_t n = 0; n < (size_t)s->dims[0]; n++) {
        for (size_t c = 0; c < (size_t)s->dims[1]; c++) {
            for (size_t p = 0; p < positions; p++) {
                uint64_t value = 0x0101010101010101U * (1 + (n * 7 + c * 13 + p * 5) % 250);
                memcpy(in + place(from, s, n, c, p) * bytes, &value, bytes);
            }
        }
    }
    pare_reorder(in, from, out, to, s, dtype, 2);
    for (size_t n = 0; n < (size_t)s->dims[0]; n++) {
        for (size_t c = 0; c < (size_t)s->dims[1]; c++) {
            for (size_t p = 0; p < positions; p++, used += bytes) {
                uint64_t value = 0x0101010101010101U * (1 + (n * 7 + c * 13 + p * 5) % 250);
                assert_memory_equal(out + place(to, s, n, c, p) * bytes, &value, bytes);
            }
        }
    }
    size_t zeros = 0;
    for (size_t i = 0; i < out_bytes; i++) {
        zeros += out[i] == 0;
    }
    assert_int_equal(zeros, out_bytes - used); /* padding channels, and nothing else */
    pare_free(in);
    pare_free(out);
}

static void reorders_between_all_layouts(void **state) {
    (void)state;
    static const pare_shape shapes[] = {SHAPE(2, 3, 5, 7), SHAPE(1, 16, 4, 4),   SHAPE(2, 20, 30, 31),
                                        SHAPE(3, 8, 1, 1), SHAPE(1, 33, 25, 24), SHAPE(2, 1, 6, 6)};
    static const pare_dtype dtypes[] = {PARE_U8, PARE_F16, PARE_F32, PARE_S64};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int from = 0; from < 4; from++) {
            for (int to = 0; to < 4; to++) {
                for (size_t d = 0; d < 4; d++) {
                    check_reorder((pare_layout)from, (pare_layout)to, &shapes[s], dtypes[d]);
                }
            }
        }
    }
}

static void same_layouts_are_found(void **state) {
    (void)state;
    pare_shape one_channel = SHAPE(2, 1, 6, 6);
    pare_shape one_position = SHAPE(2, 16, 1, 1);
    pare_shape odd = SHAPE(2, 12, 1, 1);
    pare_shape image = SHAPE(2, 8, 3, 3);
    assert_true(pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_CHANNELS_LAST, &one_channel));
    assert_false(pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_BLOCK8, &one_channel));
    assert_true(pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_BLOCK16, &one_position));
    assert_false(pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_BLOCK8, &odd));
    assert_false(pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_CHANNELS_LAST, &image));
    assert_true(pare_layout_same(PARE_LAYOUT_CHANNELS_LAST, PARE_LAYOUT_BLOCK8, &image));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes_never_overlap), cmocka_unit_test(memory_is_used_again),
        cmocka_unit_test(too_many_bytes_are_refused),     cmocka_unit_test(reorders_between_all_layouts),
        cmocka_unit_test(same_layouts_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
