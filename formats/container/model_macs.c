#include "pare/model.h"

/* Elements of a tensor for a batch of one; 0 where that overflows. */
static uint64_t elements_of(const pare_model *model, uint32_t tensor) {
    pare_shape one;
    size_t elements;
    return pare_shape_bind(&model->tensors[tensor].shape, 1, &one) && pare_shape_elements(&one, &elements) ? elements
                                                                                                           : 0;
}

uint64_t pare_model_node_macs(const pare_model *model, const pare_model_node *node) {
    const pare_model_tensor *second =
        node->input_count > 1 && node->inputs[1] != PARE_NONE ? &model->tensors[node->inputs[1]] : NULL;
    uint64_t weights = second != NULL ? elements_of(model, node->inputs[1]) : 0;
    uint64_t outputs = elements_of(model, node->outputs[0]);
    if (second == NULL || second->shape.rank < 1 || second->shape.dims[0] <= 0) {
        return 0;
    }
    uint64_t first_dimension = (uint64_t)second->shape.dims[0];
    switch ((pare_opcode)node->opcode) {
    case PARE_OP_CONV:
    case PARE_OP_FULLY_CONNECTED: /* w [O, ..]: each output meets the weights of its channel */
        return outputs * (weights / first_dimension);
    case PARE_OP_CONV_TRANSPOSE: /* w [C, ..]: each input does */
        return elements_of(model, node->inputs[0]) * (weights / first_dimension);
    case PARE_OP_MATMUL: {
        const pare_shape *b = &second->shape;
        int64_t inner = b->dims[b->rank > 1 ? b->rank - 2 : 0];
        return outputs * (uint64_t)(inner < 0 ? -inner : inner);
    }
    case PARE_OP_LSTM: /* every step multiplies W and R once a direction */
        return (elements_of(model, node->inputs[0]) / (uint64_t)second->shape.dims[2]) *
               (weights + elements_of(model, node->inputs[2]));
    default:
        return 0;
    }
}
