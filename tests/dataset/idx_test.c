#include "dataset_files.h"

#define IMAGES 25
#define SIDE_BYTES 6 /* 2 × 3 pixels */

/* 00 00 TYPE RANK, three big-endian sizes, `bytes` elements counting up. */
static size_t make_images(uint8_t *out, uint8_t type, uint8_t rank, uint32_t count, size_t bytes) {
    uint32_t sizes[4] = {count, 2, 3, 1};
    uint8_t magic[4] = {0, 0, type, rank};
    memcpy(out, magic, 4);
    size_t at = 4;
    for (int axis = 0; axis < rank; axis++) {
        uint32_t size = axis < 4 ? sizes[axis] : 1;
        for (int shift = 24; shift >= 0; shift -= 8) {
            out[at++] = (uint8_t)(size >> shift);
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        out[at++] = (uint8_t)i;
    }
    return at;
}

static void put_labels(const char *name, uint32_t count) {
    uint8_t labels[8 + 64] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)count};
    for (uint32_t i = 0; i < count; i++) {
        labels[8 + i] = (uint8_t)(i % 10);
    }
    put_file(name, labels, 8 + count);
}

static void put_usual(void) {
    uint8_t file[1024];
    put_file("images", file, make_images(file, 8, 3, IMAGES, (size_t)IMAGES * SIDE_BYTES));
    put_labels("labels", IMAGES);
}

static void idx_reads_images_and_labels(void **state) {
    (void)state;
    put_usual();
    pare_dataset *d = must_open(make_spec("idx", "images", "labels", ""));
    pare_sample sample = {0};
    pare_error error = {0};
    pare_sample_info info = pare_dataset_info(d);
    assert_true(info.image && info.dtype == PARE_U8 && info.target == PARE_TARGET_CLASS);
    assert_int_equal(info.shape.rank, 3);
    assert_int_equal(info.shape.dims[0] * 100 + info.shape.dims[1] * 10 + info.shape.dims[2], 231);
    assert_int_equal(pare_dataset_count(d), IMAGES);
    assert_null(pare_dataset_sample_name(d, 0));
    assert_ok(pare_dataset_read(d, 13, &sample, &error), &error);
    assert_int_equal(sample.bytes, SIDE_BYTES);
    assert_int_equal(((uint8_t *)sample.data)[5], 13 * SIDE_BYTES + 5);
    assert_int_equal(sample.classes[0], 3);
    assert_fails(pare_dataset_read(d, IMAGES, &sample, &error), PARE_USAGE, &error, "below 25");
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void row_72_gzip_members_and_truncation(void **state) {
    (void)state;
    put_usual();
    uint8_t file[1024], joined[4096];
    size_t bytes = make_images(file, 8, 3, IMAGES, (size_t)IMAGES * SIDE_BYTES), first, second;
    uint8_t *a = gzip(file, 20, &first), *b = gzip(file + 20, bytes - 20, &second);
    memcpy(joined, a, first);
    memcpy(joined + first, b, second);
    memset(joined + first + second, 0, 7); /* padding as tape tools leave it */
    put_file("images.gz", joined, first + second + 7);
    pare_dataset *plain = must_open(make_spec("idx", "images", NULL, ""));
    pare_dataset *packed = must_open(make_spec("idx", "images.gz", NULL, ""));
    uint32_t crc[2];
    assert_ok(pare_dataset_checksum(plain, &crc[0], NULL), NULL);
    assert_ok(pare_dataset_checksum(packed, &crc[1], NULL), NULL);
    assert_int_equal(crc[0], crc[1]);
    assert_int_equal(crc[0], crc32(0, file, (uInt)bytes));
    pare_dataset_close(plain);
    pare_dataset_close(packed);
    put_file("cut.gz", joined, first + second - 9);
    refuses(make_spec("idx", "cut.gz", NULL, ""), PARE_BAD_INPUT, "truncated");
    joined[first + second] = 'x';
    put_file("tail.gz", joined, first + second + 7);
    refuses(make_spec("idx", "tail.gz", NULL, ""), PARE_BAD_INPUT, "expected gzip data");
    free(a);
    free(b);
}

static void row_72_gzip_bomb_stops_at_what_the_header_says(void **state) {
    (void)state;
    size_t bytes = (size_t)24 << 20, packed;
    uint8_t *zeros = calloc(bytes, 1);
    assert_non_null(zeros);
    make_images(zeros, 8, 3, 2, 0);
    uint8_t *bomb = gzip(zeros, bytes, &packed);
    put_file("bomb.gz", bomb, packed);
    size_t peak = pare_memory_peak();
    refuses(make_spec("idx", "bomb.gz", NULL, ""), PARE_BAD_INPUT, "more than 28 bytes");
    assert_true(pare_memory_peak() < peak + (1u << 20));
    /* CIFAR's size is not known beforehand: there the ratio tells. */
    refuses(make_spec("cifar10", "bomb.gz", NULL, ""), PARE_LIMIT, "expands more than 256 times");
    free(bomb);
    free(zeros);
}

static void row_72_idx_magic_type_and_rank(void **state) {
    (void)state;
    uint8_t file[1024];
    size_t bytes = make_images(file, 8, 3, 2, 2 * SIDE_BYTES);
    file[0] = 1;
    put_file("bad", file, bytes);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "another magic number");
    put_file("bad", file, 3);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "fewer than 4 bytes");
    put_file("bad", file, make_images(file, 8, 0, 2, 12));
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "rank 1 to 4, found 0");
    put_file("bad", file, make_images(file, 8, 5, 2, 12));
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "rank 1 to 4, found 5");
    put_file("bad", file, make_images(file, 0x0d, 3, 2, 48));
    refuses(make_spec("idx", "bad", NULL, ""), PARE_UNSUPPORTED, "found 0x0d");
}

static void row_72_idx_short_long_and_overflowing_files(void **state) {
    (void)state;
    uint8_t file[1024];
    size_t bytes = make_images(file, 8, 3, 2, 2 * SIDE_BYTES);
    put_file("bad", file, bytes - 1);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "expected 28 bytes by its header, found 27");
    put_file("bad", file, bytes + 1);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "found 29");
    put_file("bad", file, 10);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "header ends early");
    memset(file + 4, 0xff, 12);
    put_file("bad", file, bytes);
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "overflows");
    put_file("bad", file, make_images(file, 8, 3, 0, 0));
    refuses(make_spec("idx", "bad", NULL, ""), PARE_BAD_INPUT, "empty set");
}

/* Sizes of 2^32 - 1 in each dimension, with and without an element. */
static void row_72_idx_count_times_size(void **state) {
    (void)state;
    uint8_t file[64];
    for (uint8_t rank = 1; rank <= 4; rank++) {
        uint8_t magic[4] = {0, 0, 8, rank};
        memset(file, 0xff, sizeof file);
        memcpy(file, magic, 4);
        put_file("bad", file, 4 + 4u * rank);
        pare_dataset *d = NULL;
        pare_error error = {0};
        pare_status status = pare_dataset_open(make_spec("idx", "bad", NULL, ""), &d, &error);
        assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED);
        assert_null(d);
        memset(file + 8, 0, sizeof file - 8); /* 2^32 - 1 samples of nothing */
        put_file("bad", file, 4 + 4u * rank);
        status = pare_dataset_open(make_spec("idx", "bad", NULL, ""), &d, &error);
        assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED);
        assert_null(d);
    }
}

static void row_72_idx_gzip_shorter_or_longer_than_its_header(void **state) {
    (void)state;
    uint8_t file[1024];
    size_t bytes = make_images(file, 8, 3, 4, 4 * SIDE_BYTES), packed;
    uint8_t *gz = gzip(file, bytes - 1, &packed);
    put_file("short.gz", gz, packed);
    refuses(make_spec("idx", "short.gz", NULL, ""), PARE_BAD_INPUT, "");
    free(gz);
    gz = gzip(file, bytes + 1, &packed);
    put_file("long.gz", gz, packed);
    refuses(make_spec("idx", "long.gz", NULL, ""), PARE_BAD_INPUT, "more than 40 bytes");
    for (size_t cut = 0; cut < packed; cut++) { /* truncated anywhere */
        put_file("cut.gz", gz, cut);
        refuses(make_spec("idx", "cut.gz", NULL, ""), PARE_BAD_INPUT, "cut.gz");
    }
    gz[packed - 8] ^= 1; /* the checksum */
    put_file("crc.gz", gz, packed);
    refuses(make_spec("idx", "crc.gz", NULL, ""), PARE_BAD_INPUT, "crc.gz");
    free(gz);
}

static void row_72_idx_labels_and_images_differ(void **state) {
    (void)state;
    put_usual();
    put_labels("fewer", IMAGES - 1);
    refuses(make_spec("idx", "images", "fewer", ""), PARE_BAD_INPUT, "24 labels and 25 images");
    refuses(make_spec("idx", "images", "images", ""), PARE_BAD_INPUT, "labels of rank 1, found rank 3");
    refuses(make_spec("idx", "labels", "labels", ""), PARE_UNSUPPORTED, "rank 2 to 4, found rank 1");
    refuses(make_spec("idx", "images", "missing", ""), PARE_IO, "missing");
}

/* Sums the first pixels, which tell which samples a part holds. */
static void expect_part(const char *suffix, size_t count, size_t first, size_t last) {
    pare_dataset *d = must_open(make_spec("idx", "images", NULL, suffix));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_int_equal(pare_dataset_count(d), count);
    assert_ok(pare_dataset_read(d, 0, &sample, &error), &error);
    assert_int_equal(((uint8_t *)sample.data)[0], first * SIDE_BYTES);
    assert_ok(pare_dataset_read(d, count - 1, &sample, &error), &error);
    assert_int_equal(((uint8_t *)sample.data)[0], last * SIDE_BYTES);
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void parts_of_a_set(void **state) {
    (void)state;
    put_usual();
    expect_part("", IMAGES, 0, 24);
    expect_part("#3:7", 4, 3, 6);
    expect_part("#20:", 5, 20, 24);
    expect_part("#:1", 1, 0, 0);
    expect_part("#val", 2, 9, 19);
    expect_part("#train", 23, 0, 24);
    expect_part("#24:25", 1, 24, 24);
    refuses(make_spec("idx", "images", NULL, "#3:26"), PARE_USAGE, "within 0:25");
    refuses(make_spec("idx", "images", NULL, "#3:3"), PARE_USAGE, "within 0:25");
    refuses(make_spec("idx", "images", NULL, "#99999999999999999999:3"), PARE_USAGE, "#FROM:TO");
    refuses(make_spec("idx", "images", NULL, "#-1:3"), PARE_USAGE, "#FROM:TO");
    refuses(make_spec("idx", "images", NULL, "#test"), PARE_USAGE, "found #test");
    refuses("mnist:x", PARE_USAGE, "expected idx:");
    refuses("", PARE_USAGE, "expected idx:");
    refuses("idx:", PARE_USAGE, "empty");
}

static void train_and_val_share_no_sample(void **state) {
    (void)state;
    put_usual();
    unsigned seen[IMAGES] = {0};
    const char *parts[] = {"#train", "#val"};
    pare_sample sample = {0};
    for (int p = 0; p < 2; p++) {
        pare_dataset *d = must_open(make_spec("idx", "images", NULL, parts[p]));
        for (size_t i = 0; i < pare_dataset_count(d); i++) {
            assert_ok(pare_dataset_read(d, i, &sample, NULL), NULL);
            seen[((uint8_t *)sample.data)[0] / SIDE_BYTES]++;
        }
        pare_dataset_close(d);
    }
    for (int i = 0; i < IMAGES; i++) {
        assert_int_equal(seen[i], 1);
    }
    pare_sample_free(&sample);
}

static void limit_takes_the_first_or_a_seeded_sample(void **state) {
    (void)state;
    put_usual();
    uint8_t taken[2][8];
    pare_sample sample = {0};
    for (int run = 0; run < 2; run++) {
        pare_dataset *d = must_open(make_spec("idx", "images", NULL, ""));
        assert_ok(pare_dataset_limit(d, 100, true, 1, NULL), NULL);
        assert_int_equal(pare_dataset_count(d), IMAGES);
        assert_ok(pare_dataset_limit(d, 8, true, 5, NULL), NULL);
        assert_int_equal(pare_dataset_count(d), 8);
        for (size_t i = 0; i < 8; i++) {
            assert_ok(pare_dataset_read(d, i, &sample, NULL), NULL);
            taken[run][i] = ((uint8_t *)sample.data)[0] / SIDE_BYTES;
            assert_true(i == 0 || taken[run][i] > taken[run][i - 1]);
        }
        assert_ok(pare_dataset_limit(d, 3, false, 0, NULL), NULL);
        assert_ok(pare_dataset_read(d, 2, &sample, NULL), NULL);
        assert_int_equal(((uint8_t *)sample.data)[0] / SIDE_BYTES, taken[run][2]);
        pare_dataset_close(d);
    }
    assert_memory_equal(taken[0], taken[1], 8);
    assert_true(taken[0][7] > 7); /* not just the first ones */
    pare_sample_free(&sample);
}

static void expect_order(pare_dataset *d, const size_t *wanted, size_t count) {
    pare_sample sample = {0};
    pare_error error = {0};
    assert_int_equal(pare_dataset_count(d), count);
    for (size_t i = 0; i < count; i++) {
        assert_ok(pare_dataset_read(d, i, &sample, &error), &error);
        assert_int_equal(((uint8_t *)sample.data)[0], wanted[i] * SIDE_BYTES);
        assert_int_equal(sample.classes[0], wanted[i] % 10);
    }
    assert_fails(pare_dataset_read(d, count, &sample, &error), PARE_USAGE, &error, "expected a sample below");
    pare_sample_free(&sample);
}

static void select_takes_these_in_this_order(void **state) {
    (void)state;
    put_usual();
    pare_error error = {0};
    size_t wanted[4] = {24, 3, 3, 11};
    pare_dataset *d = must_open(make_spec("idx", "images", "labels", ""));
    pare_dataset *other = must_open(make_spec("idx", "images", "labels", ""));
    assert_ok(pare_dataset_select(d, wanted, 4, &error), &error);
    wanted[0] = 0; /* copied */
    expect_order(d, (const size_t[]){24, 3, 3, 11}, 4);
    /* of what is left, not of the file */
    assert_ok(pare_dataset_select(d, (const size_t[]){3, 0}, 2, &error), &error);
    expect_order(d, (const size_t[]){11, 24}, 2);
    assert_ok(pare_dataset_limit(d, 1, false, 0, &error), &error);
    expect_order(d, (const size_t[]){11}, 1);
    assert_int_equal(pare_dataset_count(other), IMAGES);
    pare_dataset_close(d);
    pare_dataset_close(other);
}

static void select_goes_by_the_part_and_the_limit(void **state) {
    (void)state;
    put_usual();
    pare_error error = {0};
    pare_dataset *d = must_open(make_spec("idx", "images", "labels", "#train"));
    assert_ok(pare_dataset_select(d, (const size_t[]){22, 9, 8}, 3, &error), &error);
    expect_order(d, (const size_t[]){24, 10, 8}, 3); /* 9 and 19 are in #val */
    pare_dataset_close(d);
    d = must_open(make_spec("idx", "images", "labels", "#10:20"));
    assert_ok(pare_dataset_limit(d, 5, false, 0, &error), &error);
    assert_ok(pare_dataset_select(d, (const size_t[]){4, 1}, 2, &error), &error);
    expect_order(d, (const size_t[]){14, 11}, 2);
    pare_dataset_close(d);
}

static uint32_t checksum_of(const char *part, size_t limit, const size_t *selected, size_t count) {
    pare_error error = {0};
    uint32_t crc = 0;
    pare_dataset *d = must_open(make_spec("idx", "images", "labels", part));
    assert_ok(pare_dataset_limit(d, limit, false, 0, &error), &error);
    if (selected != NULL) {
        assert_ok(pare_dataset_select(d, selected, count, &error), &error);
    }
    assert_ok(pare_dataset_checksum(d, &crc, &error), &error);
    pare_dataset_close(d);
    return crc;
}

/* As many samples of the same files, but others. */
static void the_checksum_tells_views_apart(void **state) {
    (void)state;
    put_usual();
    uint32_t whole = checksum_of("", 0, NULL, 0);
    assert_int_equal(whole, checksum_of("#0:25", 0, NULL, 0));
    uint32_t head = checksum_of("#0:5", 0, NULL, 0);
    assert_int_equal(head, checksum_of("", 5, NULL, 0));
    assert_int_equal(head, checksum_of("", 0, (const size_t[]){0, 1, 2, 3, 4}, 5));
    assert_int_not_equal(head, whole);
    assert_int_not_equal(head, checksum_of("#1:6", 0, NULL, 0));
    assert_int_not_equal(head, checksum_of("", 0, (const size_t[]){0, 1, 2, 4, 3}, 5));
    assert_int_not_equal(head, checksum_of("#train", 5, (const size_t[]){0, 1, 2, 3, 3}, 5));
}

static void what_cannot_be_selected_leaves_the_view(void **state) {
    (void)state;
    put_usual();
    pare_error error = {0};
    pare_dataset *d = must_open(make_spec("idx", "images", "labels", ""));
    assert_ok(pare_dataset_select(d, (const size_t[]){7, 5}, 2, &error), &error);
    size_t before = pare_memory_used();
    assert_fails(pare_dataset_select(d, (const size_t[]){0, 2}, 2, &error), PARE_USAGE, &error, "below 2 to select");
    assert_fails(pare_dataset_select(d, NULL, 0, &error), PARE_USAGE, &error, "found none");
    assert_fails(pare_dataset_select(d, (const size_t[]){0}, SIZE_MAX / 4, &error), PARE_LIMIT, &error, "");
    pare_memory_fail_at(1, false);
    assert_fails(pare_dataset_select(d, (const size_t[]){0}, 1, &error), PARE_LIMIT, &error, "");
    pare_memory_fail_at(0, false);
    assert_int_equal(pare_memory_used(), before);
    expect_order(d, (const size_t[]){7, 5}, 2);
    pare_dataset_close(d);
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
    (void)state;
    put_usual();
    uint8_t file[1024];
    size_t packed, bytes = make_images(file, 8, 3, IMAGES, (size_t)IMAGES * SIDE_BYTES), before = pare_memory_used();
    uint8_t *small = gzip(file, bytes, &packed);
    put_file("images.gz", small, packed);
    free(small);
    pare_status status = PARE_LIMIT;
    for (size_t n = 1; status != PARE_OK; n++) {
        assert_true(n < 100);
        pare_dataset *d = NULL;
        pare_sample sample = {0};
        pare_memory_fail_at(n, false);
        status = pare_dataset_open(make_spec("idx", "images.gz", "labels", "#val"), &d, NULL);
        if (status == PARE_OK) {
            status = pare_dataset_read(d, 1, &sample, NULL);
        }
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        pare_sample_free(&sample);
        pare_dataset_close(d);
        assert_int_equal(pare_memory_used(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_reads_images_and_labels),
        cmocka_unit_test(row_72_gzip_members_and_truncation),
        cmocka_unit_test(row_72_gzip_bomb_stops_at_what_the_header_says),
        cmocka_unit_test(row_72_idx_magic_type_and_rank),
        cmocka_unit_test(row_72_idx_short_long_and_overflowing_files),
        cmocka_unit_test(row_72_idx_count_times_size),
        cmocka_unit_test(row_72_idx_gzip_shorter_or_longer_than_its_header),
        cmocka_unit_test(row_72_idx_labels_and_images_differ),
        cmocka_unit_test(parts_of_a_set),
        cmocka_unit_test(train_and_val_share_no_sample),
        cmocka_unit_test(limit_takes_the_first_or_a_seeded_sample),
        cmocka_unit_test(select_takes_these_in_this_order),
        cmocka_unit_test(select_goes_by_the_part_and_the_limit),
        cmocka_unit_test(the_checksum_tells_views_apart),
        cmocka_unit_test(what_cannot_be_selected_leaves_the_view),
        cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
