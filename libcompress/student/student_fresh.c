/* Fresh weights: He initialization, seeded. */
#include <math.h>

#include "pare/random.h"
#include "student/student_internal.h"

/* fan-in: the weights of one output channel. */
static void draw(pare_random *random, const pare_value *weights, int32_t axis, float *data) {
    size_t count = weights->data_bytes / sizeof *data, extent = (size_t)weights->shape.dims[axis];
    double deviation = extent > 0 && count >= extent ? sqrt(2.0 * (double)extent / (double)count) : 0;
    for (size_t i = 0; i < count; i++) {
        data[i] = (float)(deviation * pare_random_normal(random));
    }
}

static float *fresh_data(pare_graph *graph, pare_value *value) {
    float *data = pare_arena_alloc(&graph->arena, value->data_bytes + 1, 1);
    if (data != NULL) {
        value->data = data;
    }
    return data;
}

pare_status student_initialize(pare_graph *graph, uint64_t seed, pare_error *error) {
    pare_channels *channels = NULL;
    pare_random random;
    const pare_value *found = NULL;
    int32_t axis = 0;
    float initial = 0;
    pare_status status = PARE_OK;
    pare_random_seed(&random, seed);
    PARE_TRY(pare_channels_find(graph, &channels, error));
    for (size_t i = 0; status == PARE_OK && pare_channels_parameter(channels, i, &found, &initial); i++) {
        float *data = fresh_data(graph, pare_graph_find_value(graph, found->name));
        for (size_t e = 0; data != NULL && e < found->data_bytes / sizeof *data; e++) {
            data[e] = initial;
        }
        status = data != NULL ? PARE_OK : pare_fail_memory(error, found->data_bytes);
    }
    for (size_t i = 0; status == PARE_OK && pare_channels_weight(channels, i, &found, &axis); i++) {
        float *data = fresh_data(graph, pare_graph_find_value(graph, found->name));
        if (data == NULL) {
            status = pare_fail_memory(error, found->data_bytes);
        } else {
            draw(&random, found, axis, data);
        }
    }
    pare_channels_free(channels);
    return status;
}
