/* Quantization-aware training: what the tape computes with fake quantization is
 * what the exported network computes with integers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph_case.h"
#include "net_builder.h"
#include "pare/lower.h"
#include "pare/npy.h"
#include "pare/onnx_graph.h"
#include "pare/passes.h"
#include "pare/runtime.h"
#include "tape_probe.h"
#include "test.h"
#include "train/quant_aware/quant_aware_internal.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

#define BATCH 8

/* --- networks ------------------------------------------------------------------------- */

static pare_value *relu(net *n, pare_value *x) {
    return NET(n, "Relu", "", x);
}

/* Gamma is negative for some channels, 0 for one, and next to nothing for one that is left with its bias. */
static pare_value *norm(net *n, pare_value *x) {
    pare_value *y = net_batchnorm(n, x);
    int64_t channels = x->shape.dims[1];
    float *gamma = y->producer->inputs[1]->data;
    for (int64_t c = 0; c < channels; c += 3) {
        gamma[c] = -gamma[c];
    }
    gamma[channels - 1] = 0.0F;
    gamma[channels - 2] = 1e-12F;
    return y;
}

static pare_value *classify(net *n, pare_value *x, int64_t classes) {
    return net_gemm(n, NET(n, "Flatten", "axis:i=1", NET(n, "GlobalAveragePool", "", x)), classes);
}

static pare_graph *residual_net(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_value *x = net_input(&n, 4, (int64_t[]){-1, 3, 10, 10});
    pare_value *a = relu(&n, norm(&n, net_conv(&n, x, 16, 3, 1, 1)));
    pare_value *b = relu(&n, norm(&n, net_conv(&n, a, 16, 3, 1, 1)));
    pare_value *c = norm(&n, net_conv(&n, b, 16, 3, 1, 1));
    pare_value *d = NET(&n, "MaxPool", "kernel_shape:I=2,2 strides:I=2,2", relu(&n, NET(&n, "Add", "", c, a)));
    return net_finish(&n, classify(&n, relu(&n, norm(&n, net_conv(&n, d, 24, 3, 2, 1))), 10));
}

/* Depthwise convolutions, Clip, a linear bottleneck, branches that are joined, a table. */
static pare_graph *mobile_net(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_shape scalar = {.rank = 0};
    float zero = 0.0F, most = 0.6F;
    pare_value *low = pare_graph_add_constant(n.graph, "low", PARE_F32, &scalar, &zero, sizeof zero);
    pare_value *high = pare_graph_add_constant(n.graph, "high", PARE_F32, &scalar, &most, sizeof most);
    pare_value *x = net_input(&n, 4, (int64_t[]){-1, 3, 10, 10});
    pare_value *a = NET(&n, "Clip", "", norm(&n, net_conv(&n, x, 12, 3, 1, 1)), low, high);
    pare_value *b = NET(&n, "Clip", "", norm(&n, net_conv(&n, a, 12, 3, 1, 12)), low, high);
    pare_value *c = norm(&n, net_conv(&n, b, 8, 1, 1, 1));
    pare_value *d = relu(&n, norm(&n, net_conv(&n, c, 8, 3, 1, 8)));
    pare_value *e = NET(&n, "Concat", "axis:i=1", relu(&n, net_conv(&n, d, 8, 1, 1, 1)), c);
    pare_value *f = NET(&n, "Sigmoid", "", norm(&n, net_conv(&n, e, 12, 3, 2, 1)));
    return net_finish(&n, classify(&n, relu(&n, net_conv(&n, f, 12, 1, 1, 1)), 7));
}

/* BatchNormalization in front of its convolution: it stays, in float, though folding forwards were possible. */
static pare_graph *preactivation_net(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_value *x = net_input(&n, 4, (int64_t[]){-1, 3, 8, 8});
    pare_value *a = net_conv(&n, x, 8, 3, 1, 1);
    pare_value *b = net_conv(&n, relu(&n, net_batchnorm(&n, a)), 8, 3, 1, 1);
    pare_value *c = NET(&n, "Add", "", b, a);
    return net_finish(&n, classify(&n, relu(&n, net_conv(&n, net_batchnorm(&n, c), 12, 1, 1, 1)), 6));
}

/* Constant weights on the right of MatMul, output channels along their second axis. */
static pare_graph *token_net(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_value *x = net_input(&n, 3, (int64_t[]){-1, 5, 16});
    pare_value *a = relu(&n, NET(&n, "MatMul", "", x, net_random(&n, 2, (int64_t[]){16, 24}, -0.3, 0.3)));
    pare_value *b = relu(&n, NET(&n, "MatMul", "", a, net_random(&n, 2, (int64_t[]){24, 20}, -0.3, 0.3)));
    return net_finish(&n, NET(&n, "MatMul", "", b, net_random(&n, 2, (int64_t[]){20, 8}, -0.3, 0.3)));
}

static pare_graph *mlp(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, 40});
    pare_value *a = relu(&n, net_gemm(&n, x, 64));
    pare_value *b = relu(&n, net_gemm(&n, a, 48));
    return net_finish(&n, net_gemm(&n, b, 12));
}

/* --- running ------------------------------------------------------------------------------ */

typedef struct trial {
    pare_graph *graph;
    pare_quant_aware *plan;
    float *input;
    size_t input_count, output_count;
} trial;

static float *make_inputs(const pare_graph *graph, size_t samples, uint64_t seed, size_t *count) {
    pare_shape shape;
    pare_random random;
    pare_random_seed(&random, seed);
    assert_true(pare_shape_bind(&graph->inputs[0]->shape, (int64_t)samples, &shape) &&
                pare_shape_elements(&shape, count));
    float *data = malloc(*count * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < *count; i++) {
        data[i] = (float)(pare_random_unit(&random) * 2 - 1);
    }
    return data;
}

static pare_dataset *calibration_set(const pare_graph *graph) {
    size_t count = 0;
    char spec[16500];
    pare_error error = {0};
    pare_dataset *set = NULL;
    pare_shape shape;
    float *data = make_inputs(graph, 24, 99, &count);
    (void)pare_shape_bind(&graph->inputs[0]->shape, 24, &shape);
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, data, &error), &error);
    snprintf(spec, sizeof spec, "npy:%s", test_path("x.npy"));
    assert_ok(pare_dataset_open(spec, &set, &error), &error);
    free(data);
    return set;
}

static pare_status prepare(const pare_graph *graph, const pare_quant_aware_options *options, pare_quant_aware **plan,
                           pare_error *error) {
    pare_run_options run = {.threads = 1};
    bool pictures = graph->inputs[0]->shape.rank == 4;
    pare_preprocess preprocess = {.layout = pictures ? PARE_ORDER_NCHW : PARE_ORDER_FLAT, .scale = 1};
    pare_dataset *set = calibration_set(graph);
    pare_status status = pare_quant_aware_prepare(graph, set, &preprocess, options, &run, plan, error);
    pare_dataset_close(set);
    return status;
}

#define MOST_VALUES 32

/* Every value of the plan as the tape computes it. */
typedef struct simulation {
    tape_probe probes[MOST_VALUES];
    size_t count;
} simulation;

static void probe_values(const trial *t, pare_tape *tape, simulation *s) {
    pare_error error = {0};
    s->count = t->plan->activation_count;
    assert_true(s->count <= MOST_VALUES);
    for (size_t i = 0; i < s->count; i++) {
        const pare_value *value = pare_graph_find_value(t->graph, t->plan->activations[i].value);
        assert_non_null(value);
        uint32_t tensor = tape_find(tape, value);
        if (value->is_input) { /* what is read is rounded, what is set is not */
            tensor = tape->steps[0].outputs[0];
        }
        s->probes[i] = (tape_probe){.seen = malloc(tape_tensor_at(tape, tensor)->elements * sizeof(float))};
        assert_non_null(s->probes[i].seen);
        assert_ok(tape_record_probe(tape, tensor, &s->probes[i], &error), &error);
    }
}

/* Records the plan on a tape of running statistics, moves its parameters as training would, and runs forwards. */
static void simulate(trial *t, double shake, simulation *s) {
    pare_error error = {0};
    pare_tape *tape = NULL;
    pare_random random;
    pare_random_seed(&random, 4);
    assert_ok(tape_create(t->graph, BATCH, 0, &tape, &error), &error);
    tape->freeze_batch_norm = true;
    pare_quant_aware_use(t->plan, tape);
    assert_ok(tape_record_graph(tape, &error), &error);
    probe_values(t, tape, s);
    assert_ok(tape_allocate(tape, &error), &error);
    for (uint32_t i = 0; i < tape->parameter_count; i++) {
        const tape_parameter *parameter = &tape->parameters[i];
        for (size_t k = 0; k < parameter->count; k++) {
            tape->values[parameter->offset + k] *= (float)(1.0 + shake * (pare_random_unit(&random) - 0.5));
        }
    }
    assert_ok(tape_plan(tape, &error), &error);
    memcpy(tape_input_data(tape, tape_find(tape, t->graph->inputs[0])), t->input, t->input_count * sizeof(float));
    assert_ok(tape_forward(tape, 0, &error), &error);
    pare_quant_aware_load(t->plan, tape, tape->values);
    assert_ok(tape_store(tape, tape->values, tape->running, &error), &error);
    tape_free(tape);
}

static void run_integers(const trial *t, const pare_graph *graph, float *output) {
    pare_error error = {0};
    pare_input input = {t->input, t->input_count * sizeof(float)};
    pare_output_buffer buffer = {output, t->output_count * sizeof(float)};
    assert_ok(graph_run(graph, BATCH, &input, 1, &buffer, 1, &error), &error);
}

/* Through a file and back: the same bytes come out. */
static void check_round_trip(const trial *t, const pare_graph *exported) {
    pare_error error = {0};
    pare_graph *read = NULL;
    float *outputs = malloc(2 * t->output_count * sizeof *outputs);
    assert_non_null(outputs);
    run_integers(t, exported, outputs);
    assert_ok(pare_graph_save(exported, test_path("qat.onnx"), &error), &error);
    assert_ok(pare_graph_load(test_path("qat.onnx"), NULL, &read, &error), &error);
    run_integers(t, read, outputs + t->output_count);
    assert_memory_equal(outputs, outputs + t->output_count, t->output_count * sizeof *outputs);
    pare_graph_free(read);
    free(outputs);
}

/* --- comparing -------------------------------------------------------------------------------- */

typedef struct comparison {
    const trial *trial;
    const simulation *simulated;
    const char *output;
    size_t values, elements, differ;
} comparison;

static int find_value(const comparison *c, const char *name) {
    for (size_t i = 0; i < c->simulated->count; i++) {
        const char *value = c->trial->plan->activations[i].value, *rest = name + strlen(value);
        if (strncmp(name, value, strlen(value)) == 0 && (*rest == '\0' || strcmp(rest, ":q") == 0)) {
            return (int)i;
        }
    }
    return -1;
}

/* Rounding at a tie may go the other way, as sums of floats are not exact: by one level. What lies behind it may then
 * be off by more, where its steps are smaller. */
static void compare_value(void *context, uint32_t tensor, const char *name, pare_dtype dtype, const pare_shape *shape,
                          const void *data) {
    comparison *c = context;
    const uint8_t *levels = data;
    (void)tensor, (void)shape;
    int index = dtype == PARE_U8 ? find_value(c, name) : -1;
    if (index < 0) {
        return;
    }
    const quant_grid *grid = quant_aware_grid(c->trial->plan, c->trial->plan->activations[index].value);
    const tape_probe *probe = &c->simulated->probes[index];
    int allowed = c->differ == 0 || strncmp(name, c->output, strlen(c->output)) == 0 ? 1 : 4;
    for (size_t e = 0; e < probe->count; e++) {
        int level = (int)lrint((double)probe->seen[e] / (double)grid->step) + grid->zero_point;
        assert_true(levels[e] < 1 << grid->bits);
        assert_true(abs(level - levels[e]) <= allowed);
        c->differ += level != levels[e];
    }
    c->values++;
    c->elements += probe->count;
}

static void compare(const trial *t, const simulation *s, const pare_graph *exported) {
    pare_error error = {0};
    pare_model *model = NULL;
    pare_session *session = NULL;
    comparison c = {.trial = t, .simulated = s, .output = t->graph->outputs[0]->name};
    pare_session_options options = {
        .struct_size = sizeof options, .batch = BATCH, .threads = 1, .observe = compare_value, .observe_context = &c};
    float *output = malloc(t->output_count * sizeof *output);
    assert_non_null(output);
    assert_ok(pare_graph_lower_with(exported, &(pare_lower_options){.keep_values = true}, &model, &error), &error);
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    pare_input input = {t->input, t->input_count * sizeof(float)};
    pare_output_buffer buffer = {output, t->output_count * sizeof *output};
    assert_ok(pare_session_run(session, &input, 1, &buffer, 1, &error), &error);
    /* An input of few bits is clipped first, into a value that the plan does not name. */
    size_t unnamed = quant_aware_grid(t->plan, t->graph->inputs[0]->name)->bits < 8;
    assert_int_equal(c.values, s->count - unnamed);
    assert_true(c.differ * 1000 <= c.elements);
    pare_session_free(session);
    pare_model_release(model);
    free(output);
}

/* Every layer runs on integers, and the Clips are part of them. */
static void check_integers(const pare_graph *exported, const pare_quant_aware_options *options) {
    pare_error error = {0};
    pare_model *model = NULL;
    size_t layers = 0;
    assert_ok(pare_graph_lower(exported, &model, &error), &error);
    for (uint32_t i = 0; i < model->node_count; i++) {
        const pare_model_node *node = &model->nodes[i];
        bool layer = node->opcode == PARE_OP_CONV || node->opcode == PARE_OP_FULLY_CONNECTED;
        layers += layer;
        assert_true(!layer || model->tensors[node->inputs[0]].dtype == PARE_U8);
        bool clip = node->opcode == PARE_OP_UNARY && model->tensors[node->outputs[0]].dtype == PARE_F32 &&
                    ((const pare_unary_attrs *)node->attrs)->function.function == PARE_FN_CLIP;
        assert_true(!clip || (options->first_last_bits != 8 && node->inputs[0] == model->inputs[0]));
    }
    assert_true(layers >= 3);
    pare_model_release(model);
}

typedef pare_graph *(*make_network)(uint64_t seed);

static void check(make_network make, const pare_quant_aware_options *options, uint64_t seed) {
    size_t used = pare_memory_used();
    pare_error error = {0};
    trial t = {.graph = make(seed)};
    simulation s = {0};
    pare_graph *exported = NULL;
    pare_shape shape;
    assert_ok(pare_simplify(t.graph, &error), &error);
    assert_ok(prepare(t.graph, options, &t.plan, &error), &error);
    t.input = make_inputs(t.graph, BATCH, 5, &t.input_count);
    assert_true(pare_shape_bind(&t.graph->outputs[0]->shape, BATCH, &shape) &&
                pare_shape_elements(&shape, &t.output_count));
    simulate(&t, 0.2, &s);
    assert_ok(pare_graph_clone(t.graph, &exported, &error), &error);
    assert_ok(pare_quant_aware_export(t.plan, exported, &error), &error);
    assert_ok(pare_graph_check(exported, &error), &error);
    compare(&t, &s, exported);
    check_integers(exported, options);
    check_round_trip(&t, exported);
    for (size_t i = 0; i < s.count; i++) {
        free(s.probes[i].seen);
    }
    pare_quant_aware_free(t.plan);
    pare_graph_free(exported);
    pare_graph_free(t.graph);
    free(t.input);
    assert_int_equal(pare_memory_used(), used);
}

static void simulation_is_what_runs(void **state) {
    (void)state;
    static const pare_quant_aware_options options[] = {
        {.weight_bits = 8, .activation_bits = 8, .first_last_bits = 8},
        {.weight_bits = 4, .activation_bits = 4, .first_last_bits = 8},
        {.weight_bits = 2, .activation_bits = 4, .first_last_bits = 8},
        {.weight_bits = 3, .activation_bits = 8, .first_last_bits = 8},
        {.weight_bits = 4, .activation_bits = 4, .first_last_bits = 0},
        {.weight_bits = 2, .activation_bits = 3, .first_last_bits = 0},
        {.weight_bits = 8, .activation_bits = 3, .first_last_bits = 6, .pairs = PARE_PAIRS_SEVEN_BITS},
        {.weight_bits = 7, .activation_bits = 5, .first_last_bits = 8, .pairs = PARE_PAIRS_FREE},
    };
    static const make_network networks[] = {residual_net, mobile_net, preactivation_net, token_net, mlp};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        for (size_t k = 0; k < (i % 3 == 0 ? sizeof networks / sizeof networks[0] : 2); k++) {
            check(networks[k], &options[i], i);
        }
    }
}

/* --- the plan ------------------------------------------------------------------------------------- */

static const quant_grid *grid_behind(const pare_quant_aware *plan, const pare_graph *graph, const char *op, int nth) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->op->name, op) == 0 && nth-- == 0) {
            return quant_aware_grid(plan, node->outputs[0]->name);
        }
    }
    return NULL;
}

static void outer_layers_have_bits_of_their_own(void **state) {
    (void)state;
    pare_error error = {0};
    pare_quant_aware *plan = NULL;
    pare_quant_aware_options options = {.weight_bits = 3, .activation_bits = 4, .first_last_bits = 8};
    pare_graph *graph = residual_net(1);
    assert_ok(prepare(graph, &options, &plan, &error), &error);
    assert_int_equal(plan->layer_count, 5);
    for (size_t i = 0; i < plan->layer_count; i++) {
        assert_int_equal(plan->layers[i].bits, i == 0 || i == 4 ? 8 : 3);
    }
    const quant_grid *input = quant_aware_grid(plan, "x");
    assert_true(input->bits == 8 && !input->trained);
    assert_int_equal(grid_behind(plan, graph, "Relu", 0)->bits, 4);
    assert_int_equal(grid_behind(plan, graph, "Relu", 0)->zero_point, 0);
    assert_true(grid_behind(plan, graph, "BatchNormalization", 0) == NULL); /* never exists as integers */
    assert_int_equal(grid_behind(plan, graph, "BatchNormalization", 2)->bits, 4);
    assert_in_range(grid_behind(plan, graph, "BatchNormalization", 2)->zero_point, 1, 14);
    assert_true(grid_behind(plan, graph, "MaxPool", 0) == NULL); /* moves what its input has */
    assert_int_equal(grid_behind(plan, graph, "GlobalAveragePool", 0)->bits, 8);
    assert_int_equal(grid_behind(plan, graph, "Gemm", 0)->bits, 8);
    pare_quant_aware_free(plan);
    pare_graph_free(graph);
    graph = mobile_net(1); /* what is joined has one grid */
    assert_ok(prepare(graph, &options, &plan, &error), &error);
    assert_ptr_equal(grid_behind(plan, graph, "Concat", 0), grid_behind(plan, graph, "BatchNormalization", 2));
    pare_quant_aware_free(plan);
    pare_graph_free(graph);
}

static void excluded_nodes_stay_in_float(void **state) {
    (void)state;
    pare_error error = {0};
    pare_quant_aware *plan = NULL;
    const char *patterns[] = {"Gemm*"};
    pare_quant_aware_options options = {
        .weight_bits = 4, .activation_bits = 4, .first_last_bits = 8, .exclude = patterns, .exclude_count = 1};
    pare_graph *graph = residual_net(2);
    assert_ok(prepare(graph, &options, &plan, &error), &error);
    assert_int_equal(plan->layer_count, 4);
    assert_true(grid_behind(plan, graph, "Gemm", 0) == NULL);
    assert_int_equal(plan->layers[3].bits, 4); /* the last layer is still the Gemm */
    assert_ok(pare_quant_aware_export(plan, graph, &error), &error);
    assert_true(graph->outputs[0]->quant == NULL);
    pare_quant_aware_free(plan);
    pare_graph_free(graph);
}

static void usage_is_checked(void **state) {
    (void)state;
    pare_error error = {0};
    pare_quant_aware *plan = NULL;
    const char *nothing[] = {"nothing"}, *all[] = {"*"};
    pare_graph *graph = mlp(3);
    pare_quant_aware_options options = {.weight_bits = 1, .activation_bits = 8, .first_last_bits = 8};
    assert_fails(prepare(graph, &options, &plan, &error), PARE_USAGE, &error, "weights of 2 to 8 bits, found 1");
    options.weight_bits = 8, options.activation_bits = 9;
    assert_fails(prepare(graph, &options, &plan, &error), PARE_USAGE, &error, "activations of 2 to 8 bits, found 9");
    options.activation_bits = 8, options.first_last_bits = -1;
    assert_fails(prepare(graph, &options, &plan, &error), PARE_USAGE, &error, "last layer of 2 to 8 bits");
    options.first_last_bits = 0, options.exclude = nothing, options.exclude_count = 1;
    assert_fails(prepare(graph, &options, &plan, &error), PARE_USAGE, &error, "\"nothing\"");
    options.exclude = all;
    assert_fails(prepare(graph, &options, &plan, &error), PARE_UNSUPPORTED, &error, "nothing to quantize");
    options.exclude_count = 0;
    ((float *)graph->first->inputs[1]->data)[3] = NAN;
    assert_fails(prepare(graph, &options, &plan, &error), PARE_BAD_INPUT, &error, "finite");
    pare_graph_free(graph);
    net n; /* weights not turned yet */
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, 6});
    graph = net_finish(&n, NET(&n, "Gemm", "", x, net_random(&n, 2, (int64_t[]){6, 6}, -1, 1)));
    assert_fails(prepare(graph, &options, &plan, &error), PARE_UNSUPPORTED, &error, "simplified");
    assert_true(plan == NULL);
    pare_graph_free(graph);
}

/* --- gradients --------------------------------------------------------------------------------------- */

static void every_parameter_gets_a_gradient(void **state) {
    (void)state;
    pare_error error = {0};
    pare_quant_aware_options options = {.weight_bits = 4, .activation_bits = 4};
    trial t = {.graph = residual_net(6)};
    pare_tape *tape = NULL;
    float seen[BATCH * 10], gradient[BATCH * 10];
    tape_probe probe = {.seen = seen, .gradient = gradient};
    assert_ok(prepare(t.graph, &options, &t.plan, &error), &error);
    t.input = make_inputs(t.graph, BATCH, 5, &t.input_count);
    for (int i = 0; i < BATCH * 10; i++) {
        gradient[i] = (float)((i * 7) % 11 - 5) * 0.01F;
    }
    assert_ok(tape_create(t.graph, BATCH, 0, &tape, &error), &error);
    pare_quant_aware_use(t.plan, tape);
    assert_ok(tape_record_graph(tape, &error), &error);
    assert_ok(tape_record_probe(tape, tape_find(tape, t.graph->outputs[0]), &probe, &error), &error);
    assert_ok(tape_allocate(tape, &error), &error);
    assert_ok(tape_plan(tape, &error), &error);
    memcpy(tape_input_data(tape, tape_find(tape, t.graph->inputs[0])), t.input, t.input_count * sizeof(float));
    assert_ok(tape_forward(tape, 0, &error), &error);
    assert_ok(tape_backward(tape, &error), &error);
    size_t steps = 0;
    for (uint32_t i = 0; i < tape->parameter_count; i++) {
        const tape_parameter *parameter = &tape->parameters[i];
        double sum = 0;
        for (size_t k = 0; k < parameter->count; k++) {
            assert_true(isfinite(tape->gradients[parameter->offset + k]));
            sum += fabs((double)tape->gradients[parameter->offset + k]);
        }
        assert_true(sum > 0);
        bool step = strstr(parameter->name, ".step") != NULL;
        assert_true(!step || !parameter->decays);
        steps += step;
    }
    assert_int_equal(steps, 8 + 5); /* values with a grid, the input of 4 bits among them, and layers */
    tape_free(tape);
    pare_quant_aware_free(t.plan);
    pare_graph_free(t.graph);
    free(t.input);
}

int main(void) {
    if (strcmp(pare_backend(), "none") == 0) {
        print_message("skipped: nothing trains without oneDNN\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulation_is_what_runs),         cmocka_unit_test(outer_layers_have_bits_of_their_own),
        cmocka_unit_test(excluded_nodes_stay_in_float),    cmocka_unit_test(usage_is_checked),
        cmocka_unit_test(every_parameter_gets_a_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
