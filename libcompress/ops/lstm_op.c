/* LSTM: X [T, N, I], W [D, 4H, I], R [D, 4H, H], B [D, 8H], initial states
 * [D, N, H]; Y [T, D, N, H], Y_h and Y_c [D, N, H]. layout 1 puts N first and
 * passes through transpositions. */
#include "op_helpers.h"

#include <string.h>

#include "train/tape/tape.h"

enum { INPUT_SEQUENCE_LENS = 4, INPUT_H = 5, INPUT_C = 6, INPUT_PEEPHOLES = 7 };

/* The importer joins lists of strings by commas. */
#define DEFAULT_ACTIVATIONS "Sigmoid,Tanh,Tanh"

static const char *const directions[] = {"forward", "reverse", "bidirectional"};
static const int32_t swap_first[PARE_MAX_RANK] = {1, 0, 2, 3};
static const int32_t batch_first[PARE_MAX_RANK] = {2, 0, 1, 3}; /* Y [T, D, N, H] -> [N, T, D, H] */

static bool is_batch_first(const pare_node *node) {
    return pare_node_int(node, "layout", 0) != 0;
}

static int32_t direction(const pare_node *node) {
    const char *text = pare_node_string(node, "direction", "forward");
    for (int32_t i = 0; i < 3; i++) {
        if (strcmp(text, directions[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static pare_status lstm_check(const pare_node *node, pare_error *error) {
    if (direction(node) < 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT,
                              "expected direction forward, reverse or bidirectional, found %s",
                              pare_node_string(node, "direction", ""));
    }
    if (op_input(node, INPUT_PEEPHOLES) != NULL) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected no peepholes (input P), found some");
    }
    if (pare_node_attr(node, "clip") != NULL || pare_node_int(node, "input_forget", 0) != 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected neither clip nor input_forget, found one");
    }
    const char *activations = pare_node_string(node, "activations", DEFAULT_ACTIVATIONS);
    if (strcmp(activations, DEFAULT_ACTIVATIONS) != 0 &&
        strcmp(activations, DEFAULT_ACTIVATIONS "," DEFAULT_ACTIVATIONS) != 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected the default activations (" DEFAULT_ACTIVATIONS "), found %s", activations);
    }
    return PARE_OK;
}

/* Sequence lengths are only accepted where they say what is so anyway. */
static pare_status check_lengths(const pare_node *node, int64_t steps, pare_error *error) {
    const pare_value *lengths = op_input(node, INPUT_SEQUENCE_LENS);
    for (size_t i = 0; lengths != NULL && (i == 0 || i < op_count(lengths)); i++) {
        int64_t length = 0;
        if (!op_int_at(lengths, i, &length) || length != steps) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED,
                                  "expected sequence_lens to be absent or constant at %lld, found other",
                                  (long long)steps);
        }
    }
    return PARE_OK;
}

static pare_status check_operand(const pare_node *node, size_t index, pare_shape expected, pare_error *error) {
    const pare_value *value = op_input(node, index);
    char left[160], right[160];
    if (value == NULL || pare_shape_equal(&value->shape, &expected)) {
        return PARE_OK;
    }
    return pare_node_fail(node, error, PARE_BAD_INPUT, "expected input \"%s\" of shape %s, found %s", value->name,
                          pare_shape_text(&expected, left, sizeof left),
                          pare_shape_text(&value->shape, right, sizeof right));
}

static pare_status lstm_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    PARE_TRY(op_check_rank(node, 0, 3, 3, error));
    PARE_TRY(op_check_rank(node, 2, 3, 3, error));
    bool first = is_batch_first(node);
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t steps = x->dims[first ? 1 : 0], batch = x->dims[first ? 0 : 1], width = x->dims[2];
    int64_t hidden = node->inputs[2]->shape.dims[2], ways = direction(node) == 2 ? 2 : 1;
    if (steps < 1 || width < 1 || hidden < 1 || hidden > INT32_MAX / 8) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected a fixed number of steps and features, found an open or empty one");
    }
    pare_shape state = op_shape(3, (const int64_t[]){first ? batch : ways, first ? ways : batch, hidden});
    PARE_TRY(check_operand(node, 1, op_shape(3, (const int64_t[]){ways, 4 * hidden, width}), error));
    PARE_TRY(check_operand(node, 2, op_shape(3, (const int64_t[]){ways, 4 * hidden, hidden}), error));
    PARE_TRY(check_operand(node, 3, op_shape(2, (const int64_t[]){ways, 8 * hidden}), error));
    PARE_TRY(check_operand(node, INPUT_H, state, error));
    PARE_TRY(check_operand(node, INPUT_C, state, error));
    PARE_TRY(check_lengths(node, steps, error));
    pare_shape y = first ? op_shape(4, (const int64_t[]){batch, steps, ways, hidden})
                         : op_shape(4, (const int64_t[]){steps, ways, batch, hidden});
    PARE_TRY(op_set_output(node, 0, PARE_F32, &y, error));
    PARE_TRY(op_set_output(node, 1, PARE_F32, &state, error));
    return op_set_output(node, 2, PARE_F32, &state, error);
}

static bool is_read(const pare_node *node, size_t index) {
    const pare_value *value = op_output(node, index);
    return value != NULL && (value->use_count > 0 || value->is_output);
}

static pare_status lower_inputs(pare_lowering *lowering, const pare_node *node, uint32_t *inputs, size_t *count,
                                pare_error *error) {
    static const size_t sources[6] = {0, 1, 2, 3, INPUT_H, INPUT_C};
    *count = 3;
    for (size_t i = 0; i < 6; i++) {
        PARE_TRY(pare_lower_input(lowering, node, sources[i], &inputs[i], error));
        if (inputs[i] != PARE_NONE && is_batch_first(node) && (i == 0 || i >= 4)) {
            PARE_TRY(op_transposed(lowering, node, inputs[i], swap_first, &inputs[i], error));
        }
        *count = inputs[i] != PARE_NONE && i >= *count ? i + 1 : *count;
    }
    return PARE_OK;
}

static pare_status lstm_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t inputs[6], outputs[3] = {PARE_NONE, PARE_NONE, PARE_NONE}, finals[3];
    size_t input_count = 0, output_count = 1;
    bool first = is_batch_first(node);
    const pare_shape *x = &node->inputs[0]->shape, *r = &node->inputs[2]->shape;
    pare_lstm_attrs attrs = {(int32_t)r->dims[2], direction(node)};
    int64_t steps = x->dims[first ? 1 : 0], batch = x->dims[first ? 0 : 1];
    pare_shape y = op_shape(4, (const int64_t[]){steps, r->dims[0], batch, r->dims[2]});
    pare_shape state = op_shape(3, (const int64_t[]){r->dims[0], batch, r->dims[2]});
    PARE_TRY(lower_inputs(lowering, node, inputs, &input_count, error));
    for (size_t i = 0; i < 3; i++) {
        bool read = is_read(node, i);
        if (read) {
            PARE_TRY(pare_lower_output(lowering, node, i, &finals[i], error));
            outputs[i] = finals[i];
            output_count = i + 1;
        }
        if ((read && first) || (!read && i == 0)) {
            PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, i == 0 ? &y : &state, NULL, &outputs[i], error));
        }
    }
    if (output_count == 3 && outputs[1] == PARE_NONE) {
        PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, &state, NULL, &outputs[1], error));
    }
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_LSTM, &attrs, inputs, input_count, outputs, output_count, error));
    for (size_t i = 0; first && i < 3; i++) {
        if (is_read(node, i)) {
            PARE_TRY(
                op_emit_transpose(lowering, node, outputs[i], i == 0 ? batch_first : swap_first, finals[i], error));
        }
    }
    return PARE_OK;
}

/* `inner` with its axes permuted is the node's output `index`. */
static pare_status record_turned(pare_tape *tape, const pare_node *node, size_t index, uint32_t inner,
                                 pare_error *error) {
    PARE_TRY(tape_transposed(tape, node, index == 0 ? batch_first : swap_first, &inner, error));
    return tape_reshape(tape, node, inner, tape_output(tape, node, index), error);
}

static pare_status lstm_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    bool first = is_batch_first(node);
    const pare_shape *r = &node->inputs[2]->shape;
    pare_lstm_attrs attrs = {(int32_t)r->dims[2], direction(node)};
    uint32_t inputs[6] = {[0] = tape_input(tape, node, 0)};
    for (size_t i = 1; i < 4; i++) { /* one after the other: that is the order of parameters */
        inputs[i] = tape_weight(tape, node, i, i < 3);
    }
    inputs[4] = tape_input(tape, node, INPUT_H);
    inputs[5] = tape_input(tape, node, INPUT_C);
    for (size_t i = 0; first && i < 6; i++) {
        if (inputs[i] != TAPE_NONE && (i == 0 || i >= 4)) {
            PARE_TRY(tape_transposed(tape, node, swap_first, &inputs[i], error));
        }
    }
    pare_shape x = tape_tensor_at(tape, inputs[0])->shape;
    pare_shape y = op_shape(4, (const int64_t[]){x.dims[0], r->dims[0], x.dims[1], r->dims[2]});
    pare_shape state = op_shape(3, y.dims + 1);
    uint32_t outputs[3];
    for (size_t i = 0; i < 3; i++) {
        outputs[i] = !is_read(node, i) ? TAPE_NONE
                     : first           ? tape_temporary(tape, node, i == 0 ? &y : &state)
                                       : tape_output(tape, node, i);
    }
    PARE_TRY(tape_lstm(tape, node, &attrs, inputs, outputs, error));
    for (size_t i = 0; first && i < 3; i++) {
        if (outputs[i] != TAPE_NONE) {
            PARE_TRY(record_turned(tape, node, i, outputs[i], error));
        }
    }
    return PARE_OK;
}

static uint64_t lstm_macs(const pare_node *node) {
    const pare_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape, *r = &node->inputs[2]->shape;
    bool first = is_batch_first(node);
    int64_t batch = x->dims[first ? 0 : 1];
    uint64_t rows = (uint64_t)x->dims[first ? 1 : 0] * (uint64_t)(batch < 0 ? -batch : batch);
    return rows * (uint64_t)w->dims[0] * (uint64_t)w->dims[1] * (uint64_t)(w->dims[2] + r->dims[2]);
}

/* Unit h is row h of each gate in W, R and B, column h of R, and element h of the states and of Y. Both directions
 * lose the same. */
static void lstm_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *w = node->inputs[1], *r = node->inputs[2];
    const pare_value *states[5] = {op_input(node, INPUT_H), op_input(node, INPUT_C), op_output(node, 0),
                                   op_output(node, 1), op_output(node, 2)};
    int64_t hidden = r->shape.dims[2];
    pare_channels_join_axes(channels, node->inputs[0], 2, w, 2);
    pare_channels_hold(channels, node->inputs[0], 0);
    pare_channels_hold(channels, node->inputs[0], 1);
    for (int64_t i = 0; i < 8 * hidden; i++) {
        int64_t unit = i % hidden;
        pare_channels_join(channels, op_input(node, 3), 1, i, r, 2, unit);
        for (int32_t weights = 1; i < 4 * hidden && weights < 3; weights++) {
            pare_channels_join(channels, node->inputs[weights], 1, i, r, 2, unit);
        }
    }
    for (size_t i = 0; i < 5; i++) {
        int32_t last = states[i] != NULL ? states[i]->shape.rank - 1 : 0;
        pare_channels_join_axes(channels, states[i], last, r, 2);
        for (int32_t a = 0; a < last; a++) {
            pare_channels_hold(channels, states[i], a);
        }
    }
    pare_channels_adjusted_by(channels, op_input(node, 3), 0.0F);
    pare_channels_made_by(channels, w, 1);
    pare_channels_made_by(channels, r, 1);
}

static pare_status lstm_resized(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *r = node->inputs[2];
    int64_t left = pare_channels_left(channels, r, 2, 0, r->shape.dims[2]);
    if (pare_node_attr(node, "hidden_size") == NULL) {
        return PARE_OK;
    }
    return pare_node_set_int(graph, node, "hidden_size", left) ? PARE_OK : pare_fail_memory(error, sizeof left);
}

PARE_DEFINE_OP(LSTM) = {.name = "LSTM",
                        .domain = "",
                        .since = 1,
                        .min_inputs = 3,
                        .max_inputs = 8,
                        .min_outputs = 1,
                        .max_outputs = 3,
                        .quant = PARE_QUANT_FLOAT,
                        .weight_input = 1,
                        .bias_input = 3,
                        .weight_channel_axis = 1,
                        .check = lstm_check,
                        .infer = lstm_infer,
                        .lower = lstm_lower,
                        .gradient = lstm_gradient,
                        .macs = lstm_macs,
                        .channels = lstm_channels,
                        .resized = lstm_resized};
