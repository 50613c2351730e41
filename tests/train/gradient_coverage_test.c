/* Every operator with a gradient has a case: the tests of gradients that stand
 * beside this one in the build are asked which operators they check. */
#include "test.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pare/op.h"

static char folder[4096];
static char checked[16384]; /* "\nConv\n..", one a line */

static void ask(const char *program) {
    char command[8192], line[128];
    snprintf(command, sizeof command, "'%s' --list", program);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof line, pipe) != NULL) {
        assert_true(strlen(checked) + strlen(line) < sizeof checked);
        strcat(checked, line);
    }
    assert_int_equal(pclose(pipe), 0);
}

static bool is_checked(const char *op) {
    char line[128];
    snprintf(line, sizeof line, "\n%s\n", op);
    return strstr(checked, line) != NULL;
}

static void every_gradient_has_a_case(void **state) {
    (void)state;
    char pattern[4200];
    glob_t found;
    size_t count = 0, missing = 0, with = 0;
    snprintf(pattern, sizeof pattern, "%s/gradient_*_test", folder);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    strcpy(checked, "\n");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (strstr(found.gl_pathv[i], "gradient_coverage_test") == NULL) {
            ask(found.gl_pathv[i]);
        }
    }
    globfree(&found);
    const pare_op *const *all = pare_op_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (all[i]->gradient == NULL && all[i]->quant != PARE_QUANT_MOVE) {
            continue;
        }
        with++;
        if (!is_checked(all[i]->name)) {
            print_error("no case for the gradient of %s\n", all[i]->name);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_true(with >= 60);
}

int main(void) {
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length <= 0) {
        return 1;
    }
    folder[length] = '\0';
    *strrchr(folder, '/') = '\0';
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_gradient_has_a_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
