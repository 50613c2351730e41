/* The log of a training run as CSV and as a page. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pare/file.h"
#include "pare/memory.h"
#include "pare/train_log.h"

static const pare_train_metric metrics[] = {{"validation_loss", true}, {"top-1, \"all\"", false}};
#define HEADER                                                                                                         \
    "epoch,step,learning_rate,training_loss,validation_loss,\"top-1, \"\"all\"\"\",images_per_second,seconds\r\n"
#define ROW_1 "1,10,0.1,2.5,2.25,0.100000001,1000.0,1.250\r\n"
#define ROW_2 "2,20,0.05,1.5,,,1000.0,1.250\r\n"
#define ROW_3 "3,30,1e-05,inf,2,0.333333333,1000.0,1.250\r\n"

static pare_train_row make_row(uint64_t epoch, double lr, double loss, double validation, double top1) {
    return (pare_train_row){epoch, 10 * epoch, lr, loss, {validation, top1}, 1000, 1.25};
}

static pare_train_log *open_log(const char *path, uint64_t step) {
    pare_train_log *log = NULL;
    pare_error error = {0};
    assert_ok(pare_train_log_open(path, metrics, 2, step, &log, &error), &error);
    return log;
}

static void add(pare_train_log *log, pare_train_row row) {
    pare_error error = {0};
    assert_ok(pare_train_log_add(log, &row, &error), &error);
}

static void add_three(pare_train_log *log) {
    add(log, make_row(1, 0.1, 2.5, 2.25, (double)0.1f));
    add(log, make_row(2, 0.05, 1.5, NAN, NAN));
    add(log, make_row(3, 1e-5, INFINITY, 2, 1.0 / 3.0));
}

static char *read_text(const char *path) {
    uint8_t *data;
    size_t size;
    pare_error error = {0};
    assert_ok(pare_file_read(path, 1 << 20, &data, &size, &error), &error);
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    pare_free(data);
    return text;
}

static void assert_text(const char *path, const char *expected) {
    char *text = read_text(path);
    assert_string_equal(text, expected);
    free(text);
}

static void put(const char *path, const char *text) {
    pare_error error = {0};
    assert_ok(pare_file_replace(path, text, strlen(text), &error), &error);
}

static void a_row_an_epoch(void **state) {
    (void)state;
    const char *path = test_path("run.csv");
    pare_train_log *log = open_log(path, 0);
    assert_int_equal(access(path, F_OK), -1);
    add_three(log);
    assert_text(path, HEADER ROW_1 ROW_2 ROW_3);
    pare_train_row again = make_row(3, 1, 1, 1, 1);
    pare_error error = {0};
    assert_fails(pare_train_log_add(log, &again, &error), PARE_USAGE, &error, "behind epoch 3 and step 30");
    pare_train_log_free(log);
    /* A new run starts anew. */
    log = open_log(path, 0);
    add(log, make_row(1, 0.1, 2.5, 2.25, (double)0.1f));
    assert_text(path, HEADER ROW_1);
    pare_train_log_free(log);
}

static void resuming_cuts_what_is_made_again(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
        uint64_t step;
        size_t rows;
    } cases[] = {
        {HEADER ROW_1 ROW_2 ROW_3, HEADER ROW_1 ROW_2 ROW_3, 30, 3},
        {HEADER ROW_1 ROW_2 ROW_3, HEADER ROW_1 ROW_2, 29, 2},
        {HEADER ROW_1 ROW_2 ROW_3, HEADER ROW_1 ROW_2, 20, 2},
        {HEADER ROW_1 ROW_2 ROW_3, HEADER, 5, 0},
        {HEADER ROW_1 ROW_2 "3,30,0.0", HEADER ROW_1 ROW_2, 30, 2},
        {HEADER, HEADER, 30, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = test_path("resumed.csv");
        size_t count;
        put(path, cases[i].text);
        pare_train_log *log = open_log(path, cases[i].step);
        pare_train_log_rows(log, &count);
        assert_int_equal(count, cases[i].rows);
        assert_text(path, cases[i].text); /* nothing is lost before there is more */
        add(log, make_row(4, 0.25, 0.5, 2.5, 0.75));
        char expected[1000];
        snprintf(expected, sizeof expected, "%s4,40,0.25,0.5,2.5,0.75,1000.0,1.250\r\n", cases[i].expected);
        assert_text(path, expected);
        pare_train_log_free(log);
    }
    pare_train_log *log = open_log(test_path("missing.csv"), 10);
    pare_train_log_free(log);
}

static void a_file_that_is_no_log(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        pare_status status;
    } cases[] = {
        {"", "expected the columns of this run", PARE_USAGE},
        {"epoch,step\r\n1,2\r\n", "found \"epoch,step\"", PARE_USAGE},
        {HEADER "1,10,0.1\r\n", "line 2: expected a later epoch's row of 8 numbers, found \"1,10,0.1\"",
         PARE_BAD_INPUT},
        {HEADER ROW_1 "2,20,0.1,0x10,,,1,1\r\n", "line 3: ", PARE_BAD_INPUT},
        {HEADER ROW_1 "2,20,1.2.3,1,,,1,1\r\n", "line 3: ", PARE_BAD_INPUT},
        {HEADER ROW_1 "2,20,0.1,1,,,1,1\n", "line 3: ", PARE_BAD_INPUT},
        {HEADER ROW_1 "2,20,0.1,1,,,1,1,1\r\n", "line 3: ", PARE_BAD_INPUT},
        {HEADER ROW_1 "2,99999999999999999999,0.1,1,,,1,1\r\n", "line 3: ", PARE_BAD_INPUT},
        {HEADER ROW_2 ROW_1, "line 3: ", PARE_BAD_INPUT},
        {HEADER "\r\n", "line 2: ", PARE_BAD_INPUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pare_train_log *log = NULL;
        pare_error error = {0};
        size_t used = pare_memory_used();
        put(test_path("bad.csv"), cases[i].text);
        assert_fails(pare_train_log_open(test_path("bad.csv"), metrics, 2, 100, &log, &error), cases[i].status, &error,
                     cases[i].message);
        assert_null(log);
        assert_int_equal(pare_memory_used(), used);
    }
    pare_train_log *log = open_log("/dev/full", 0);
    pare_train_row row = make_row(1, 1, 1, 1, 1);
    pare_error error = {0};
    assert_fails(pare_train_log_add(log, &row, &error), PARE_IO, &error, "/dev/full");
    pare_train_log_free(log);
}

static size_t count_of(const char *text, const char *part) {
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) {
        count++;
    }
    return count;
}

static void the_page_shows_every_curve_and_row(void **state) {
    (void)state;
    const char *path = getenv("PARE_WRITE_PAGE") != NULL ? getenv("PARE_WRITE_PAGE") : test_path("run.html");
    pare_train_log *log = open_log(NULL, 0);
    pare_error error = {0};
    add_three(log);
    for (uint64_t epoch = 4; epoch <= 30; epoch++) {
        double share = (double)epoch / 30;
        add(log, make_row(epoch, 0.1 * (1 - share), 2.3 / (1 + 3 * share), 2.4 / (1 + 2 * share),
                          0.95 - 0.6 / (double)epoch));
    }
    assert_ok(pare_train_html(log, "<b>\"run\" & more", path, &error), &error);
    char *page = read_text(path);
    assert_int_equal(count_of(page, "<svg"), 3);
    assert_int_equal(count_of(page, "<tr>"), 31);
    /* Training: in two pieces around the infinite loss; validation and metric: around the missing epoch. */
    assert_int_equal(count_of(page, "<polyline points"), 2 + 2 + 1);
    assert_int_equal(count_of(page, "<polyline class=\"other\""), 2);
    assert_int_equal(count_of(page, "<circle"), 29 + 29 + 29 + 30);
    assert_int_equal(count_of(page, "<h1>&lt;b&gt;&quot;run&quot; &amp; more</h1>"), 1);
    assert_non_null(strstr(page, "<h2>top-1, &quot;all&quot; against epoch</h2>"));
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "http"));
    assert_null(strstr(page, "<script"));
    free(page);
    pare_train_log_free(log);
}

static void pages_of_little(void **state) {
    (void)state;
    pare_train_log *log = NULL;
    pare_error error = {0};
    assert_ok(pare_train_log_open(NULL, NULL, 0, 0, &log, &error), &error);
    assert_ok(pare_train_html(log, "nothing", test_path("none.html"), &error), &error);
    char *page = read_text(test_path("none.html"));
    assert_non_null(strstr(page, "No epoch has ended."));
    free(page);
    /* One epoch, a loss of 0: axes all the same. */
    add(log, make_row(1, 0.1, 0, 0, 0));
    assert_ok(pare_train_html(log, "one", test_path("one.html"), &error), &error);
    page = read_text(test_path("one.html"));
    assert_int_equal(count_of(page, "<svg"), 2);
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    free(page);
    assert_fails(pare_train_html(log, "", test_path("missing/x.html"), &error), PARE_IO, &error, "No such file");
    pare_train_log_free(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_an_epoch),        cmocka_unit_test(resuming_cuts_what_is_made_again),
        cmocka_unit_test(a_file_that_is_no_log), cmocka_unit_test(the_page_shows_every_curve_and_row),
        cmocka_unit_test(pages_of_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
