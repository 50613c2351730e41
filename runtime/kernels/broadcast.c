#include "kernels/broadcast.h"

static size_t block_of(pare_layout layout) {
    return layout == PARE_LAYOUT_BLOCK8 ? 8 : layout == PARE_LAYOUT_BLOCK16 ? 16 : 1;
}

/* True when an operand can be read in `layout` beside an output of `shape`
 * without padding channels standing for repeated ones. */
static bool fits(const pare_operand *operand, const pare_shape *shape, pare_layout layout) {
    if (shape_elements(&operand->shape) == 1) {
        return true;
    }
    return operand->shape.rank == 4 && (block_of(layout) == 1 || operand->shape.dims[1] == shape->dims[1]);
}

pare_layout broadcast_layout(pare_site *site, size_t operands) {
    const pare_shape *shape = &site->outputs[0].shape;
    pare_layout layout = PARE_LAYOUT_PLAIN;
    for (size_t i = 0; i < operands && shape->rank == 4 && layout == PARE_LAYOUT_PLAIN; i++) {
        if (pare_shape_equal(&site->inputs[i].shape, shape)) {
            layout = site->inputs[i].layout;
        }
    }
    for (size_t i = 0; i < operands; i++) {
        if (!fits(&site->inputs[i], shape, layout)) {
            layout = PARE_LAYOUT_PLAIN;
        }
    }
    for (size_t i = 0; i < operands; i++) {
        bool scalar = shape_elements(&site->inputs[i].shape) == 1;
        site->wanted[i] = scalar ? PARE_LAYOUT_PLAIN : layout;
    }
    site->outputs[0].layout = layout;
    return layout;
}

/* Extents of an operand aligned to the output's, and from them its strides. */
static void operand_strides(const pare_operand *operand, pare_layout layout, int32_t rank, size_t strides[]) {
    size_t extents[PARE_MAX_RANK];
    bool scalar = shape_elements(&operand->shape) == 1;
    int32_t own = scalar ? 0 : layout_extents(layout, &operand->shape, extents);
    size_t stride = 1;
    for (int32_t i = 0; i < rank; i++) {
        strides[i] = 0;
    }
    for (int32_t i = own - 1; i >= 0; i--) {
        strides[rank - own + i] = extents[i] == 1 ? 0 : stride;
        stride *= extents[i];
    }
}

/* True when axis i + 1 directly continues axis i for every operand. */
static bool mergeable(const broadcast *walk, size_t operands, int32_t i) {
    for (size_t k = 0; k < operands; k++) {
        if (walk->strides[k][i] != walk->strides[k][i + 1] * walk->extents[i + 1]) {
            return false;
        }
    }
    return true;
}

static void remove_axis(broadcast *walk, size_t operands, int32_t axis) {
    for (int32_t i = axis; i + 1 < walk->rank; i++) {
        walk->extents[i] = walk->extents[i + 1];
        for (size_t k = 0; k < operands; k++) {
            walk->strides[k][i] = walk->strides[k][i + 1];
        }
    }
    walk->rank--;
}

void broadcast_prepare(const pare_site *site, size_t operands, broadcast *walk) {
    pare_layout layout = site->outputs[0].layout;
    walk->rank = layout_extents(layout, &site->outputs[0].shape, walk->extents);
    for (size_t k = 0; k < operands; k++) {
        operand_strides(&site->inputs[k], layout, walk->rank, walk->strides[k]);
    }
    for (int32_t i = walk->rank - 1; i >= 0; i--) {
        if (walk->extents[i] == 1) {
            remove_axis(walk, operands, i);
        }
    }
    for (int32_t i = walk->rank - 2; i >= 0; i--) {
        if (mergeable(walk, operands, i)) {
            walk->extents[i + 1] *= walk->extents[i];
            remove_axis(walk, operands, i);
        }
    }
    if (walk->rank == 0) {
        walk->rank = 1;
        walk->extents[0] = 1;
        for (size_t k = 0; k < operands; k++) {
            walk->strides[k][0] = 0;
        }
    }
    walk->row = walk->extents[walk->rank - 1];
    walk->rows = 1;
    for (int32_t i = 0; i + 1 < walk->rank; i++) {
        walk->rows *= walk->extents[i];
    }
}

size_t broadcast_offset(const broadcast *walk, size_t operand, size_t row) {
    size_t offset = 0;
    for (int32_t i = walk->rank - 2; i >= 0; i--) {
        offset += row % walk->extents[i] * walk->strides[operand][i];
        row /= walk->extents[i];
    }
    return offset;
}
