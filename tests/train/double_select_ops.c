/* Operators that choose, bound or join elements. */
#include <math.h>

#include "double_ops.h"

static void run_clip(const double_call *call) {
    const double_tensor *low = call->x_count > 1 ? call->x[1] : NULL, *high = call->x_count > 2 ? call->x[2] : NULL;
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double x = call->x[0]->data[i];
        x = low != NULL ? fmax(x, low->data[0]) : x;
        call->y[0]->data[i] = high != NULL ? fmin(x, high->data[0]) : x;
    }
}

/* To float; or to an integer, towards zero. */
static void run_cast(const double_call *call) {
    bool real = call->node->outputs[0]->dtype == PARE_F32;
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = real ? call->x[0]->data[i] : trunc(call->x[0]->data[i]);
    }
}

static double at(const double_call *call, size_t operand, size_t i) {
    const double_tensor *x = call->x[operand];
    return x->data[double_broadcast_index(&x->shape, &call->y[0]->shape, i)];
}

static void run_mod(const double_call *call) {
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = fmod(at(call, 0, i), at(call, 1, i));
    }
}

static void run_where(const double_call *call) {
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = at(call, 0, i) != 0 ? at(call, 1, i) : at(call, 2, i);
    }
}

static void run_trilu(const double_call *call) {
    const pare_shape *x = &call->x[0]->shape;
    int64_t diagonal = call->x_count > 1 && call->x[1] != NULL ? (int64_t)call->x[1]->data[0] : 0;
    bool upper = pare_node_int(call->node, "upper", 1) != 0;
    int64_t place[PARE_MAX_RANK];
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double_coordinates(x, i, place);
        int64_t distance = place[x->rank - 1] - place[x->rank - 2];
        bool kept = upper ? distance >= diagonal : distance <= diagonal;
        call->y[0]->data[i] = kept ? call->x[0]->data[i] : 0;
    }
}

static void run_shrink(const double_call *call) {
    double lambda = (double)pare_node_float(call->node, "lambd", 0.5F);
    double bias = (double)pare_node_float(call->node, "bias", 0);
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double x = call->x[0]->data[i];
        call->y[0]->data[i] = x < -lambda ? x + bias : x > lambda ? x - bias : 0;
    }
}

static void run_concat(const double_call *call) {
    const pare_shape *y = &call->y[0]->shape;
    int32_t axis = double_axis(pare_node_int(call->node, "axis", 0), y);
    int64_t place[PARE_MAX_RANK], from = 0;
    for (size_t k = 0; k < call->x_count; k++) {
        for (size_t i = 0; i < call->x[k]->count; i++) {
            double_coordinates(&call->x[k]->shape, i, place);
            place[axis] += from;
            call->y[0]->data[double_index(y, place)] = call->x[k]->data[i];
        }
        from += call->x[k]->shape.dims[axis];
    }
}

const double_op double_select_ops[] = {{"Clip", run_clip},     {"Cast", run_cast},     {"CastLike", run_cast},
                                       {"Mod", run_mod},       {"Where", run_where},   {"Trilu", run_trilu},
                                       {"Shrink", run_shrink}, {"Concat", run_concat}, {NULL, NULL}};
