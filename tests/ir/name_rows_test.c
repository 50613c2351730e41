/* Row 19 of the bad inputs: names at the limit of their length. */
#include <string.h>

#include "onnx_samples.h"
#include "pare/lower.h"
#include "test.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* The longest names that are accepted, of two bytes a character: what lowering
 * derives from them stays a name that a container may hold. */
static void row_19_longest_names_survive_lowering(void **state) {
    (void)state;
    char name[1025], output_name[1025];
    memset(name, 'a', sizeof name);
    for (size_t i = 1; i + 1 < 1024; i += 2) {
        memcpy(name + i, "\xc3\xa4", 2);
    }
    name[1024] = '\0';
    memcpy(output_name, name, sizeof name);
    output_name[0] = 'b';
    static const float ones[4] = {1, 1, 1, 1}, weights[16] = {1, 2, 3};
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 3, DIMS(-1, 4, 5));
    test_onnx_initializer_f32(m, "w", 3, DIMS(4, 4, 1), weights);
    test_onnx_initializer_f32(m, "one", 1, DIMS(4), ones);
    test_onnx_node(m, "Conv", name, 2, NAMES("x", "w"), 1, NAMES(name));
    test_onnx_node(m, "BatchNormalization", output_name, 5, NAMES(name, "one", "one", "one", "one"), 1,
                   NAMES(output_name));
    test_onnx_output(m, output_name, PARE_F32, 3, DIMS(-1, 4, 5));
    pare_graph *graph = NULL;
    pare_model *model = NULL, *read = NULL;
    pare_error error = {0};
    assert_ok(onnx_sample_import(m, &graph, &error), &error);
    uint8_t *data = NULL;
    size_t size = 0;
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    assert_ok(pare_model_to_bytes(model, NULL, &data, &size, &error), &error);
    assert_ok(pare_model_from_bytes(data, size, NULL, &read, &error), &error);
    pare_free(data);
    pare_model_release(read);
    pare_model_release(model);
    pare_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(row_19_longest_names_survive_lowering)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
