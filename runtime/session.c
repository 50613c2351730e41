#include <omp.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "plan.h"

#define MOST_BATCH 65536
#define MOST_THREADS 1024
#define DEFAULT_ARENA_LIMIT (UINT64_C(4) << 30)
#define LIVE UINT64_C(0x5041524553455353) /* "PARESESS": tells a session from freed or foreign memory */

struct pare_session {
    uint64_t canary;
    atomic_flag busy;
    int timing;
    pare_plan plan;
    pare_observe observe;
    void *observe_context;
    void *observed; /* a plain copy of what lies in another layout */
};

static bool alive(const pare_session *session) {
    return session != NULL && session->canary == LIVE;
}

/* --- options -------------------------------------------------------------- */

static pare_status read_options(const pare_session_options *given, pare_session_options *options, pare_error *error) {
    *options = (pare_session_options){.struct_size = sizeof *options};
    if (given != NULL) {
        size_t size = given->struct_size;
        if (size < sizeof size || size > 65536) {
            return pare_fail(error, PARE_USAGE, "expected pare_session_options.struct_size %zu, found %zu",
                             sizeof *options, size);
        }
        memcpy(options, given, size < sizeof *options ? size : sizeof *options);
        for (size_t i = sizeof *options; i < size; i++) {
            if (((const unsigned char *)given)[i] != 0) {
                return pare_fail(error, PARE_USAGE,
                                 "expected options that version %s knows, found byte %zu of a newer struct set",
                                 pare_version(), i);
            }
        }
    }
    if (options->batch < 0 || options->batch > MOST_BATCH) {
        return pare_fail(error, PARE_USAGE, "expected a batch of 1 to %d, found %lld", MOST_BATCH,
                         (long long)options->batch);
    }
    if (options->threads < 0 || options->threads > MOST_THREADS) {
        return pare_fail(error, PARE_USAGE, "expected 1 to %d threads, found %d", MOST_THREADS, (int)options->threads);
    }
    if (options->isa < PARE_ISA_BEST || options->isa > PARE_ISA_AVX512_VNNI) {
        return pare_fail(error, PARE_USAGE, "expected an instruction set of 0 to %d, found %d", PARE_ISA_AVX512_VNNI,
                         (int)options->isa);
    }
    return PARE_OK;
}

static void set_plan(pare_plan *plan, pare_model *model, const pare_session_options *options) {
    pare_isa best = pare_cpu_isa();
    plan->model = model;
    plan->batch = options->batch == 0 ? 1 : options->batch;
    plan->threads = options->threads == 0 ? pare_default_threads() : options->threads;
    plan->reference = options->reference != 0;
    plan->isa = options->isa == PARE_ISA_BEST || options->isa > best ? best : options->isa;
    plan->arena_limit = options->arena_limit == 0 ? DEFAULT_ARENA_LIMIT : options->arena_limit;
}

/* --- life ----------------------------------------------------------------- */

static pare_status make_observed(pare_session *session, pare_error *error) {
    size_t most = 0;
    for (size_t i = 0; i < session->plan.value_count; i++) {
        const pare_value *value = &session->plan.values[i];
        if (value->layout != PARE_LAYOUT_PLAIN && value->bytes > most) {
            most = value->bytes;
        }
    }
    session->observed = pare_alloc(most);
    return session->observed != NULL ? PARE_OK : pare_fail_memory(error, most);
}

/* Threads of OpenMP that a library asks for by itself: ours, and the caller's again afterwards. */
typedef struct omp_settings {
    int dynamic, threads;
} omp_settings;

static omp_settings enter_omp(int32_t threads) {
    omp_settings saved = {omp_get_dynamic(), omp_get_max_threads()};
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    return saved;
}

static void leave_omp(omp_settings saved) {
    omp_set_dynamic(saved.dynamic);
    omp_set_num_threads(saved.threads);
}

pare_status pare_session_create(pare_model *model, const pare_session_options *options, pare_session **session,
                                pare_error *error) {
    pare_session_options chosen;
    if (session == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a place for the session, found NULL");
    }
    *session = NULL;
    if (model == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a model, found NULL");
    }
    PARE_TRY(read_options(options, &chosen, error));
    pare_session *made = pare_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return pare_fail_memory(error, sizeof *made);
    }
    made->canary = LIVE;
    atomic_flag_clear(&made->busy);
    made->observe = chosen.observe;
    made->observe_context = chosen.observe_context;
    set_plan(&made->plan, pare_model_retain(model), &chosen);
    omp_settings saved = enter_omp(made->plan.threads);
    pare_status status = pare_threads_start(made->plan.threads, error);
    if (status == PARE_OK) {
        status = pare_plan_build(&made->plan, error);
    }
    leave_omp(saved);
    if (status == PARE_OK && made->observe != NULL) {
        status = make_observed(made, error);
    }
    if (status != PARE_OK) {
        pare_session_free(made);
        return status;
    }
    *session = made;
    return PARE_OK;
}

void pare_session_free(pare_session *session) {
    if (!alive(session)) {
        return;
    }
    session->canary = 0;
    pare_plan_free(&session->plan);
    pare_model_release(session->plan.model);
    pare_free(session->observed);
    pare_free(session);
}

/* --- a run ---------------------------------------------------------------- */

static pare_status check_buffer(const char *what, size_t index, const void *data, size_t bytes, const pare_port *port,
                                pare_error *error) {
    if (bytes != port->bytes) {
        char shape[200];
        return pare_fail(error, PARE_USAGE, "%s %zu \"%s\": expected %zu bytes (%s of %s), found %zu", what, index,
                         port->name, port->bytes, pare_shape_text(&port->shape, shape, sizeof shape),
                         pare_dtype_name(port->dtype), bytes);
    }
    if (data == NULL && bytes > 0) {
        return pare_fail(error, PARE_USAGE, "%s %zu \"%s\": expected a buffer, found NULL", what, index, port->name);
    }
    size_t alignment = pare_dtype_bytes(port->dtype);
    if (alignment > 1 && (uintptr_t)data % alignment != 0) {
        return pare_fail(error, PARE_USAGE, "%s %zu \"%s\": expected a buffer aligned to %zu bytes, found %p", what,
                         index, port->name, alignment, data);
    }
    return PARE_OK;
}

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    uintptr_t first = (uintptr_t)a;
    uintptr_t second = (uintptr_t)b;
    return a_bytes > 0 && b_bytes > 0 && first < second + b_bytes && second < first + a_bytes;
}

static pare_status check_buffers(const pare_session *session, const pare_input *inputs, size_t input_count,
                                 const pare_output_buffer *outputs, size_t output_count, pare_error *error) {
    if (input_count != session->plan.model->input_count || output_count != session->plan.model->output_count) {
        return pare_fail(error, PARE_USAGE, "expected %u inputs and %u outputs, found %zu and %zu",
                         session->plan.model->input_count, session->plan.model->output_count, input_count,
                         output_count);
    }
    if ((inputs == NULL && input_count > 0) || (outputs == NULL && output_count > 0)) {
        return pare_fail(error, PARE_USAGE, "expected arrays of inputs and outputs, found NULL");
    }
    for (size_t i = 0; i < input_count; i++) {
        pare_port port = pare_session_input(session, i);
        PARE_TRY(check_buffer("input", i, inputs[i].data, inputs[i].bytes, &port, error));
    }
    for (size_t o = 0; o < output_count; o++) {
        pare_port port = pare_session_output(session, o);
        PARE_TRY(check_buffer("output", o, outputs[o].data, outputs[o].bytes, &port, error));
        for (size_t i = 0; i < input_count; i++) {
            if (overlap(outputs[o].data, outputs[o].bytes, inputs[i].data, inputs[i].bytes)) {
                return pare_fail(error, PARE_USAGE, "expected separate buffers, found output %zu over input %zu", o, i);
            }
        }
        for (size_t p = 0; p < o; p++) {
            if (overlap(outputs[o].data, outputs[o].bytes, outputs[p].data, outputs[p].bytes)) {
                return pare_fail(error, PARE_USAGE, "expected separate buffers, found output %zu over output %zu", o,
                                 p);
            }
        }
    }
    return PARE_OK;
}

static void set_addresses(pare_plan *plan, const pare_input *inputs, const pare_output_buffer *outputs) {
    for (size_t i = 0; i < plan->value_count; i++) {
        pare_value *value = &plan->values[i];
        if (value->parent == i && value->kind == PARE_VALUE_INPUT) {
            memcpy(&value->address, &inputs[value->port].data, sizeof(void *)); /* only read, though not const here */
        } else if (value->parent == i && value->kind == PARE_VALUE_OUTPUT) {
            value->address = outputs[value->port].data;
        }
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        const pare_step *step = &plan->steps[s];
        for (uint32_t i = 0; i < step->input_count; i++) {
            uint32_t v = step->inputs[i];
            step->input_addresses[i] = v == PARE_NONE ? NULL : plan->values[pare_plan_root(plan, v)].address;
        }
        for (uint32_t i = 0; i < step->output_count; i++) {
            uint32_t v = step->outputs[i];
            step->output_addresses[i] = v == PARE_NONE ? NULL : plan->values[pare_plan_root(plan, v)].address;
        }
    }
}

static void observe_value(const pare_session *session, uint32_t index) {
    const pare_value *value = &session->plan.values[index];
    const void *data = session->plan.values[pare_plan_root(&session->plan, index)].address;
    if (value->layout != PARE_LAYOUT_PLAIN) {
        pare_reorder(data, value->layout, session->observed, PARE_LAYOUT_PLAIN, &value->shape, value->dtype,
                     session->plan.threads);
        data = session->observed;
    }
    session->observe(session->observe_context, value->tensor, session->plan.model->tensors[value->tensor].name,
                     value->dtype, &value->shape, data);
}

static pare_status run_step(const pare_plan *plan, const pare_step *step, pare_error *error) {
    if (step->kind == PARE_STEP_ALIAS) {
        return PARE_OK;
    }
    if (step->kind == PARE_STEP_REORDER) {
        const pare_value *from = &plan->values[step->inputs[0]];
        const pare_value *to = &plan->values[step->outputs[0]];
        pare_reorder(step->input_addresses[0], from->layout, step->output_addresses[0], to->layout, &from->shape,
                     from->dtype, plan->threads);
        return PARE_OK;
    }
    pare_call call = {.inputs = step->input_addresses,
                      .outputs = step->output_addresses,
                      .scratch = step->scratch_bytes > 0 ? plan->arena + step->scratch_offset : NULL,
                      .threads = plan->threads};
    pare_status status = step->kernel->run(step->state, &call, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "node \"%s\" (%s): ", step->node->name, pare_opcode_label(step->node->opcode));
    }
    return status;
}

static double microseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static pare_status run_steps(pare_session *session, pare_error *error) {
    pare_plan *plan = &session->plan;
    for (size_t s = 0; s < plan->step_count; s++) {
        pare_step *step = &plan->steps[s];
        double start = session->timing ? microseconds_now() : 0.0;
        PARE_TRY(run_step(plan, step, error));
        if (session->timing) {
            step->microseconds = microseconds_now() - start;
        }
        for (uint32_t i = 0; session->observe != NULL && i < step->output_count; i++) {
            if (step->kind != PARE_STEP_REORDER && step->outputs[i] != PARE_NONE) {
                observe_value(session, step->outputs[i]);
            }
        }
    }
    return PARE_OK;
}

pare_status pare_session_run(pare_session *session, const pare_input *inputs, size_t input_count,
                             const pare_output_buffer *outputs, size_t output_count, pare_error *error) {
    if (!alive(session)) {
        return pare_fail(error, PARE_USAGE, "expected a session, found %s",
                         session == NULL ? "NULL" : "one that was freed");
    }
    PARE_TRY(check_buffers(session, inputs, input_count, outputs, output_count, error));
    if (atomic_flag_test_and_set(&session->busy)) {
        return pare_fail(error, PARE_USAGE, "expected a session that no other thread is running, found it busy");
    }
    omp_settings saved = enter_omp(session->plan.threads);
    pare_status status = pare_threads_start(session->plan.threads, error);
    set_addresses(&session->plan, inputs, outputs);
    for (uint32_t i = 0; status == PARE_OK && session->observe != NULL && i < session->plan.model->input_count; i++) {
        observe_value(session, session->plan.model->inputs[i]);
    }
    if (status == PARE_OK) {
        status = run_steps(session, error);
    }
    leave_omp(saved);
    atomic_flag_clear(&session->busy);
    return status;
}

/* --- reports -------------------------------------------------------------- */

static pare_port port_of(const pare_session *session, uint32_t tensor) {
    const pare_value *value = &session->plan.values[tensor];
    return (pare_port){.name = session->plan.model->tensors[tensor].name,
                       .dtype = value->dtype,
                       .shape = value->shape,
                       .bytes = pare_layout_bytes(PARE_LAYOUT_PLAIN, &value->shape, value->dtype)};
}

size_t pare_session_input_count(const pare_session *session) {
    return alive(session) ? session->plan.model->input_count : 0;
}

size_t pare_session_output_count(const pare_session *session) {
    return alive(session) ? session->plan.model->output_count : 0;
}

pare_port pare_session_input(const pare_session *session, size_t index) {
    if (index >= pare_session_input_count(session)) {
        return (pare_port){.name = NULL};
    }
    return port_of(session, session->plan.model->inputs[index]);
}

pare_port pare_session_output(const pare_session *session, size_t index) {
    if (index >= pare_session_output_count(session)) {
        return (pare_port){.name = NULL};
    }
    return port_of(session, session->plan.model->outputs[index]);
}

pare_session_stats pare_session_statistics(const pare_session *session) {
    if (!alive(session)) {
        return (pare_session_stats){0};
    }
    return (pare_session_stats){.arena_bytes = session->plan.arena_bytes,
                                .packed_bytes = session->plan.packed_bytes,
                                .node_count = session->plan.step_count,
                                .reorder_count = session->plan.reorder_count,
                                .threads = session->plan.threads};
}

pare_step_info pare_session_step(const pare_session *session, size_t index) {
    if (!alive(session) || index >= session->plan.step_count) {
        return (pare_step_info){.node = NULL};
    }
    const pare_step *step = &session->plan.steps[index];
    const char *kernel = step->kind == PARE_STEP_REORDER ? "reorder"
                         : step->kind == PARE_STEP_ALIAS ? "alias"
                                                         : step->kernel->name;
    return (pare_step_info){.node = step->node != NULL ? step->node->name : "output",
                            .kernel = kernel,
                            .opcode = step->node != NULL ? step->node->opcode : 0,
                            .last_microseconds = step->microseconds};
}

void pare_session_set_timing(pare_session *session, int on) {
    if (alive(session)) {
        session->timing = on;
    }
}
