#include "dataset_files.h"

#define RECORD 3073

/* Records whose planes hold 1, 2 and 3 plus the sample's number. */
static void fill_record(uint8_t *record, size_t labels, uint8_t label, uint8_t number) {
    memset(record, label, labels);
    for (size_t channel = 0; channel < 3; channel++) {
        memset(record + labels + channel * 1024, (int)(10 * (channel + 1) + number), 1024);
    }
}

static void cifar10_joins_batches_and_interleaves_colours(void **state) {
    (void)state;
    static uint8_t file[3 * RECORD];
    for (uint8_t i = 0; i < 3; i++) {
        fill_record(file + i * RECORD, 1, i, i);
    }
    put_file("a.bin", file, 2 * RECORD);
    put_file("b.bin", file + 2 * RECORD, RECORD);
    pare_dataset *d = must_open(make_spec("cifar10", "a.bin", "b.bin", ""));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_int_equal(pare_dataset_count(d), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(pare_dataset_read(d, i, &sample, &error), &error);
        const uint8_t *pixel = (const uint8_t *)sample.data + 3 * 700;
        assert_int_equal(sample.classes[0], i);
        assert_int_equal(pixel[0], 10 + i);
        assert_int_equal(pixel[1], 20 + i);
        assert_int_equal(pixel[2], 30 + i);
    }
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void cifar100_takes_the_fine_label(void **state) {
    (void)state;
    static uint8_t record[RECORD + 1];
    fill_record(record, 2, 7, 0);
    record[1] = 99;
    put_file("c.bin", record, sizeof record);
    pare_dataset *d = must_open(make_spec("cifar100", "c.bin", NULL, ""));
    pare_sample sample = {0};
    assert_ok(pare_dataset_read(d, 0, &sample, NULL), NULL);
    assert_int_equal(sample.classes[0], 99);
    pare_sample_free(&sample);
    pare_dataset_close(d);
    refuses(make_spec("cifar10", "c.bin", NULL, ""), PARE_BAD_INPUT, "multiple of 3073 bytes (CIFAR-10 records)");
}

static void row_73_cifar_size_label_and_missing_batch(void **state) {
    (void)state;
    static uint8_t record[RECORD];
    fill_record(record, 1, 10, 0);
    put_file("d.bin", record, RECORD);
    put_file("short.bin", record, RECORD - 1);
    put_file("empty.bin", record, 0);
    pare_dataset *d = must_open(make_spec("cifar10", "d.bin", NULL, ""));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_fails(pare_dataset_read(d, 0, &sample, &error), PARE_BAD_INPUT, &error, "label below 10, found 10");
    pare_sample_free(&sample);
    pare_dataset_close(d);
    refuses(make_spec("cifar10", "short.bin", NULL, ""), PARE_BAD_INPUT, "found 3072");
    refuses(make_spec("cifar10", "empty.bin", NULL, ""), PARE_BAD_INPUT, "found 0");
    refuses(make_spec("cifar10", "d.bin", "missing.bin", ""), PARE_IO, "missing.bin");
    refuses(make_spec("cifar10", "d.bin", NULL, ","), PARE_USAGE, "empty");
    refuses("cifar10:/", PARE_BAD_INPUT, "/");
}

static void row_73_cifar100_size_and_label(void **state) {
    (void)state;
    static uint8_t record[2 * (RECORD + 1)];
    fill_record(record, 2, 100, 0);
    fill_record(record + RECORD + 1, 2, 255, 0);
    put_file("e.bin", record, sizeof record);
    pare_dataset *d = must_open(make_spec("cifar100", "e.bin", NULL, ""));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_fails(pare_dataset_read(d, 0, &sample, &error), PARE_BAD_INPUT, &error, "label below 100, found 100");
    assert_fails(pare_dataset_read(d, 1, &sample, &error), PARE_BAD_INPUT, &error, "label below 100, found 255");
    pare_sample_free(&sample);
    pare_dataset_close(d);
    put_file("odd.bin", record, 2 * RECORD); /* whole records, but of CIFAR-10 */
    refuses(make_spec("cifar100", "odd.bin", NULL, ""), PARE_BAD_INPUT, "multiple of 3074 bytes (CIFAR-100 records)");
    put_file("long.bin", record, sizeof record - 1);
    refuses(make_spec("cifar100", "long.bin", NULL, ""), PARE_BAD_INPUT, "found 6147");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cifar10_joins_batches_and_interleaves_colours),
        cmocka_unit_test(cifar100_takes_the_fine_label),
        cmocka_unit_test(row_73_cifar_size_label_and_missing_batch),
        cmocka_unit_test(row_73_cifar100_size_and_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
