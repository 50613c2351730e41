/* Rows of the bad inputs that every reader meets: files that change while they
 * are read (5, 70), what messages may carry (19), no file left to open (82). */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "onnx_samples.h"
#include "pare/bytes.h"
#include "pare/dataset.h"
#include "pare/file.h"
#include "pare/model.h"
#include "pare/npy.h"
#include "pare/runtime.h"
#include "sample_models.h"

/* Files whose size the system states wrongly: as if they grew, as if they shrank. */
static void row_05_size_that_is_not_what_is_read(void **state) {
    (void)state;
    static const struct {
        const char *path, *text;
    } files[] = {{"/proc/self/status", "found more"}, {"/sys/kernel/mm/transparent_hugepage/enabled", "found fewer"}};
    int tried = 0;
    for (size_t i = 0; i < 2; i++) {
        pare_error error = {0};
        uint8_t *data = NULL;
        size_t size = 0, used = pare_memory_used();
        if (access(files[i].path, R_OK) == 0) {
            assert_fails(pare_file_read(files[i].path, 1 << 20, &data, &size, &error), PARE_BAD_INPUT, &error,
                         "the file changed while it was read");
            assert_non_null(strstr(error.message, files[i].text));
            assert_int_equal(pare_memory_used(), used);
            tried++;
        }
    }
    if (tried == 0) {
        skip();
    }
}

/* A thread that cuts, extends and replaces a file for as long as it is read. */
typedef struct disturber {
    const char *path;
    const uint8_t *data;
    size_t size;
    atomic_bool stop;
} disturber;

static void *disturb(void *context) {
    disturber *d = context;
    char other[8192];
    snprintf(other, sizeof other, "%s.other", d->path);
    for (unsigned turn = 0; !atomic_load(&d->stop); turn++) {
        if (turn % 3 == 2) {
            int made = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (made >= 0 && write(made, d->data, d->size) == (ssize_t)d->size) {
                rename(other, d->path);
            }
            close(made);
        } else {
            int opened = open(d->path, O_WRONLY | O_CLOEXEC);
            (void)!ftruncate(opened, turn % 3 == 0 ? (off_t)(d->size / 2) : 0);
            (void)!pwrite(opened, d->data, d->size, 0);
            close(opened);
        }
    }
    return NULL;
}

static void read_while_it_changes(const char *path, const uint8_t *data, size_t size,
                                  pare_status (*read)(const char *path, pare_error *error)) {
    pthread_t thread;
    disturber d = {.path = path, .data = data, .size = size};
    pare_error error = {0};
    assert_ok(pare_file_replace(path, data, size, &error), &error);
    assert_int_equal(pthread_create(&thread, NULL, disturb, &d), 0);
    for (int i = 0; i < 400; i++) {
        size_t used = pare_memory_used();
        pare_status status = read(path, &error);
        if (status != PARE_OK && status != PARE_BAD_INPUT && status != PARE_UNSUPPORTED) {
            print_error("status %d: %s\n", (int)status, error.message);
            fail();
        }
        assert_true(status == PARE_OK || error.message[0] != '\0');
        assert_int_equal(pare_memory_used(), used);
    }
    atomic_store(&d.stop, true);
    pthread_join(thread, NULL);
}

static pare_status read_onnx(const char *path, pare_error *error) {
    pare_onnx_file file;
    pare_status status = pare_onnx_open(path, NULL, &file, error);
    pare_onnx_close(&file);
    return status;
}

static pare_status read_container(const char *path, pare_error *error) {
    pare_model *model = NULL;
    pare_status status = pare_model_open(path, NULL, &model, error);
    if (status == PARE_OK) {
        status = pare_model_verify(model, error);
    }
    pare_model_release(model);
    return status;
}

static pare_status read_set(const char *path, pare_error *error) {
    char spec[8192];
    pare_dataset *dataset = NULL;
    pare_sample sample = {0};
    snprintf(spec, sizeof spec, "npy:%s", path);
    pare_status status = pare_dataset_open(spec, &dataset, error);
    for (size_t i = 0; status == PARE_OK && i < pare_dataset_count(dataset); i++) {
        status = pare_dataset_read(dataset, i, &sample, error);
    }
    pare_sample_free(&sample);
    pare_dataset_close(dataset);
    return status;
}

static void row_05_onnx_that_changes_while_it_is_read(void **state) {
    (void)state;
    test_onnx *m = onnx_samples[0].build();
    size_t size = 0;
    const uint8_t *data = test_onnx_pack(m, &size);
    read_while_it_changes(test_path("changing.onnx"), data, size, read_onnx);
    test_onnx_free(m);
}

static void row_70_container_that_changes_while_it_is_read(void **state) {
    (void)state;
    pare_model *model = sample_integer();
    pare_error error = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    assert_ok(pare_model_to_bytes(model, NULL, &data, &size, &error), &error);
    read_while_it_changes(test_path("changing.pare"), data, size, read_container);
    pare_free(data);
    pare_model_release(model);
}

static void row_05_data_set_that_changes_while_it_is_read(void **state) {
    (void)state;
    static float values[64 * 16];
    pare_shape shape = {2, {64, 16}};
    pare_error error = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, values, &error), &error);
    assert_ok(pare_file_read(test_path("x.npy"), 1 << 20, &data, &size, &error), &error);
    read_while_it_changes(test_path("x.npy"), data, size, read_set);
    pare_free(data);
}

/* --- messages ------------------------------------------------------------- */

static void row_19_messages_carry_no_control_characters(void **state) {
    (void)state;
    static const char *const hostile[] = {"\x1b[2J\x1b]0;title\a", "a\rb\nc\td\be",
                                          "\x7f\xc2\x9b"
                                          "31m",
                                          "\xff\xfe\xc0\x80"};
    for (size_t i = 0; i < 4; i++) {
        pare_error error = {0};
        pare_fail(&error, PARE_BAD_INPUT, "node \"%s\": wrong", hostile[i]);
        pare_error_prefix(&error, "%s: ", hostile[i]);
        assert_true(pare_is_utf8(error.message, strlen(error.message)));
        for (const char *at = error.message; *at != '\0'; at++) {
            assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
        }
        assert_null(strstr(error.message, "\xc2\x9b"));
        assert_non_null(strstr(error.message, "wrong"));
    }
}

static void row_81_long_messages_keep_their_end(void **state) {
    (void)state;
    char path[4097];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    pare_error error = {0};
    pare_fail(&error, PARE_IO, "%s: cannot open: for this reason", path);
    pare_error_prefix(&error, "%s: ", path);
    assert_true(strlen(error.message) < sizeof error.message);
    assert_non_null(strstr(error.message, "ppp"));
    assert_non_null(strstr(error.message, "cannot open: for this reason"));
}

/* --- no descriptors left -------------------------------------------------- */

static void row_82_no_file_left_to_open(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *smallest = sample_smallest(), *model = NULL;
    char onnx[8192], container[8192], numbers[8192], made[8192], spec[8300];
    snprintf(onnx, sizeof onnx, "%s", test_path("few.onnx"));
    snprintf(container, sizeof container, "%s", test_path("few.pare"));
    snprintf(numbers, sizeof numbers, "%s", test_path("few.npy"));
    snprintf(made, sizeof made, "%s", test_path("made"));
    snprintf(spec, sizeof spec, "npy:%s", numbers);
    test_onnx *m = onnx_samples[0].build();
    test_onnx_save(m, onnx);
    test_onnx_free(m);
    assert_ok(pare_model_save(smallest, NULL, container, &error), &error);
    assert_ok(pare_npy_write(numbers, PARE_F32, &(pare_shape){1, {2}}, (float[2]){1, 2}, &error), &error);

    struct rlimit kept, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &kept), 0);
    few = kept;
    few.rlim_cur = 3;
    size_t used = pare_memory_used();
    pare_onnx_file file;
    pare_dataset *dataset = NULL;
    pare_status status[4];
    pare_error errors[4] = {{0}};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    status[0] = pare_onnx_open(onnx, NULL, &file, &errors[0]);
    status[1] = pare_model_open(container, NULL, &model, &errors[1]);
    status[2] = pare_dataset_open(spec, &dataset, &errors[2]);
    status[3] = pare_file_replace(made, "x", 1, &errors[3]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &kept), 0);
    for (int i = 0; i < 4; i++) {
        assert_fails(status[i], PARE_IO, &errors[i], "Too many open files");
    }
    assert_int_equal(access(made, F_OK), -1);
    assert_int_equal(pare_memory_used(), used);
    pare_model_release(smallest);
}

/* Sessions need no files: the topology of the CPU is then guessed. */
static void row_82_a_session_without_files(void **state) {
    (void)state;
    struct rlimit kept, few;
    pare_model *model = sample_integer();
    pare_session *session = NULL;
    pare_error error = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &kept), 0);
    few = kept;
    few.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    pare_status status = pare_session_create(model, NULL, &session, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &kept), 0);
    assert_ok(status, &error);
    pare_session_free(session);
    pare_model_release(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_05_size_that_is_not_what_is_read),
        cmocka_unit_test(row_05_onnx_that_changes_while_it_is_read),
        cmocka_unit_test(row_05_data_set_that_changes_while_it_is_read),
        cmocka_unit_test(row_70_container_that_changes_while_it_is_read),
        cmocka_unit_test(row_19_messages_carry_no_control_characters),
        cmocka_unit_test(row_81_long_messages_keep_their_end),
        cmocka_unit_test(row_82_no_file_left_to_open),
        cmocka_unit_test(row_82_a_session_without_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
