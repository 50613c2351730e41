/* Row 19 of the bad inputs: names in a model must not steer the terminal of
 * whoever inspects it. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "onnx_builder.h"

#define ESCAPES "\x1b[2J\x1b]0;owned\a"

/* x [N, 4] -> Relu -> h -> the named operator -> y */
static void save_model(const char *path, const char *op) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, ESCAPES "x", PARE_F32, 2, (int64_t[]){-1, 4});
    test_onnx_node(m, "Relu",
                   ESCAPES "\xc2\x9b"
                           "31mrelu",
                   1, (const char *[]){ESCAPES "x"}, 1, (const char *[]){"h"});
    test_onnx_node(m, op, ESCAPES "last\r\n", 1, (const char *[]){"h"}, 1, (const char *[]){ESCAPES "y"});
    test_onnx_output(m, ESCAPES "y", PARE_F32, 2, (int64_t[]){-1, 4});
    test_onnx_save(m, path);
    test_onnx_free(m);
}

/* Runs a command in the tests' folder; its output and exit code. */
static int run(const char *command, char *text, size_t size) {
    char line[8192];
    const char *bin = getenv("PARE_BIN");
    assert_non_null(bin);
    snprintf(line, sizeof line, "cd '%s' && PATH='%s' && %s 2>&1", test_folder(), bin, command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t got = fread(text, 1, size - 1, pipe);
    text[got] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

static void expect_clean(const char *command, int status, const char *contains) {
    static char text[1 << 16];
    int found = run(command, text, sizeof text);
    if (found != status || strstr(text, contains) == NULL) {
        fail_msg("%s: expected exit %d and \"%s\", found %d: %s", command, status, contains, found, text);
    }
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c < 0x20 && c != '\n') || c == 0x7f || (c == 0xc2 && (unsigned char)at[1] < 0xa0)) {
            fail_msg("%s: printed the control character 0x%02x", command, c);
        }
    }
}

static void row_19_names_are_printed_without_escapes(void **state) {
    (void)state;
    save_model(test_path("good.onnx"), "Sigmoid");
    save_model(test_path("bad.onnx"), "Imaginary" ESCAPES);
    expect_clean("pare-inspect good.onnx", 0, "?[2J");
    expect_clean("pare-inspect good.onnx --json -", 0, "\\u001B[2J");
    expect_clean("pare-inspect bad.onnx", 5, "Imaginary?[2J");
    expect_clean("pare-emit good.onnx -o good.pare", 0, "ratio");
    expect_clean("pare-inspect good.pare", 0, "?[2J");
    expect_clean("pare-bench good.onnx --iterations 2 --layers", 0, "?[2J");
    expect_clean("pare-bench good.pare --iterations 2 --layers", 0, "?[2J");
    expect_clean("pare-run good.pare --input x.npy -o y.npy", 4, "x.npy");
    expect_clean("pare-run good.pare --input a=x.npy --input b=x.npy -o y.npy", 4, "x.npy");
    expect_clean("pare-inspect good.onnx --shape nobody=1x4", 2, "nobody");
    expect_clean("pare-quantize good.onnx --activations float -o q.onnx -v", 0, "quantized");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(row_19_names_are_printed_without_escapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
