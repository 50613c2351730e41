/* Type and quantization rules: which opcodes have an integer form, and what it
 * demands so that its result is defined exactly (CONTAINER.md, "Integer forms"). */
#include <inttypes.h>
#include <math.h>

#include "verify_types.h"

typedef struct node_view {
    const pare_model *model;
    const pare_model_node *node;
    pare_error *error;
} node_view;

static const pare_model_tensor *input(const node_view *view, uint32_t index) {
    return index < view->node->input_count && view->node->inputs[index] != PARE_NONE
               ? &view->model->tensors[view->node->inputs[index]]
               : NULL;
}

static const pare_model_tensor *output(const node_view *view) {
    return &view->model->tensors[view->node->outputs[0]];
}

static pare_status want_dtype(const node_view *view, const char *what, const pare_model_tensor *tensor,
                              pare_dtype dtype) {
    if (tensor != NULL && tensor->dtype != dtype) {
        return pare_fail(view->error, PARE_UNSUPPORTED, "expected %s of type %s, found %s", what,
                         pare_dtype_name(dtype), pare_dtype_name(tensor->dtype));
    }
    return PARE_OK;
}

static bool per_tensor(const pare_model_tensor *tensor) {
    return tensor->quant != NULL && tensor->quant->axis == -1;
}

static pare_status want_per_tensor(const node_view *view, const char *what, const pare_model_tensor *tensor) {
    return per_tensor(tensor)
               ? PARE_OK
               : pare_fail(view->error, PARE_BAD_INPUT, "expected one scale and zero point for %s", what);
}

static pare_status want_bounds(const node_view *view, const pare_activation *activation) {
    int32_t function = activation->function;
    return function == PARE_FN_IDENTITY || function == PARE_FN_RELU || function == PARE_FN_CLIP
               ? PARE_OK
               : pare_fail(view->error, PARE_UNSUPPORTED,
                           "expected identity, relu or clip in an integer form, found %s",
                           pare_function_name(function));
}

static bool same_quant(const pare_model_tensor *a, const pare_model_tensor *b) {
    return per_tensor(a) && per_tensor(b) && a->quant->scales[0] == b->quant->scales[0] &&
           a->quant->zero_points[0] == b->quant->zero_points[0];
}

/* Moved elements keep their meaning: both sides have the same quantization, or none. */
static pare_status movement(const node_view *view) {
    const pare_model_tensor *x = input(view, 0);
    const pare_model_tensor *y = output(view);
    if ((x->quant != NULL || y->quant != NULL) && !same_quant(x, y)) {
        return pare_fail(view->error, PARE_BAD_INPUT,
                         "expected an input and an output with the same scale and zero point");
    }
    return PARE_OK;
}

static pare_status integer_weights(const node_view *view, const pare_model_tensor *w, const pare_model_tensor *bias) {
    PARE_TRY(want_dtype(view, "weights", w, PARE_S8));
    PARE_TRY(want_dtype(view, "a bias", bias, PARE_S32));
    if (w->buffer == PARE_NONE || (bias != NULL && bias->buffer == PARE_NONE)) {
        return pare_fail(view->error, PARE_UNSUPPORTED, "expected constant weights and bias in an integer form");
    }
    if (w->quant == NULL || (w->quant->axis != -1 && w->quant->axis != 0)) {
        return pare_fail(view->error, PARE_BAD_INPUT, "expected weights with one scale, or one for each output");
    }
    int64_t summed = 1;
    for (int32_t i = 1; i < w->shape.rank; i++) {
        summed *= w->shape.dims[i];
    }
    if (summed > INT32_MAX / (255 * 127)) {
        return pare_fail(view->error, PARE_UNSUPPORTED,
                         "expected at most %d products a sum, found %" PRId64 ": 32 bits could overflow",
                         INT32_MAX / (255 * 127), summed);
    }
    for (uint32_t i = 0; i < w->quant->count; i++) {
        if (w->quant->zero_points[i] != 0) {
            return pare_fail(view->error, PARE_UNSUPPORTED, "expected weights with zero point 0, found %" PRId32,
                             w->quant->zero_points[i]);
        }
    }
    return PARE_OK;
}

static pare_status weighted(const node_view *view, const pare_activation *activation) {
    const pare_model_tensor *x = input(view, 0);
    if (x->dtype == PARE_F32) {
        for (uint32_t i = 1; i < view->node->input_count; i++) {
            PARE_TRY(want_dtype(view, "weights, bias and residual", input(view, i), PARE_F32));
        }
        return PARE_OK;
    }
    PARE_TRY(want_per_tensor(view, "the input", x));
    PARE_TRY(want_per_tensor(view, "the output", output(view)));
    PARE_TRY(want_bounds(view, activation));
    return integer_weights(view, input(view, 1), input(view, 2));
}

static pare_status convolution(const node_view *view) {
    const pare_conv_attrs *conv = view->node->attrs;
    const pare_model_tensor *residual = input(view, 3);
    PARE_TRY(weighted(view, &conv->activation));
    if (residual == NULL && conv->inner_activation.function != PARE_FN_IDENTITY) {
        return pare_fail(view->error, PARE_BAD_INPUT, "expected no inner activation without a residual");
    }
    if (input(view, 0)->dtype == PARE_F32 || residual == NULL) {
        return PARE_OK;
    }
    PARE_TRY(want_dtype(view, "a residual", residual, PARE_U8));
    PARE_TRY(want_per_tensor(view, "the residual", residual));
    PARE_TRY(want_bounds(view, &conv->inner_activation));
    if (!(conv->inner_scale > 0) || conv->inner_zero < 0 || conv->inner_zero > UINT8_MAX) {
        return pare_fail(view->error, PARE_BAD_INPUT,
                         "expected an inner scale above 0 and an inner zero point of uint8, found %g and %" PRId32,
                         (double)conv->inner_scale, conv->inner_zero);
    }
    return PARE_OK;
}

static pare_status fully_connected(const node_view *view) {
    return weighted(view, &((const pare_fully_connected_attrs *)view->node->attrs)->activation);
}

static pare_status binary(const node_view *view) {
    const pare_binary_attrs *attrs = view->node->attrs;
    const pare_model_tensor *a = input(view, 0);
    const pare_model_tensor *b = input(view, 1);
    const pare_model_tensor *y = output(view);
    if (a->quant == NULL && b->quant == NULL && y->quant == NULL) {
        if (attrs->kind >= PARE_BINARY_AND && attrs->kind <= PARE_BINARY_XOR) {
            return want_dtype(view, "an operand of a logical operation", a, PARE_BOOL);
        }
        return PARE_OK;
    }
    PARE_TRY(want_dtype(view, "quantized operands", a, PARE_U8));
    PARE_TRY(want_dtype(view, "a quantized result", y, PARE_U8));
    PARE_TRY(want_per_tensor(view, "the left operand", a));
    PARE_TRY(want_per_tensor(view, "the right operand", b));
    PARE_TRY(want_per_tensor(view, "the output", y));
    if (attrs->kind > PARE_BINARY_MUL) {
        return pare_fail(view->error, PARE_UNSUPPORTED, "expected ADD, SUB or MUL in the integer form, found kind %d",
                         (int)attrs->kind);
    }
    return want_bounds(view, &attrs->activation);
}

static pare_status pool(const node_view *view) {
    const pare_pool_attrs *attrs = view->node->attrs;
    if (input(view, 0)->dtype == PARE_F32) {
        return PARE_OK;
    }
    PARE_TRY(want_per_tensor(view, "the input", input(view, 0)));
    PARE_TRY(want_per_tensor(view, "the output", output(view)));
    return attrs->kind == PARE_POOL_MAX ? movement(view) : PARE_OK;
}

static pare_status concat(const node_view *view) {
    bool quantized = output(view)->quant != NULL;
    for (uint32_t i = 0; i < view->node->input_count; i++) {
        const pare_model_tensor *x = input(view, i);
        if (quantized || x->quant != NULL) {
            PARE_TRY(want_per_tensor(view, "each input", x));
            PARE_TRY(want_per_tensor(view, "the output", output(view)));
            if (x->dtype != PARE_U8 && x->dtype != PARE_S8) {
                return pare_fail(view->error, PARE_UNSUPPORTED, "expected quantized inputs of 8 bits, found %s",
                                 pare_dtype_name(x->dtype));
            }
        }
    }
    return PARE_OK;
}

static pare_status resize(const node_view *view) {
    const pare_resize_attrs *attrs = view->node->attrs;
    if (attrs->mode != PARE_RESIZE_NEAREST) {
        PARE_TRY(want_dtype(view, "an input that is interpolated", input(view, 0), PARE_F32));
    }
    return movement(view);
}

static pare_status where(const node_view *view) {
    const pare_model_tensor *a = input(view, 1);
    const pare_model_tensor *b = input(view, 2);
    const pare_model_tensor *y = output(view);
    if ((a->quant != NULL || b->quant != NULL || y->quant != NULL) && !(same_quant(a, b) && same_quant(a, y))) {
        return pare_fail(view->error, PARE_BAD_INPUT,
                         "expected inputs and an output with the same scale and zero point");
    }
    return PARE_OK;
}

static pare_status quantize(const node_view *view) {
    return output(view)->quant != NULL
               ? PARE_OK
               : pare_fail(view->error, PARE_BAD_INPUT, "expected a scale and a zero point for the output");
}

static pare_status reduce(const node_view *view) {
    pare_dtype dtype = input(view, 0)->dtype;
    if (dtype != PARE_F32 && dtype != PARE_S32 && dtype != PARE_S64) {
        return pare_fail(view->error, PARE_UNSUPPORTED, "expected an input of type float32, int32 or int64, found %s",
                         pare_dtype_name(dtype));
    }
    return PARE_OK;
}

pare_status pare_verify_types(const pare_model *model, const pare_model_node *node, pare_error *error) {
    /* Opcodes that are not listed have no integer form; their shape rules check types. */
    static pare_status (*const rules[PARE_OPCODE_END])(const node_view *view) = {
        [PARE_OP_CONV] = convolution,   [PARE_OP_FULLY_CONNECTED] = fully_connected,
        [PARE_OP_BINARY] = binary,      [PARE_OP_POOL] = pool,
        [PARE_OP_CONCAT] = concat,      [PARE_OP_SLICE] = movement,
        [PARE_OP_GATHER] = movement,    [PARE_OP_RESHAPE] = movement,
        [PARE_OP_TRANSPOSE] = movement, [PARE_OP_PAD] = movement,
        [PARE_OP_EXPAND] = movement,    [PARE_OP_RESIZE] = resize,
        [PARE_OP_WHERE] = where,        [PARE_OP_QUANTIZE] = quantize,
        [PARE_OP_REDUCE] = reduce,
    };
    node_view view = {model, node, error};
    return rules[node->opcode] == NULL ? PARE_OK : rules[node->opcode](&view);
}
