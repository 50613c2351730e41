/* Executes a pare_model: everything an application on the device needs is here
 * and in pare/model.h (opening a file).
 *
 *     pare_model *model; pare_session *session; pare_error error;
 *     pare_model_open("net.pare", NULL, &model, &error);
 *     pare_session_create(model, NULL, &session, &error);
 *     pare_session_run(session, &input, 1, &output, 1, &error);
 *     pare_session_free(session);
 *     pare_model_release(model);
 *
 * A model is immutable and shared; a session belongs to one thread at a time
 * (a second thread that calls run meanwhile gets PARE_USAGE). */
#ifndef PARE_RUNTIME_H
#define PARE_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "pare/model.h"
#include "pare/status.h"
#include "pare/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pare_session pare_session;

/* The instruction sets that Pare's own kernels know. Integer results are the
 * same bits on each. */
typedef enum pare_isa {
    PARE_ISA_BEST = 0, /* whatever this CPU has */
    PARE_ISA_SCALAR = 1,
    PARE_ISA_AVX2 = 2,
    PARE_ISA_AVX512_VNNI = 3
} pare_isa;

/* What was just computed, in the plain row-major layout of `shape` (bound).
 * `data` is valid during the call only. */
typedef void (*pare_observe)(void *context, uint32_t tensor, const char *name, pare_dtype dtype,
                             const pare_shape *shape, const void *data);

/* Zero-initialise, set struct_size to sizeof, then what is needed. */
typedef struct pare_session_options {
    size_t struct_size;
    int64_t batch;        /* samples a run, 1 to 65,536; 0 is 1 */
    int32_t threads;      /* 0: the physical cores that this process may use */
    int32_t reference;    /* 1: only the plain C reference kernels */
    pare_isa isa;         /* highest instruction set of Pare's own kernels */
    uint64_t arena_limit; /* bytes of activations and scratch, of ports, of folded constants; 0 is 4 GiB */
    pare_observe observe; /* called for each tensor as it is computed; may be NULL */
    void *observe_context;
} pare_session_options;

/* A caller's buffer: exactly the bytes of the bound shape, aligned to its
 * element. Inputs and outputs must not overlap. */
typedef struct pare_input {
    const void *data;
    size_t bytes;
} pare_input;
typedef struct pare_output_buffer {
    void *data;
    size_t bytes;
} pare_output_buffer;

/* Plans, chooses kernels and packs weights. Holds a reference to `model`.
 * `options` may be NULL. PARE_USAGE, PARE_UNSUPPORTED, PARE_LIMIT. */
pare_status pare_session_create(pare_model *model, const pare_session_options *options, pare_session **session,
                                pare_error *error);
/* Accepts NULL. */
void pare_session_free(pare_session *session);

/* Runs one batch: inputs and outputs in the model's order. NaN inputs of an
 * integer network quantize to the zero point. */
pare_status pare_session_run(pare_session *session, const pare_input *inputs, size_t input_count,
                             const pare_output_buffer *outputs, size_t output_count, pare_error *error);

/* A model input or output with the batch bound. */
typedef struct pare_port {
    const char *name;
    pare_dtype dtype;
    pare_shape shape;
    size_t bytes;
} pare_port;

size_t pare_session_input_count(const pare_session *session);
size_t pare_session_output_count(const pare_session *session);
/* `index` must be below the count. */
pare_port pare_session_input(const pare_session *session, size_t index);
pare_port pare_session_output(const pare_session *session, size_t index);

typedef struct pare_session_stats {
    size_t arena_bytes;   /* activations and scratch */
    size_t packed_bytes;  /* weights as the kernels want them */
    size_t node_count;    /* planned steps, reorders included */
    size_t reorder_count; /* layout changes among them */
    int32_t threads;
} pare_session_stats;
pare_session_stats pare_session_statistics(const pare_session *session);

/* Step `index` of the plan: its node's name, its kernel's name. For reports. */
typedef struct pare_step_info {
    const char *node;
    const char *kernel;
    uint32_t opcode;
    double last_microseconds; /* of the last run made with timing on */
} pare_step_info;
pare_step_info pare_session_step(const pare_session *session, size_t index);
/* Switches the timing of each step on or off. */
void pare_session_set_timing(pare_session *session, int on);

/* What `threads` of 0 stands for: the physical cores that this process may use, 1 to 64. */
int32_t pare_default_threads(void);

/* "0.1.0" */
const char *pare_version(void);
/* "oneDNN 2.6.3" or "none". Static. */
const char *pare_backend(void);

#ifdef __cplusplus
}
#endif
#endif
