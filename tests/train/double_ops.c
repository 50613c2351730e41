#include "double_ops.h"

#include <stdlib.h>
#include <string.h>

#include "pare/op.h"
#include "test.h"

static const double_op *const families[] = {double_element_ops, double_window_ops, double_normal_ops,
                                            double_product_ops, double_move_ops,   double_reduce_ops,
                                            double_layer_ops,   double_select_ops, double_sequence_ops};

typedef struct double_step {
    double_call call;
    void (*run)(const double_call *call);
} double_step;

struct double_network {
    const pare_graph *graph;
    double_tensor *tensors; /* one a value of the graph */
    double_step *steps;
    size_t step_count;
};

/* --- operators ----------------------------------------------------------------- */

static void (*find_function(const char *name))(const double_call *) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (const double_op *op = families[f]; op->name != NULL; op++) {
            if (strcmp(op->name, name) == 0) {
                return op->run;
            }
        }
    }
    fail_msg("the oracle has no operator %s", name);
    return NULL;
}

size_t double_broadcast_index(const pare_shape *from, const pare_shape *to, size_t index) {
    size_t result = 0, stride = 1;
    for (int32_t i = 0; i < from->rank; i++) {
        size_t coordinate = index % (size_t)to->dims[to->rank - 1 - i], extent = (size_t)from->dims[from->rank - 1 - i];
        index /= (size_t)to->dims[to->rank - 1 - i];
        result += extent == 1 ? 0 : coordinate * stride;
        stride *= extent;
    }
    return result;
}

int32_t double_axis(int64_t axis, const pare_shape *shape) {
    return (int32_t)(axis < 0 ? axis + shape->rank : axis);
}

size_t double_extent(const pare_shape *shape, int32_t first, int32_t last) {
    size_t extent = 1;
    for (int32_t a = first; a < last; a++) {
        extent *= (size_t)shape->dims[a];
    }
    return extent;
}

void double_coordinates(const pare_shape *shape, size_t index, int64_t *coordinates) {
    for (int32_t a = shape->rank - 1; a >= 0; a--) {
        coordinates[a] = (int64_t)(index % (size_t)shape->dims[a]);
        index /= (size_t)shape->dims[a];
    }
}

size_t double_index(const pare_shape *shape, const int64_t *coordinates) {
    size_t index = 0;
    for (int32_t a = 0; a < shape->rank; a++) {
        index = index * (size_t)shape->dims[a] + (size_t)coordinates[a];
    }
    return index;
}

size_t double_ints(const double_call *call, size_t index, const char *attribute, int64_t *ints) {
    const double_tensor *x = index < call->x_count ? call->x[index] : NULL;
    const int64_t *listed = NULL;
    size_t count = x != NULL ? x->count : pare_node_ints(call->node, attribute, &listed);
    for (size_t i = 0; i < count; i++) {
        ints[i] = x != NULL ? (int64_t)x->data[i] : listed[i];
    }
    return count;
}

/* --- the network ---------------------------------------------------------------- */

static double number_at(const pare_value *value, size_t i) {
    switch (value->dtype) {
    case PARE_F32:
        return (double)((const float *)value->data)[i];
    case PARE_S64:
        return (double)((const int64_t *)value->data)[i];
    case PARE_S32:
        return ((const int32_t *)value->data)[i];
    case PARE_BOOL:
    case PARE_U8:
        return ((const uint8_t *)value->data)[i];
    default:
        fail_msg("the oracle has no constants of type %s", pare_dtype_name(value->dtype));
        return 0;
    }
}

static void make_tensor(double_tensor *tensor, const pare_value *value, int64_t batch) {
    assert_true(pare_shape_bind(&value->shape, batch, &tensor->shape));
    assert_true(pare_shape_elements(&tensor->shape, &tensor->count));
    tensor->data = calloc(tensor->count + 1, sizeof *tensor->data);
    assert_non_null(tensor->data);
    for (size_t i = 0; value->data != NULL && i < tensor->count; i++) {
        tensor->data[i] = number_at(value, i);
    }
}

double_tensor *double_find(double_network *network, const pare_value *value) {
    for (size_t i = 0; value != NULL && i < network->graph->value_count; i++) {
        if (network->graph->values[i] == value) {
            return &network->tensors[i];
        }
    }
    return NULL;
}

static void make_step(double_network *network, const pare_node *node, bool running) {
    double_step *step = &network->steps[network->step_count++];
    step->run = find_function(node->op->name);
    step->call =
        (double_call){.node = node, .x_count = node->input_count, .y_count = node->output_count, .running = running};
    assert_true(node->input_count <= DOUBLE_OPERANDS && node->output_count <= DOUBLE_OPERANDS);
    for (size_t i = 0; i < node->input_count; i++) {
        step->call.x[i] = double_find(network, node->inputs[i]);
    }
    for (size_t i = 0; i < node->output_count; i++) {
        step->call.y[i] = double_find(network, node->outputs[i]);
    }
}

double_network *double_create(const pare_graph *graph, int64_t batch, bool running) {
    double_network *network = calloc(1, sizeof *network);
    assert_non_null(network);
    network->graph = graph;
    network->tensors = calloc(graph->value_count + 1, sizeof *network->tensors);
    network->steps = calloc(graph->node_count + 1, sizeof *network->steps);
    assert_true(network->tensors != NULL && network->steps != NULL);
    for (size_t i = 0; i < graph->value_count; i++) {
        make_tensor(&network->tensors[i], graph->values[i], batch);
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        make_step(network, node, running);
    }
    return network;
}

void double_free(double_network *network) {
    if (network != NULL) {
        for (size_t i = 0; i < network->graph->value_count; i++) {
            free(network->tensors[i].data);
        }
        free(network->tensors);
        free(network->steps);
        free(network);
    }
}

void double_set_mask(double_network *network, const double *mask) {
    for (size_t i = 0; i < network->step_count; i++) {
        network->steps[i].call.mask = mask;
    }
}

void double_run(double_network *network) {
    for (size_t i = 0; i < network->step_count; i++) {
        network->steps[i].run(&network->steps[i].call);
    }
}

void double_rerun(double_network *network, const pare_value *changed) {
    size_t count = network->graph->value_count;
    bool *dirty = calloc(count + 1, sizeof *dirty);
    assert_non_null(dirty);
    dirty[double_find(network, changed) - network->tensors] = true;
    for (size_t i = 0; i < network->step_count; i++) {
        const double_step *step = &network->steps[i];
        bool again = false;
        for (size_t k = 0; k < step->call.x_count; k++) {
            again = again || (step->call.x[k] != NULL && dirty[step->call.x[k] - network->tensors]);
        }
        if (again) {
            step->run(&step->call);
            for (size_t k = 0; k < step->call.y_count; k++) {
                if (step->call.y[k] != NULL) {
                    dirty[step->call.y[k] - network->tensors] = true;
                }
            }
        }
    }
    free(dirty);
}
