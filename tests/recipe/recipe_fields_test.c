/* Bad recipes and settings: each is refused by name, with what was expected. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/recipe.h"

#define RESNET "{\"family\": \"resnet\", "

static const struct {
    const char *json, *message;
} refused[] = {
    {"", "test.json: expected a recipe in JSON"},
    {"[1]", "test.json: expected a JSON object with a \"family\""},
    {"{", "expected a recipe in JSON: line 1"},
    {"{} {}", "expected a recipe in JSON"},
    {"{}", "\"family\": expected one of lenet-300-100, lenet-5, resnet, mobilenet, ds-cnn, cnn, mlp, autoencoder, "
           "transformer, found nothing"},
    {"{\"family\": \"vgg\"}", "transformer, found \"vgg\""},
    {"{\"family\": 3}", "transformer, found 3"},
    {RESNET "\"family\": \"resnet\"}", "duplicate object key"},
    {RESNET "\"depht\": 20}", "test.json: unknown field \"depht\": expected one of depth, width, kernel, classes, "},
    {RESNET "\"depth\": 21}", "\"depth\": expected 6n + 2 (8, 14, 20, 26, 32, ...), found 21"},
    {RESNET "\"depth\": 2}", "\"depth\": expected a whole number from 8 to 1202, found 2"},
    {RESNET "\"depth\": 20.0}", "\"depth\": expected a whole number from 8 to 1202, found 20.0"},
    {RESNET "\"depth\": \"20\"}", "\"depth\": expected a whole number from 8 to 1202, found \"20\""},
    {RESNET "\"depth\": null}", "found null"},
    {RESNET "\"depth\": -9223372036854775808}", "found -9223372036854775808"},
    {RESNET "\"depth\": 9223372036854775808}", "expected a recipe in JSON: line 1, column"},
    {RESNET "\"kernel\": 4}", "\"kernel\": expected an odd number, found 4"},
    {RESNET "\"dropout\": NaN}", "expected a recipe in JSON: line 1, column"},
    {RESNET "\"dropout\": Infinity}", "expected a recipe in JSON: line 1, column"},
    {RESNET "\"dropout\": -Infinity}", "expected a recipe in JSON: line 1, column"},
    {RESNET "\"dropout\": 1e999}", "real number overflow"},
    {RESNET "\"dropout\": \"NaN\"}", "\"dropout\": expected a number from 0 to 0.95, found \"NaN\""},
    {RESNET "\"dropout\": 1}", "\"dropout\": expected a number from 0 to 0.95, found 1"},
    {RESNET "\"dropout\": -0.1}", "\"dropout\": expected a number from 0 to 0.95, found -0.1"},
    {RESNET "\"batchnorm\": 1}", "\"batchnorm\": expected true or false, found 1"},
    {RESNET "\"activation\": \"rleu\"}", "\"activation\": expected one of \"relu\", \"leaky_relu\", "},
    {RESNET "\"activation\": \"none\"}", "found \"none\""},
    {RESNET "\"input\": [3, 32]}", "\"input\": expected a list of 3 whole numbers from 1 to 4096, found [3,32]"},
    {RESNET "\"input\": [3, 32, 0]}", "found [3,32,0]"},
    {RESNET "\"input\": 3072}", "found 3072"},
    {RESNET "\"input\": {\"a\": 1}}", "found {\"a\":1}"},
    {RESNET "\"batchnorm\": false, \"zero_init_residual\": true}", "\"zero_init_residual\": expected false where"},
    {RESNET "\"description\": 3}", "\"description\": expected a text of at most 1000 bytes, found 3"},
    {RESNET "\"preprocess\": 3}", "\"preprocess\": expected a preprocessing record (an object), found 3"},
    {RESNET "\"preprocess\": {\"sclae\": 1}}", "test.json: \"preprocess\": unknown preprocessing key \"sclae\""},
    {RESNET "\"preprocess\": {\"layout\": \"NHWC\"}}", "expected \"layout\" \"NCHW\", for this network reads"},
    {"{\"family\": \"lenet-5\", \"input\": [1, 12, 28]}", "\"input\": expected pictures that two convolutions"},
    {"{\"family\": \"mlp\", \"outputs\": 1}", "\"inputs\": expected a whole number from 1 to 65536, found nothing"},
    {"{\"family\": \"mlp\", \"inputs\": 1, \"outputs\": 1, \"hidden\": [8, -1]}", "from 1 to 65536, found [8,-1]"},
    {"{\"family\": \"mlp\", \"inputs\": 1, \"outputs\": 1, \"hidden\": \"8\"}",
     "\"hidden\": expected a list of 0 to 64"},
    {"{\"family\": \"mlp\", \"inputs\": 1, \"outputs\": 2, \"softmax\": true}", "\"softmax\": expected false where"},
    {"{\"family\": \"mlp\", \"inputs\": 1, \"outputs\": 1, \"task\": \"classification\"}",
     "\"outputs\": expected at least 2"},
    {"{\"family\": \"transformer\"}", "\"features\": expected this or \"vocabulary\" to be given, found nothing"},
    {"{\"family\": \"transformer\", \"features\": 3, \"vocabulary\": 3}", "\"features\": expected nothing, for"},
    {"{\"family\": \"transformer\", \"features\": 3, \"heads\": 3}", "\"width\": expected a multiple of \"heads\""},
    {"{\"family\": \"cnn\"}", "\"blocks\": expected a list of 1 to 64 objects, found nothing"},
    {"{\"family\": \"cnn\", \"blocks\": []}", "\"blocks\": expected a list of 1 to 64 objects, found []"},
    {"{\"family\": \"cnn\", \"blocks\": [3]}", "\"blocks\"[0]: expected an object"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"channels\": 3}]}", "\"blocks\"[0]: \"type\": expected one of \"conv\""},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"max_pool\"}, {\"type\": \"conv\"}]}",
     "\"blocks\"[1]: \"channels\": expected a whole number from 1 to 4096, found nothing"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"max_pool\", \"channels\": 3}]}", "expected nothing: this type"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"residual\", \"stride\": 2}]}",
     "expected nothing or 1: a residual"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"residual\", \"kernel\": 2}]}", "an odd number in a residual"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"conv\", \"channels\": 3, \"size\": 3}]}",
     "\"blocks\"[0]: unknown field \"size\": expected one of type, channels, kernel, stride"},
    {"{\"family\": \"cnn\", \"blocks\": [{\"type\": \"max_pool\", \"kernel\": 29}]}",
     "test.json: node \"block1.pool\" ("},
};

static void bad_recipes_are_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        pare_error error = {0};
        pare_graph *graph = (pare_graph *)&error;
        pare_status status = pare_recipe_build(refused[i].json, "test.json", 0, &graph, NULL, &error);
        assert_fails(status, PARE_BAD_INPUT, &error, refused[i].message);
        assert_null(graph);
        assert_int_equal(strncmp(error.message, "test.json: ", 11), 0);
        assert_int_equal(pare_recipe_build(refused[i].json, "test.json", 0, &graph, NULL, NULL), PARE_BAD_INPUT);
    }
    assert_int_equal(pare_memory_used(), 0);
}

static void sizes_are_limited(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = NULL;
    size_t size = ((size_t)1 << 20) + 1;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text, "{}", 2);
    text[size] = '\0';
    assert_fails(pare_recipe_build(text, "test.json", 0, &graph, NULL, &error), PARE_LIMIT, &error,
                 "test.json: expected a recipe of at most 1048576 bytes, found more");
    memset(text, '[', size);
    text[100000] = '\0';
    assert_fails(pare_recipe_build(text, "test.json", 0, &graph, NULL, &error), PARE_BAD_INPUT, &error, "depth");
    free(text);
    assert_fails(pare_recipe_build("{\"family\": \"mlp\", \"inputs\": 65536, \"outputs\": 65536, \"hidden\": 65536}",
                                   "test.json", 0, &graph, NULL, &error),
                 PARE_LIMIT, &error,
                 "test.json: expected at most 268435456 weights in all, found more: layer \"fc1\" has 65536x65536");
    assert_int_equal(pare_memory_used(), 0);
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void load_fails(const char *path, const char *setting, pare_status expected, const char *message) {
    pare_error error = {0};
    char *json = NULL;
    assert_fails(pare_recipe_load(path, &setting, setting != NULL ? 1 : 0, &json, &error), expected, &error, message);
    assert_null(json);
}

static void settings_replace_fields(void **state) {
    (void)state;
    static const char recipe[] = "{\"family\": \"mlp\", \"inputs\": 8, \"hidden\": [4], \"outputs\": 1}";
    static const char *const settings[] = {"hidden=[2,3]", "activation=tanh", "batchnorm=true", "dropout=0.25",
                                           "description=a = b"};
    const char *path = test_path("recipe.json");
    pare_error error = {0};
    char *json = NULL;
    write_file(path, recipe, strlen(recipe));
    assert_ok(pare_recipe_load(path, settings, 5, &json, &error), &error);
    assert_string_equal(json, "{\"family\":\"mlp\",\"inputs\":8,\"hidden\":[2,3],\"outputs\":1,\"activation\":\"tanh\","
                              "\"batchnorm\":true,\"dropout\":0.25,\"description\":\"a = b\"}");
    pare_free(json);
    load_fails(path, "hidden", PARE_USAGE, "expected a setting NAME=VALUE, found \"hidden\"");
    load_fails(path, "=3", PARE_USAGE, "expected a setting NAME=VALUE, found \"=3\"");
    load_fails(path, "description=\xff", PARE_USAGE, "expected a setting in UTF-8");
    load_fails(path, "descr\xff=x", PARE_USAGE, "expected a setting in UTF-8");
    const char *const twice[] = {"hidden=3", "hidden=4"};
    assert_fails(pare_recipe_load(path, twice, 2, &json, &error), PARE_USAGE, &error,
                 "expected \"hidden\" to be set once, found it twice");
    assert_int_equal(pare_memory_used(), 0);
}

static void bad_files_are_refused(void **state) {
    (void)state;
    const char *path = test_path("bad.json");
    load_fails(test_path("missing.json"), NULL, PARE_IO, "missing.json");
    load_fails(test_folder(), NULL, PARE_BAD_INPUT, "");
    write_file(path, "{\"family\": \"mlp\"}\0{", 19);
    load_fails(path, NULL, PARE_BAD_INPUT, "bad.json: expected a recipe in JSON");
    write_file(path, "{\"family\": \"\\u0000\"}", 20);
    load_fails(path, NULL, PARE_BAD_INPUT, "bad.json: expected a recipe in JSON");
    write_file(path, "[]", 2);
    load_fails(path, "a=1", PARE_BAD_INPUT, "bad.json: expected a JSON object with a \"family\"");
    write_file(path, "{\"family\": \"\xff\"}", 15);
    load_fails(path, NULL, PARE_BAD_INPUT, "bad.json: expected a recipe in JSON");
}

/* The example that help gives for a family, where it is the only one. */
static void build_example(const char *family, const char *text) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    char copy[1000];
    const char *example = strstr(text, "example: {");
    assert_non_null(example);
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(example + 9, "\n"), example + 9);
    assert_ok(pare_recipe_build(copy, family, 0, &graph, NULL, &error), &error);
    pare_graph_free(graph);
}

static void help_names_every_family(void **state) {
    (void)state;
    pare_error error = {0};
    char *all = NULL, *one = NULL;
    const char *summary = NULL, *name = NULL;
    assert_ok(pare_recipe_help(NULL, &all, &error), &error);
    for (size_t i = 0; (name = pare_recipe_family(i, &summary)) != NULL; i++) {
        assert_ok(pare_recipe_help(name, &one, &error), &error);
        assert_non_null(strstr(all, one));
        assert_int_equal(strncmp(one, name, strlen(name)), 0);
        assert_non_null(strstr(one, summary));
        build_example(name, one);
        pare_free(one);
    }
    pare_free(all);
    assert_ok(pare_recipe_help("resnet", &one, &error), &error);
    assert_non_null(strstr(one, "(default 20; a whole number from 8 to 1202)"));
    assert_non_null(strstr(one, "(default [3, 32, 32]; a list of 3 whole numbers from 1 to 4096)"));
    pare_free(one);
    assert_fails(pare_recipe_help("vgg", &one, &error), PARE_USAGE, &error, "found \"vgg\"");
    assert_null(one);
}

/* Memory that runs out at the N-th allocation: a clean status, and nothing stays. */
static void memory_may_run_out(void **state) {
    (void)state;
    static const char recipe[] = "{\"family\": \"transformer\", \"vocabulary\": 5, \"sequence\": 4, \"layers\": 1, "
                                 "\"width\": 4, \"heads\": 2, \"ffn\": 4, \"dropout\": 0.1, \"description\": \"d\", "
                                 "\"preprocess\": {\"layout\": \"flat\"}}";
    pare_status status = PARE_LIMIT;
    size_t refusals = 0;
    for (size_t n = 1; status != PARE_OK; n++) {
        pare_error error = {0};
        pare_graph *graph = NULL;
        pare_memory_fail_at(n, false);
        status = pare_recipe_build(recipe, "test.json", 0, &graph, NULL, &error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || (status == PARE_LIMIT && error.message[0] != '\0' && graph == NULL));
        refusals += status != PARE_OK;
        pare_graph_free(graph);
        assert_int_equal(pare_memory_used(), 0);
    }
    assert_true(refusals > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_recipes_are_refused_by_name), cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(settings_replace_fields),         cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(help_names_every_family),         cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
