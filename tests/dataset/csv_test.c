#include "dataset_files.h"

#include <locale.h>

static void csv_reads_features_and_target(void **state) {
    (void)state;
    put_text("t.csv", "\xef\xbb\xbf"
                      "a,\"b, \"\"c\"\"\",y\r\n1,2.5,-3\r\n\r\n 4 ,\"5e-1\",+6\n7,8,9");
    /* Where the locale writes a decimal comma, files still have points. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    pare_dataset *d = must_open(make_spec("csv", "t.csv", NULL, "?target=b, \"c\""));
    pare_sample sample = {0};
    pare_error error = {0};
    static const float expected[3][3] = {{1, -3, 2.5f}, {4, 6, 0.5f}, {7, 9, 8}};
    assert_int_equal(pare_dataset_count(d), 3);
    assert_int_equal(pare_dataset_info(d).shape.dims[0], 2);
    for (size_t i = 3; i-- > 0;) {
        assert_ok(pare_dataset_read(d, i, &sample, &error), &error);
        const float *x = sample.data;
        assert_true(x[0] == expected[i][0] && x[1] == expected[i][1] && sample.values[0] == expected[i][2]);
    }
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void csv_class_column_gives_labels(void **state) {
    (void)state;
    put_text("c.csv", "x,kind\n0.5,2\n0.25,0\n");
    pare_dataset *d = must_open(make_spec("csv", "c.csv", NULL, "?class=kind"));
    pare_sample sample = {0};
    assert_int_equal(pare_dataset_info(d).target, PARE_TARGET_CLASS);
    assert_ok(pare_dataset_read(d, 0, &sample, NULL), NULL);
    assert_int_equal(sample.classes[0], 2);
    pare_sample_free(&sample);
    pare_dataset_close(d);
    refuses(make_spec("csv", "c.csv", NULL, "?class=x"), PARE_BAD_INPUT, "found \"0.5\"");
}

static void csv_refuses(const char *text, const char *suffix, pare_status expected, const char *message) {
    put_text("bad.csv", text);
    refuses(make_spec("csv", "bad.csv", NULL, suffix), expected, message);
}

static void csv_bad_rows_name_row_and_column(void **state) {
    (void)state;
    csv_refuses("a,b\n1,2\n1,x\n", "", PARE_BAD_INPUT, "row 3, column \"b\": expected a number, found \"x\"");
    csv_refuses("a,b\n1,\n", "", PARE_BAD_INPUT, "found \"\"");
    csv_refuses("a,b\n1,nan\n", "", PARE_BAD_INPUT, "\"nan\"");
    csv_refuses("a,b\n1,1e999\n", "", PARE_BAD_INPUT, "\"1e999\"");
    csv_refuses("a,b\n1,0x10\n", "", PARE_BAD_INPUT, "\"0x10\"");
    csv_refuses("a,b\n1,2,3\n", "", PARE_BAD_INPUT, "expected 2 fields, found 3");
    csv_refuses("a,b\n1\n", "", PARE_BAD_INPUT, "expected 2 fields, found 1");
    csv_refuses("a,b\n1,\"2\n", "", PARE_BAD_INPUT, "quote");
    csv_refuses("a,b\n1,2\"\n", "", PARE_BAD_INPUT, "quote");
}

static void csv_header_is_required(void **state) {
    (void)state;
    csv_refuses("", "", PARE_BAD_INPUT, "header row");
    csv_refuses("1,2\n3,4\n", "", PARE_BAD_INPUT, "found numbers");
    csv_refuses("a,b\n", "", PARE_BAD_INPUT, "empty set");
    csv_refuses("a,b\n1,2\n", "?target=c", PARE_USAGE, "no column is named \"c\"");
    csv_refuses("a,a\n1,2\n", "?target=a", PARE_BAD_INPUT, "two columns");
    csv_refuses("a\n1\n", "?target=a", PARE_BAD_INPUT, "beside the target");
    csv_refuses("a,b\n1,2\n", "?goal=a", PARE_USAGE, "found ?goal=a");
}

static void csv_rows_are_bounded(void **state) {
    (void)state;
    size_t bytes = (size_t)3 << 20;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, '1', bytes);
    memcpy(text, "a\n", 2);
    put_file("long.csv", text, bytes);
    refuses(make_spec("csv", "long.csv", NULL, ""), PARE_LIMIT, "row 2: expected at most 1048576 bytes");
    memset(text, ',', bytes);
    put_file("wide.csv", text, (size_t)1 << 20);
    refuses(make_spec("csv", "wide.csv", NULL, ""), PARE_LIMIT, "1 to 65536 names");
    memcpy(text, "a\n1\0", 4);
    put_file("nul.csv", text, 5);
    refuses(make_spec("csv", "nul.csv", NULL, ""), PARE_BAD_INPUT, "NUL");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_reads_features_and_target),
        cmocka_unit_test(csv_class_column_gives_labels),
        cmocka_unit_test(csv_bad_rows_name_row_and_column),
        cmocka_unit_test(csv_header_is_required),
        cmocka_unit_test(csv_rows_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
