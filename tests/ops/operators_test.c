/* Every operator's file, from text to the reference kernels. With
 * PARE_WRITE_CORPUS=FOLDER the cases are also written there as ONNX models: more
 * seeds for the fuzz targets. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operator_cases.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"

#define CASES (sizeof operator_cases / sizeof operator_cases[0])

static void write_seed(const graph_case *test) {
    const char *folder = getenv("PARE_WRITE_CORPUS");
    if (folder != NULL) {
        char path[4096];
        pare_graph *graph = NULL;
        pare_error error = {0};
        snprintf(path, sizeof path, "%s/%s_%zu", folder, test->op, (size_t)(test - operator_cases));
        assert_ok(graph_case_build(test, &graph, &error), &error);
        assert_ok(pare_graph_save(graph, path, &error), &error);
        pare_graph_free(graph);
    }
}

static void run_case(void **state) {
    write_seed(*state);
    graph_case_check(*state);
}

static void every_descriptor_has_a_case(void **state) {
    (void)state;
    size_t count = 0, missing = 0;
    const pare_op *const *all = pare_op_all(&count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t c = 0; c < CASES && !found; c++) {
            found = strcmp(operator_cases[c].op, all[i]->name) == 0;
        }
        if (!found) {
            print_error("no case for operator %s\n", all[i]->name);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_true(count >= 100);
}

static void descriptors_are_sorted_and_complete(void **state) {
    (void)state;
    size_t count = 0;
    const pare_op *const *all = pare_op_all(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(all[i - 1]->name, all[i]->name) < 0);
        assert_non_null(all[i]->infer);
        assert_true(all[i]->lower != NULL || all[i]->fold != NULL);
        assert_ptr_equal(pare_op_find("", all[i]->name, 22), all[i]);
        assert_ptr_equal(pare_op_find("ai.onnx", all[i]->name, 22), all[i]);
        assert_true(all[i]->quant != PARE_QUANT_TABLE || all[i]->function != NULL);
        assert_true(all[i]->quant != PARE_QUANT_WEIGHTED || all[i]->integer != NULL);
    }
    assert_null(pare_op_find("", "NoSuchOperator", 13));
    assert_null(pare_op_find("com.example", "Relu", 13));
    assert_null(pare_op_find("", "LayerNormalization", 16));
}

int main(void) {
    static struct CMUnitTest tests[CASES + 2];
    static char names[CASES][160];
    tests[0] = (struct CMUnitTest)cmocka_unit_test(every_descriptor_has_a_case);
    tests[1] = (struct CMUnitTest)cmocka_unit_test(descriptors_are_sorted_and_complete);
    for (size_t i = 0; i < CASES; i++) {
        snprintf(names[i], sizeof names[i], "%zu %s %.100s", i, operator_cases[i].op, operator_cases[i].attributes);
        tests[i + 2] = (struct CMUnitTest){names[i], run_case, NULL, NULL, (void *)(uintptr_t)&operator_cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
