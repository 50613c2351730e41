/* LSTM: ONNX orders the gates i, o, f, c, oneDNN i, f, c, o. */
#include <string.h>

#include "onednn_kernels.h"
#include "onednn_support.h"
#include "pare/checked.h"
#include "pare/memory.h"

enum { X = 0, WEIGHTS = 1, RECURRENT = 2, BIAS = 3, HIDDEN = 4, CELL = 5 };

static const size_t gate_order[4] = {0, 2, 3, 1};

typedef struct lstm_plan {
    size_t steps, batch, inputs, hidden, directions;
    bool has_state, wants_state;
    dnnl_memory_desc_t layer, recurrent, bias; /* as the constants are given below */
} lstm_plan;

static bool all_constant(const pare_site *site) {
    return site->inputs[WEIGHTS].constant != NULL && site->inputs[RECURRENT].constant != NULL &&
           (!pare_onednn_has_input(site, BIAS) || site->inputs[BIAS].constant != NULL);
}

static bool output_present(const pare_site *site, size_t index) {
    return site->output_count > index && site->outputs[index].present;
}

static bool lstm_describe(const pare_site *site, lstm_plan *plan) {
    const pare_lstm_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[X].shape;
    if (!pare_onednn_all_float(site) || x->rank != 3 || attrs->hidden < 1 || !all_constant(site) ||
        pare_onednn_has_input(site, HIDDEN) != pare_onednn_has_input(site, CELL)) {
        return false;
    }
    *plan = (lstm_plan){.steps = (size_t)x->dims[0],
                        .batch = (size_t)x->dims[1],
                        .inputs = (size_t)x->dims[2],
                        .hidden = (size_t)attrs->hidden,
                        .directions = attrs->direction == 2 ? 2 : 1,
                        .has_state = pare_onednn_has_input(site, HIDDEN),
                        .wants_state = output_present(site, 1) || output_present(site, 2)};
    /* oneDNN writes [T, N, D × H], which is [T, D, N, H] for one direction or one sample. */
    if (plan->directions == 2 && plan->batch != 1) {
        return false;
    }
    dnnl_dim_t d = (dnnl_dim_t)plan->directions, h = (dnnl_dim_t)plan->hidden;
    dnnl_dims_t layer = {1, d, (dnnl_dim_t)plan->inputs, 4, h}, recurrent = {1, d, h, 4, h}, bias = {1, d, 4, h};
    return pare_onednn_tagged(&plan->layer, 5, layer, dnnl_ldigo) &&
           pare_onednn_tagged(&plan->recurrent, 5, recurrent, dnnl_ldigo) &&
           pare_onednn_tagged(&plan->bias, 4, bias, dnnl_ldgo);
}

static pare_status lstm_create(const pare_site *site, const lstm_plan *plan, dnnl_primitive_desc_t *primitive,
                               pare_error *error) {
    const pare_lstm_attrs *attrs = site->attrs;
    dnnl_dim_t d = (dnnl_dim_t)plan->directions, h = (dnnl_dim_t)plan->hidden, n = (dnnl_dim_t)plan->batch;
    dnnl_dim_t t = (dnnl_dim_t)plan->steps, i = (dnnl_dim_t)plan->inputs;
    dnnl_memory_desc_t x, y, state, layer, recurrent;
    dnnl_rnn_desc_t desc;
    if (!pare_onednn_tagged(&x, 3, (dnnl_dims_t){t, n, i}, dnnl_tnc) ||
        !pare_onednn_tagged(&y, 3, (dnnl_dims_t){t, n, d * h}, dnnl_tnc) ||
        !pare_onednn_tagged(&state, 4, (dnnl_dims_t){1, d, n, h}, dnnl_ldnc) ||
        !pare_onednn_any(&layer, 5, (dnnl_dims_t){1, d, i, 4, h}) ||
        !pare_onednn_any(&recurrent, 5, (dnnl_dims_t){1, d, h, 4, h})) {
        return PARE_UNSUPPORTED;
    }
    dnnl_rnn_direction_t direction = attrs->direction == 0   ? dnnl_unidirectional_left2right
                                     : attrs->direction == 1 ? dnnl_unidirectional_right2left
                                                             : dnnl_bidirectional_concat;
    const dnnl_memory_desc_t *initial = plan->has_state ? &state : NULL, *final = plan->wants_state ? &state : NULL;
    if (dnnl_lstm_forward_desc_init(&desc, dnnl_forward_inference, direction, &x, initial, initial, &layer, &recurrent,
                                    &plan->bias, &y, final, final, dnnl_rnn_flags_undef) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, NULL, primitive, error);
}

/* [D, 4H, columns] in ONNX's order to [D, columns, 4, H] in oneDNN's. */
static pare_status bind_gates(pare_onednn_step *step, int arg, const lstm_plan *plan, const float *from, size_t columns,
                              const dnnl_memory_desc_t *given, const dnnl_memory_desc_t *wanted, pare_error *error) {
    size_t hidden = plan->hidden, bytes = dnnl_memory_desc_get_size(given);
    float *turned = pare_alloc(bytes);
    if (turned == NULL) {
        return pare_fail_memory(error, bytes);
    }
    for (size_t d = 0; d < plan->directions; d++) {
        for (size_t gate = 0; gate < 4; gate++) {
            for (size_t h = 0; h < hidden; h++) {
                const float *row = from + ((d * 4 + gate_order[gate]) * hidden + h) * columns;
                for (size_t c = 0; c < columns; c++) {
                    turned[((d * columns + c) * 4 + gate) * hidden + h] = row[c];
                }
            }
        }
    }
    pare_status status = pare_onednn_bind_constant(step, arg, given, turned, wanted, error);
    pare_free(turned);
    return status;
}

/* ONNX gives two biases, [D, 8H]; oneDNN has their sum. Zeros where there is none. */
static pare_status bind_bias(pare_onednn_step *step, const lstm_plan *plan, const float *from, pare_error *error) {
    size_t hidden = plan->hidden;
    float *sum = pare_alloc_zero(plan->directions * 4 * hidden, sizeof *sum);
    if (sum == NULL) {
        return pare_fail_memory(error, plan->directions * 4 * hidden * sizeof *sum);
    }
    for (size_t d = 0; from != NULL && d < plan->directions; d++) {
        const float *bias = from + d * 8 * hidden;
        for (size_t gate = 0; gate < 4; gate++) {
            for (size_t h = 0; h < hidden; h++) {
                size_t place = gate_order[gate] * hidden + h;
                sum[(d * 4 + gate) * hidden + h] = bias[place] + bias[4 * hidden + place];
            }
        }
    }
    return pare_onednn_bind_block(step, DNNL_ARG_BIAS, &plan->bias, sum, error);
}

/* An output that nobody reads is written into the scratch. */
static pare_status bind_output(const pare_site *site, pare_onednn_step *step, int arg, const dnnl_memory_desc_t *desc,
                               size_t index, pare_error *error) {
    pare_onednn_source source = output_present(site, index) ? PARE_ONEDNN_OUTPUT : PARE_ONEDNN_SCRATCH;
    return pare_onednn_bind(step, arg, desc, source, index, error);
}

static pare_status lstm_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                             pare_onednn_step *step, pare_error *error) {
    const lstm_plan *plan = context;
    const dnnl_memory_desc_t *layer = dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *recurrent = dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 1);
    PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC_LAYER, dnnl_primitive_desc_query_md(primitive, dnnl_query_src_md, 0),
                              PARE_ONEDNN_INPUT, X, error));
    PARE_TRY(bind_output(site, step, DNNL_ARG_DST_LAYER, dnnl_primitive_desc_query_md(primitive, dnnl_query_dst_md, 0),
                         0, error));
    PARE_TRY(bind_gates(step, DNNL_ARG_WEIGHTS_LAYER, plan, site->inputs[WEIGHTS].constant, plan->inputs, &plan->layer,
                        layer, error));
    PARE_TRY(bind_gates(step, DNNL_ARG_WEIGHTS_ITER, plan, site->inputs[RECURRENT].constant, plan->hidden,
                        &plan->recurrent, recurrent, error));
    PARE_TRY(bind_bias(step, plan, pare_onednn_has_input(site, BIAS) ? site->inputs[BIAS].constant : NULL, error));
    dnnl_memory_desc_t state;
    dnnl_dims_t dims = {1, (dnnl_dim_t)plan->directions, (dnnl_dim_t)plan->batch, (dnnl_dim_t)plan->hidden};
    if (!pare_onednn_tagged(&state, 4, dims, dnnl_ldnc)) {
        return PARE_UNSUPPORTED;
    }
    if (plan->has_state) {
        PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC_ITER, &state, PARE_ONEDNN_INPUT, HIDDEN, error));
        PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC_ITER_C, &state, PARE_ONEDNN_INPUT, CELL, error));
    }
    if (plan->wants_state) {
        PARE_TRY(bind_output(site, step, DNNL_ARG_DST_ITER, &state, 1, error));
        PARE_TRY(bind_output(site, step, DNNL_ARG_DST_ITER_C, &state, 2, error));
    }
    return PARE_OK;
}

static pare_status lstm_plan_node(pare_site *site, void **state, pare_error *error) {
    lstm_plan plan;
    dnnl_primitive_desc_t primitive = NULL;
    if (!lstm_describe(site, &plan)) {
        return PARE_UNSUPPORTED;
    }
    double weights = pare_onednn_elements(&site->inputs[WEIGHTS]) + pare_onednn_elements(&site->inputs[RECURRENT]);
    pare_onednn_set_threads(site, pare_onednn_products(weights, (double)(plan.steps * plan.batch)));
    PARE_TRY(lstm_create(site, &plan, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, lstm_bind, &plan, state, error));
    for (size_t i = 0; i < site->input_count; i++) {
        site->wanted[i] = PARE_LAYOUT_PLAIN;
    }
    return PARE_OK;
}

const pare_kernel pare_onednn_lstm = {
    .name = "onednn_lstm",
    .plan = lstm_plan_node,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
