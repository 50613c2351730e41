#include "pare/latency.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pare/memory.h"
#include "pare/random.h"

struct pare_latency_probe {
    pare_session *session;
    pare_input *inputs;
    pare_output_buffer *outputs;
    size_t input_count, output_count;
};

double pare_milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pare_quantile(double *values, size_t count, double q) {
    qsort(values, count, sizeof *values, compare);
    double at = q * (double)(count - 1);
    size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
    return values[below] + (at - (double)below) * (values[above] - values[below]);
}

void pare_latency_close(pare_latency_probe *probe) {
    if (probe == NULL) {
        return;
    }
    for (size_t i = 0; probe->inputs != NULL && i < probe->input_count; i++) {
        pare_free((void *)(uintptr_t)probe->inputs[i].data);
    }
    for (size_t i = 0; probe->outputs != NULL && i < probe->output_count; i++) {
        pare_free(probe->outputs[i].data);
    }
    pare_free(probe->inputs);
    pare_free(probe->outputs);
    pare_session_free(probe->session);
    pare_free(probe);
}

/* Floats in [0, 1); integers (token ids) 0, which every table has. */
static void fill(void *data, const pare_port *port, pare_random *random) {
    if (port->dtype != PARE_F32) {
        memset(data, 0, port->bytes);
        return;
    }
    float *values = data;
    for (size_t i = 0; i < port->bytes / sizeof *values; i++) {
        values[i] = (float)pare_random_unit(random);
    }
}

static pare_status make_buffers(pare_latency_probe *p, pare_error *error) {
    pare_random random;
    pare_random_seed(&random, 1);
    p->input_count = pare_session_input_count(p->session);
    p->output_count = pare_session_output_count(p->session);
    p->inputs = pare_alloc_zero(p->input_count, sizeof *p->inputs);
    p->outputs = pare_alloc_zero(p->output_count, sizeof *p->outputs);
    if (p->inputs == NULL || p->outputs == NULL) {
        return pare_fail_memory(error, p->input_count * sizeof *p->inputs);
    }
    for (size_t i = 0; i < p->input_count; i++) {
        pare_port port = pare_session_input(p->session, i);
        void *data = pare_alloc(port.bytes);
        if (data == NULL) {
            return pare_fail_memory(error, port.bytes);
        }
        fill(data, &port, &random);
        p->inputs[i] = (pare_input){data, port.bytes};
    }
    for (size_t i = 0; i < p->output_count; i++) {
        size_t bytes = pare_session_output(p->session, i).bytes;
        p->outputs[i] = (pare_output_buffer){pare_alloc(bytes), bytes};
        if (p->outputs[i].data == NULL) {
            return pare_fail_memory(error, bytes);
        }
    }
    return PARE_OK;
}

pare_status pare_latency_open(pare_model *model, const pare_session_options *options, pare_latency_probe **probe,
                              double *session_ms, pare_error *error) {
    pare_latency_probe *p = pare_alloc_zero(1, sizeof *p);
    if (p == NULL) {
        return pare_fail_memory(error, sizeof *p);
    }
    double began = pare_milliseconds_now();
    pare_status status = pare_session_create(model, options, &p->session, error);
    *session_ms = pare_milliseconds_now() - began;
    if (status == PARE_OK) {
        status = make_buffers(p, error);
    }
    if (status != PARE_OK) {
        pare_latency_close(p);
        return status;
    }
    *probe = p;
    return PARE_OK;
}

pare_status pare_latency_measure(pare_latency_probe *probe, double *milliseconds, pare_error *error) {
    double began = pare_milliseconds_now();
    pare_status status =
        pare_session_run(probe->session, probe->inputs, probe->input_count, probe->outputs, probe->output_count, error);
    *milliseconds = pare_milliseconds_now() - began;
    return status;
}

pare_session *pare_latency_session(pare_latency_probe *probe) {
    return probe->session;
}
