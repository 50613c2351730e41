#include "gradient_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linear_loss.h"
#include "pare/op.h"
#include "test.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

#define GRADIENT_BOUND 1e-3
#define VALUE_BOUND 2e-5
#define STEP 1e-7       /* short, so that no kink lies within it */
#define MOST_ELEMENTS 8 /* of one parameter that are moved one by one; then all together, in random directions */
#define DIRECTIONS 2
#define MOST_OUTPUTS 8
#define MOST_PARAMETERS 64

/* --- building ------------------------------------------------------------------- */

int64_t gradient_pick(gradient_net *g, int64_t low, int64_t high) {
    return low + (int64_t)pare_random_below(&g->n.random, (uint64_t)(high - low + 1));
}

pare_value *gradient_plain(gradient_net *g, int32_t rank, const int64_t *dims, double low, double high) {
    int64_t elements = 1, shape[PARE_MAX_RANK], rows = rank > 0 && dims[0] == -1 ? -1 : 1;
    for (int32_t a = 0; a < rank; a++) {
        shape[a] = dims[a];
        elements *= dims[a] == -1 ? 1 : dims[a];
    }
    pare_value *x = net_input(&g->n, 2, (int64_t[]){rows, 3});
    pare_value *w = net_random(&g->n, 2, (int64_t[]){elements, 3}, -0.033, 0.033);
    pare_value *y = NET(&g->n, "Gemm", "transB:i=1", x, w, net_random(&g->n, 1, &elements, low, high));
    return NET(&g->n, "Reshape", "", y, net_ints(&g->n, (size_t)rank, shape));
}

pare_value *gradient_blocked(gradient_net *g, int64_t channels, int64_t height, int64_t width, double low,
                             double high) {
    pare_value *x = net_input(&g->n, 4, (int64_t[]){-1, 2, height, width});
    pare_value *w = net_random(&g->n, 4, (int64_t[]){channels, 2, 3, 3}, -0.1, 0.1);
    return NET(&g->n, "Conv", "pads:I=1,1,1,1", x, w, net_random(&g->n, 1, &channels, low, high));
}

void gradient_output(gradient_net *g, pare_value *y) {
    assert_true(pare_graph_add_output(g->n.graph, y));
}

/* --- the tape ---------------------------------------------------------------------- */

typedef struct recording {
    pare_graph *graph;
    pare_tape *tape;
    linear_loss losses[MOST_OUTPUTS];
    float *gradients; /* of the first of two runs */
} recording;

static float *random_floats(pare_random *random, size_t count, double low, double high) {
    float *data = malloc((count + 1) * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        data[i] = (float)(low + (high - low) * pare_random_unit(random));
    }
    return data;
}

static pare_status record_all(const gradient_case *test, gradient_net *g, recording *r, pare_error *error) {
    PARE_TRY(tape_create(r->graph, g->batch, 1, &r->tape, error));
    r->tape->freeze_batch_norm = test->freeze_batch_norm;
    r->tape->freeze = &test->freeze;
    r->tape->freeze_count = test->freeze != NULL ? 1 : 0;
    PARE_TRY(tape_record_graph(r->tape, error));
    for (size_t i = 0; i < r->graph->output_count; i++) {
        uint32_t y = tape_find(r->tape, r->graph->outputs[i]);
        linear_loss *loss = &r->losses[i];
        loss->count = tape_tensor_at(r->tape, y)->elements;
        loss->weights = random_floats(&g->n.random, loss->count, -1, 1);
        loss->found = random_floats(&g->n.random, loss->count, 0, 0);
        PARE_TRY(linear_loss_record(r->tape, loss, y, error));
    }
    PARE_TRY(tape_allocate(r->tape, error));
    return tape_plan(r->tape, error);
}

static void fill_input(gradient_net *g, recording *r, double_network *oracle, const pare_value *value) {
    uint32_t tensor = tape_find(r->tape, value);
    double_tensor *same = double_find(oracle, value);
    void *data = tape_input_data(r->tape, tensor);
    for (size_t i = 0; i < same->count; i++) {
        if (value->dtype == PARE_F32) {
            ((float *)data)[i] = (float)(2 * pare_random_unit(&g->n.random) - 1);
            same->data[i] = (double)((float *)data)[i];
        } else {
            int64_t index = gradient_pick(g, 0, g->index_bound - 1);
            assert_int_equal(value->dtype, PARE_S64);
            ((int64_t *)data)[i] = index;
            same->data[i] = (double)index;
        }
    }
}

static void run_twice(recording *r) {
    pare_error error = {0};
    size_t bytes = r->tape->flat_count * sizeof(float);
    assert_ok(tape_forward(r->tape, 7, &error), &error);
    assert_ok(tape_backward(r->tape, &error), &error);
    r->gradients = malloc(bytes + 1);
    assert_non_null(r->gradients);
    memcpy(r->gradients, r->tape->gradients, bytes);
    assert_ok(tape_forward(r->tape, 7, &error), &error);
    assert_ok(tape_backward(r->tape, &error), &error);
    assert_memory_equal(r->gradients, r->tape->gradients, bytes);
}

static void free_recording(recording *r) {
    tape_free(r->tape);
    for (size_t i = 0; i < MOST_OUTPUTS; i++) {
        free((void *)(uintptr_t)r->losses[i].weights);
        free(r->losses[i].found);
    }
    free(r->gradients);
}

/* --- comparing ------------------------------------------------------------------------ */

static double compare_values(const gradient_case *test, const recording *r, double_network *oracle) {
    double worst = 0;
    for (size_t i = 0; i < r->graph->output_count; i++) {
        const double_tensor *y = double_find(oracle, r->graph->outputs[i]);
        double largest = 1e-6, difference = 0;
        assert_int_equal(y->count, r->losses[i].count);
        for (size_t k = 0; k < y->count; k++) {
            largest = fmax(largest, fabs(y->data[k]));
            double d = fabs(y->data[k] - (double)r->losses[i].found[k]);
            difference = d <= difference ? difference : d; /* NaN stays */
        }
        if (!(difference / largest <= VALUE_BOUND)) {
            fail_msg("%s (%s): output %zu differs by %.3g of its largest element", test->op, test->what, i,
                     difference / largest);
        }
        worst = fmax(worst, difference / largest);
    }
    return worst;
}

static double loss_of(const recording *r, double_network *oracle) {
    double sum = 0;
    for (size_t i = 0; i < r->graph->output_count; i++) {
        const double_tensor *y = double_find(oracle, r->graph->outputs[i]);
        for (size_t k = 0; k < y->count; k++) {
            sum += y->data[k] * (double)r->losses[i].weights[k];
        }
    }
    return sum;
}

typedef struct comparison {
    const char *name;
    double difference, largest;
} comparison;

static const pare_value *value_of(const pare_tape *tape, uint32_t tensor) {
    for (uint32_t i = 0; i < tape->link_count; i++) {
        if (tape->links[i].tensor == tensor) {
            return tape->links[i].value;
        }
    }
    fail_msg("a parameter is no constant of the graph");
    return NULL;
}

/* Slope along direction[0 .. count), from the element `first` on. */
static double slope(const recording *r, double_network *oracle, const pare_value *value, size_t first, size_t count,
                    const double *direction) {
    double_tensor *w = double_find(oracle, value);
    double losses[2], step = STEP / sqrt((double)count);
    double *kept = malloc(count * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, w->data + first, count * sizeof *kept);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++) {
            w->data[first + i] = kept[i] + (side == 0 ? step : -step) * direction[i];
        }
        double_rerun(oracle, value);
        losses[side] = loss_of(r, oracle);
    }
    memcpy(w->data + first, kept, count * sizeof *kept);
    free(kept);
    double_rerun(oracle, value);
    return (losses[0] - losses[1]) / (2 * step);
}

/* All elements at once, each by ±1: what the elements that were not drawn would hide. */
static double direction_difference(gradient_net *g, const recording *r, double_network *oracle, const pare_value *value,
                                   const float *found, size_t count) {
    double *direction = malloc(count * sizeof *direction), sum = 0;
    assert_non_null(direction);
    for (size_t i = 0; i < count; i++) {
        direction[i] = pare_random_below(&g->n.random, 2) == 0 ? -1 : 1;
        sum += direction[i] * (double)found[i];
    }
    double difference = fabs(slope(r, oracle, value, 0, count, direction) - sum);
    free(direction);
    return difference / sqrt((double)count);
}

static size_t largest_of(const float *data, size_t count) {
    size_t largest = 0;
    for (size_t i = 1; i < count; i++) {
        largest = fabsf(data[i]) > fabsf(data[largest]) ? i : largest;
    }
    return largest;
}

/* Of a large parameter, some elements: the largest, so that the differences have their scale, and others. */
static comparison compare_parameter(gradient_net *g, const recording *r, double_network *oracle,
                                    const tape_parameter *parameter) {
    const pare_value *value = value_of(r->tape, parameter->tensor);
    const float *found = r->gradients + parameter->offset;
    comparison c = {.name = parameter->name};
    size_t drawn = parameter->count < MOST_ELEMENTS ? parameter->count : MOST_ELEMENTS;
    for (size_t k = 0; k < drawn; k++) {
        size_t i = k;
        if (drawn < parameter->count) {
            i = k == 0 ? largest_of(found, parameter->count) : pare_random_below(&g->n.random, parameter->count);
        }
        double expected = slope(r, oracle, value, i, 1, &(double){1});
        double d = fabs(expected - (double)found[i]);
        c.largest = fmax(c.largest, fabs(expected));
        c.difference = d <= c.difference ? c.difference : d; /* NaN stays */
    }
    for (int k = 0; k < DIRECTIONS && drawn < parameter->count; k++) {
        double d = direction_difference(g, r, oracle, value, found, parameter->count);
        c.difference = d <= c.difference ? c.difference : d;
    }
    return c;
}

static double compare_gradients(const gradient_case *test, gradient_net *g, const recording *r,
                                double_network *oracle) {
    comparison all[MOST_PARAMETERS];
    uint32_t count = r->tape->parameter_count;
    double largest = 0, worst = 0;
    assert_true(count > 0 && count <= MOST_PARAMETERS);
    assert_true(test->parameters == 0 || test->parameters == count);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = compare_parameter(g, r, oracle, &r->tape->parameters[i]);
        largest = fmax(largest, all[i].largest);
    }
    for (uint32_t i = 0; i < count; i++) {
        /* Of a gradient that cancels (a bias in front of a normalization) only the rounding of its terms is left. */
        bool cancels = all[i].largest <= 1e-6 * largest;
        double scale = cancels ? 0.1 * largest : all[i].largest + 1e-3 * largest;
        double error = all[i].difference / (scale > 1e-6 ? scale : 1); /* the loss's weights are of that size */
        if (!(error <= GRADIENT_BOUND)) {
            char text[160];
            fail_msg("%s (%s), round %d: the gradient of \"%s\" (%u of %u, %s) is off by %.3g, its largest "
                     "element %.3g, that of all %.3g",
                     test->op, test->what, g->round, all[i].name, i + 1, count,
                     pare_shape_text(&tape_tensor_at(r->tape, r->tape->parameters[i].tensor)->shape, text, sizeof text),
                     all[i].difference, all[i].largest, largest);
        }
        worst = fmax(worst, error);
    }
    return worst;
}

static bool has_node(const pare_graph *graph, const char *op) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->op->name, op) == 0) {
            return true;
        }
    }
    return false;
}

/* --- a case -------------------------------------------------------------------------------- */

static void build_case(const gradient_case *test, int round, gradient_net *g, recording *r) {
    static const int64_t batches[GRADIENT_ROUNDS] = {1, 2, 5};
    pare_error error = {0};
    *g = (gradient_net){.batch = batches[round], .round = round, .index_bound = 1};
    net_start(&g->n, 1 + (uint64_t)round);
    g->n.graph->opset = 20;
    test->build(g);
    *r = (recording){.graph = g->n.graph};
    assert_ok(pare_graph_infer(r->graph, &error), &error);
    assert_ok(pare_graph_check(r->graph, &error), &error);
    assert_true(r->graph->output_count > 0 && r->graph->output_count <= MOST_OUTPUTS);
    assert_true(has_node(r->graph, test->op));
    pare_status status = record_all(test, g, r, &error);
    if (status == PARE_UNSUPPORTED && strstr(error.message, "expected a build with oneDNN") != NULL) {
        free_recording(r);
        pare_graph_free(r->graph);
        skip();
    }
    assert_ok(status, &error);
}

static void look(const gradient_case *test, gradient_net *g, const recording *r, double_network *oracle) {
    gradient_run run = {.g = g, .tape = r->tape, .oracle = oracle, .outputs = r->graph->output_count};
    for (size_t i = 0; i < run.outputs; i++) {
        run.found[i] = r->losses[i].found;
    }
    test->look(&run);
    double_run(oracle); /* it may have a mask now */
}

static void check_round(const gradient_case *test, int round, double *worst_value, double *worst_gradient) {
    gradient_net g;
    recording r;
    build_case(test, round, &g, &r);
    double_network *oracle = double_create(r.graph, g.batch, test->freeze_batch_norm || test->freeze != NULL);
    for (size_t i = 0; i < r.graph->input_count; i++) {
        fill_input(&g, &r, oracle, r.graph->inputs[i]);
    }
    run_twice(&r);
    double_run(oracle);
    if (test->look != NULL) {
        look(test, &g, &r, oracle);
    }
    *worst_value = fmax(*worst_value, compare_values(test, &r, oracle));
    *worst_gradient = fmax(*worst_gradient, compare_gradients(test, &g, &r, oracle));
    double_free(oracle);
    free_recording(&r);
    pare_graph_free(r.graph);
}

void gradient_check(const gradient_case *test) {
    double worst_value = 0, worst_gradient = 0;
    for (int round = 0; round < GRADIENT_ROUNDS; round++) {
        check_round(test, round, &worst_value, &worst_gradient);
    }
    print_message("%-20s %-40s values within %.1e, gradients within %.1e\n", test->op, test->what, worst_value,
                  worst_gradient);
}

static void run_case(void **state) {
    gradient_check(*state);
}

int gradient_main(int argc, char **argv, const gradient_case *cases, size_t count) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++) {
            printf("%s\n", cases[i].op);
        }
        return 0;
    }
    struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);
    char(*names)[128] = calloc(count + 1, sizeof *names);
    if (tests == NULL || names == NULL) {
        free(tests);
        free(names);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s: %s", cases[i].op, cases[i].what);
        tests[i] = (struct CMUnitTest){names[i], run_case, NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    /* what cmocka_run_group_tests does, for a number of tests known only now */
    int failed = _cmocka_run_group_tests("gradients", tests, count, NULL, NULL);
    free(tests);
    free(names);
    return failed;
}
