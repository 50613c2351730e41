/* What the layers of recipes compute, against plain loops in double, and what their weights start from. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "pare/op.h"
#include "pare/recipe.h"

static pare_graph *build(const char *json) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    assert_ok(pare_recipe_build(json, "test.json", 1, &graph, NULL, &error), &error);
    return graph;
}

static const pare_value *weights(const pare_graph *graph, const char *name) {
    const pare_value *value = pare_graph_find_value(graph, name);
    if (value == NULL || value->data == NULL) {
        fail_msg("no weights \"%s\"", name);
    }
    return value;
}

static float *numbers(const pare_graph *graph, const char *name) {
    return weights(graph, name)->data;
}

static void run(const pare_graph *graph, const float *x, size_t x_count, float *y, size_t y_count) {
    pare_error error = {0};
    pare_input in = {x, x_count * sizeof *x};
    pare_output_buffer out = {y, y_count * sizeof *y};
    assert_ok(graph_run(graph, 1, &in, 1, &out, 1, &error), &error);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double activate(const char *name, double x) {
    if (strcmp(name, "relu") == 0) {
        return fmax(x, 0);
    }
    if (strcmp(name, "leaky_relu") == 0) {
        return x < 0 ? 0.01 * x : x;
    }
    if (strcmp(name, "relu6") == 0) {
        return fmin(fmax(x, 0), 6);
    }
    if (strcmp(name, "hard_swish") == 0) {
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    }
    if (strcmp(name, "silu") == 0) {
        return x * sigmoid(x);
    }
    if (strcmp(name, "gelu") == 0) {
        return x * (1 + erf(x / sqrt(2))) / 2;
    }
    if (strcmp(name, "tanh") == 0) {
        return tanh(x);
    }
    assert_string_equal(name, "sigmoid");
    return sigmoid(x);
}

static const char *const activations[] = {"relu", "leaky_relu", "relu6", "hard_swish",
                                          "silu", "gelu",       "tanh",  "sigmoid"};

/* Of one unit, whose weights are set to 1. */
static void activations_are_what_they_are_called(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        char json[200];
        snprintf(json, sizeof json,
                 "{\"family\": \"mlp\", \"inputs\": 1, \"hidden\": [1], \"outputs\": 1, \"activation\": \"%s\"}",
                 activations[i]);
        pare_graph *graph = build(json);
        *numbers(graph, "fc1.weight") = *numbers(graph, "head.weight") = 1;
        for (float x = -8; x <= 8; x += 0.5F) {
            float y = 0;
            double expected = activate(activations[i], (double)x);
            run(graph, &x, 1, &y, 1);
            if (!(fabs((double)y - expected) <= 1e-5 * (1 + fabs(expected)))) {
                fail_msg("%s(%g): expected %g, found %g", activations[i], (double)x, expected, (double)y);
            }
        }
        pare_graph_free(graph);
    }
}

static double deviation(const pare_graph *graph, const char *name, double *largest) {
    const pare_value *value = weights(graph, name);
    const float *data = value->data;
    size_t count = pare_value_elements(value);
    double squares = 0;
    *largest = 0;
    for (size_t i = 0; i < count; i++) {
        squares += (double)data[i] * (double)data[i];
        *largest = fmax(*largest, fabs((double)data[i]));
    }
    return sqrt(squares / (double)count);
}

/* Of thousands of weights, so that 6 % are several deviations of the estimate. */
static void spreads(const pare_graph *graph, const char *name, double expected, bool uniform) {
    double largest = 0, found = deviation(graph, name, &largest);
    if (!(fabs(found / expected - 1) < 0.06)) {
        fail_msg("%s: expected deviation %g, found %g", name, expected, found);
    }
    /* Uniform numbers end at sqrt 3 deviations, thousands of normal ones go beyond 3. */
    double limit = sqrt(3.0) * expected;
    assert_true(uniform ? largest <= limit * (1 + 1e-6) && largest > 0.99 * limit : largest > 3 * expected);
}

static void all_are(const pare_graph *graph, const char *name, float expected) {
    const pare_value *value = weights(graph, name);
    for (size_t i = 0; i < pare_value_elements(value); i++) {
        assert_true(((const float *)value->data)[i] == expected);
    }
}

static void weights_start_from_he_and_glorot(void **state) {
    (void)state;
    pare_graph *graph = build("{\"family\": \"resnet\", \"width\": 32, \"depth\": 8, \"zero_init_residual\": true}");
    spreads(graph, "layer1.0.conv1.weight", sqrt(2.0 / (32 * 9)), false);
    spreads(graph, "layer2.0.conv1.weight", sqrt(2.0 / (32 * 9)), false); /* fan-in, not fan-out */
    all_are(graph, "classifier.bias", 0);
    all_are(graph, "layer1.0.bn1.weight", 1);
    all_are(graph, "layer1.0.bn1.bias", 0);
    all_are(graph, "layer1.0.bn1.running_mean", 0);
    all_are(graph, "layer1.0.bn1.running_var", 1);
    all_are(graph, "layer1.0.bn2.weight", 0);
    pare_graph_free(graph);
    graph = build("{\"family\": \"mobilenet\", \"alpha\": 1}");
    spreads(graph, "block13.depthwise.conv.weight", sqrt(2.0 / 9), false); /* each channel by itself */
    pare_graph_free(graph);
    graph = build("{\"family\": \"lenet-5\"}");
    spreads(graph, "block2.conv.weight", sqrt(2.0 / (25 * 20 + 25 * 50)), true);
    spreads(graph, "fc1.weight", sqrt(2.0 / 800), false);
    spreads(graph, "classifier.weight", sqrt(2.0 / 510), true);
    pare_graph_free(graph);
    graph = build("{\"family\": \"lenet-300-100\", \"activation\": \"leaky_relu\"}");
    spreads(graph, "fc1.weight", sqrt(2.0 / (784 * 1.0001)), false);
    pare_graph_free(graph);
    graph = build("{\"family\": \"lenet-300-100\", \"activation\": \"tanh\"}");
    spreads(graph, "fc1.weight", sqrt(2.0 / 1084), true);
    pare_graph_free(graph);
    graph = build("{\"family\": \"transformer\", \"vocabulary\": 200}");
    spreads(graph, "embedding.weight", 0.02, false);
    spreads(graph, "layer1.attention.query.weight", sqrt(2.0 / 128), true);
    pare_graph_free(graph);
}

/* --- a transformer by hand --------------------------------------------------- */

enum { STEPS = 5, FEATURES = 3, WIDTH = 6, HEADS = 2, SIZE = WIDTH / HEADS, HIDDEN = 7, CLASSES = 4 };

typedef double sequence[STEPS][WIDTH];

static void name_of(char *name, size_t size, const char *layer, const char *suffix) {
    snprintf(name, size, "%s.%s", layer, suffix);
}

/* y [rows, outputs] = x w + bias */
static void linear(const pare_graph *graph, const char *layer, const double *x, size_t inputs, double *y,
                   size_t outputs) {
    char name[80];
    name_of(name, sizeof name, layer, "weight");
    const float *w = numbers(graph, name);
    name_of(name, sizeof name, layer, "bias");
    const float *bias = numbers(graph, name);
    for (size_t t = 0; t < STEPS; t++) {
        for (size_t o = 0; o < outputs; o++) {
            double sum = (double)bias[o];
            for (size_t i = 0; i < inputs; i++) {
                sum += x[t * inputs + i] * (double)w[i * outputs + o];
            }
            y[t * outputs + o] = sum;
        }
    }
}

static void normalize(sequence x) {
    for (size_t t = 0; t < STEPS; t++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < WIDTH; i++) {
            mean += x[t][i] / WIDTH;
        }
        for (size_t i = 0; i < WIDTH; i++) {
            variance += (x[t][i] - mean) * (x[t][i] - mean) / WIDTH;
        }
        for (size_t i = 0; i < WIDTH; i++) {
            x[t][i] = (x[t][i] - mean) / sqrt(variance + 1e-5);
        }
    }
}

/* One head of one step: softmax over the steps of q k / sqrt size, times v. */
static void attend(sequence q, sequence k, sequence v, size_t t, size_t first, double *mixed) {
    double scores[STEPS], sum = 0;
    for (size_t s = 0; s < STEPS; s++) {
        scores[s] = 0;
        for (size_t i = first; i < first + SIZE; i++) {
            scores[s] += q[t][i] * k[s][i] / sqrt(SIZE);
        }
        scores[s] = exp(scores[s]);
        sum += scores[s];
    }
    for (size_t i = first; i < first + SIZE; i++) {
        mixed[i] = 0;
        for (size_t s = 0; s < STEPS; s++) {
            mixed[i] += scores[s] / sum * v[s][i];
        }
    }
}

static void attention(const pare_graph *graph, sequence x, sequence y) {
    sequence q, k, v, mixed;
    linear(graph, "layer1.attention.query", &x[0][0], WIDTH, &q[0][0], WIDTH);
    linear(graph, "layer1.attention.key", &x[0][0], WIDTH, &k[0][0], WIDTH);
    linear(graph, "layer1.attention.value", &x[0][0], WIDTH, &v[0][0], WIDTH);
    for (size_t t = 0; t < STEPS; t++) {
        for (size_t head = 0; head < HEADS; head++) {
            attend(q, k, v, t, head * SIZE, mixed[t]);
        }
    }
    linear(graph, "layer1.attention.output", &mixed[0][0], WIDTH, &y[0][0], WIDTH);
}

static void feed_forward(const pare_graph *graph, sequence x, sequence y) {
    double hidden[STEPS][HIDDEN];
    linear(graph, "layer1.feed_forward.fc1", &x[0][0], WIDTH, &hidden[0][0], HIDDEN);
    for (size_t i = 0; i < STEPS * HIDDEN; i++) {
        hidden[i / HIDDEN][i % HIDDEN] = activate("gelu", hidden[i / HIDDEN][i % HIDDEN]);
    }
    linear(graph, "layer1.feed_forward.fc2", &hidden[0][0], HIDDEN, &y[0][0], WIDTH);
}

static void part(const pare_graph *graph, bool norm_before, sequence x,
                 void (*inner)(const pare_graph *, sequence, sequence)) {
    sequence read, y;
    memcpy(read, x, sizeof read);
    if (norm_before) {
        normalize(read);
    }
    inner(graph, read, y);
    for (size_t i = 0; i < STEPS * WIDTH; i++) {
        x[i / WIDTH][i % WIDTH] += y[i / WIDTH][i % WIDTH];
    }
    if (!norm_before) {
        normalize(x);
    }
}

/* The classifier is a Gemm, its weights [CLASSES, WIDTH]. */
static void transform(const pare_graph *graph, bool norm_before, const double *input, double *logits) {
    sequence x;
    linear(graph, "embedding", input, FEATURES, &x[0][0], WIDTH);
    for (size_t i = 0; i < STEPS * WIDTH; i++) {
        x[i / WIDTH][i % WIDTH] += (double)numbers(graph, "positions.weight")[i];
    }
    part(graph, norm_before, x, attention);
    part(graph, norm_before, x, feed_forward);
    if (norm_before) {
        normalize(x);
    }
    for (size_t c = 0; c < CLASSES; c++) {
        logits[c] = (double)numbers(graph, "classifier.bias")[c];
        for (size_t i = 0; i < STEPS * WIDTH; i++) {
            logits[c] +=
                x[i / WIDTH][i % WIDTH] / STEPS * (double)numbers(graph, "classifier.weight")[c * WIDTH + i % WIDTH];
        }
    }
}

static void transformer_is_that_of_the_paper(void **state) {
    (void)state;
    for (int norm_before = 0; norm_before < 2; norm_before++) {
        char json[300];
        float input[STEPS * FEATURES], found[CLASSES];
        double wide[STEPS * FEATURES], expected[CLASSES];
        snprintf(json, sizeof json,
                 "{\"family\": \"transformer\", \"features\": %d, \"sequence\": %d, \"width\": %d, \"heads\": %d, "
                 "\"ffn\": %d, \"classes\": %d, \"layers\": 1, \"norm\": \"%s\", \"dropout\": 0.1}",
                 FEATURES, STEPS, WIDTH, HEADS, HIDDEN, CLASSES, norm_before ? "before" : "after");
        pare_graph *graph = build(json);
        for (size_t i = 0; i < graph->value_count; i++) { /* biases and positions that can be told from none */
            pare_value *value = graph->values[i];
            const char *suffix = strrchr(value->name, '.');
            bool changes = value->data != NULL && suffix != NULL && strcmp(suffix, ".bias") == 0 &&
                           strstr(value->name, "norm") == NULL;
            for (size_t e = 0; changes && e < pare_value_elements(value); e++) {
                ((float *)value->data)[e] = 0.125F * (float)(e % 5) - 0.25F;
            }
        }
        for (size_t i = 0; i < STEPS * FEATURES; i++) {
            input[i] = (float)((7 * i) % 11) * 0.25F - 1.25F;
            wide[i] = (double)input[i];
        }
        transform(graph, norm_before, wide, expected);
        run(graph, input, STEPS * FEATURES, found, CLASSES);
        for (size_t c = 0; c < CLASSES; c++) {
            if (!(fabs((double)found[c] - expected[c]) < 1e-5)) {
                fail_msg("%s, class %zu: expected %g, found %g", json, c, expected[c], (double)found[c]);
            }
        }
        pare_graph_free(graph);
    }
}

/* Option A: every second pixel, the missing channels half on either side. */
static void identity_shortcuts_keep_every_second_pixel(void **state) {
    (void)state;
    pare_graph *graph = build("{\"family\": \"resnet\", \"depth\": 8, \"width\": 2, \"input\": [1, 4, 4]}");
    const pare_value *shortcut = NULL;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->name, "layer2.0.shortcut.pad") == 0) {
            shortcut = node->outputs[0];
        }
    }
    assert_non_null(shortcut);
    assert_true(pare_shape_equal(&shortcut->shape, &(pare_shape){4, {-1, 4, 2, 2}}));
    /* With all convolutions of later stages 0 the network is its shortcuts: the classifier reads 8 means. */
    static const char *const silent[] = {"conv1.weight", "layer1.0.conv2.weight", "layer2.0.conv2.weight",
                                         "layer3.0.conv2.weight", "classifier.weight"};
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        const pare_value *value = weights(graph, silent[i]);
        memset(value->data, 0, value->data_bytes);
    }
    numbers(graph, "conv1.weight")[4] = 1;     /* channel 0 is the input */
    numbers(graph, "conv1.weight")[9 + 4] = 2; /* channel 1 its double */
    float x[16], y[10];
    for (size_t i = 0; i < 8; i++) {
        numbers(graph, "classifier.weight")[i * 8 + i] = 1; /* logit i is channel i */
    }
    for (size_t i = 0; i < 16; i++) {
        x[i] = (float)(i + 1);
    }
    run(graph, x, 16, y, 10);
    /* 2 channels, then 0 x y 0, then 0 0 0 x y 0 0 0; of the 4 x 4 pixels the first is left. */
    for (size_t i = 0; i < 10; i++) {
        double expected = i == 3 ? 1 : i == 4 ? 2 : 0;
        assert_true(fabs((double)y[i] - expected) < 1e-4);
    }
    pare_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_what_they_are_called),
        cmocka_unit_test(weights_start_from_he_and_glorot),
        cmocka_unit_test(transformer_is_that_of_the_paper),
        cmocka_unit_test(identity_shortcuts_keep_every_second_pixel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
