/* Steps that come from what the runtime computes for a node: a node that no
 * parameter reaches runs there, and the map of an operator that moves elements is
 * read off the result for the numbers of its input's elements. */
#include <math.h>

#include "ir/lone_node.h"
#include "pare/lower.h"
#include "pare/runtime.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"

typedef struct lone_session {
    pare_graph *graph;
    pare_model *model;
    pare_session *session;
} lone_session;

static void close_session(void *object) {
    lone_session *s = object;
    pare_session_free(s->session);
    pare_model_release(s->model);
    pare_graph_free(s->graph);
}

static pare_status open_session(const pare_node *node, int32_t opset, int64_t batch, lone_session *s,
                                pare_error *error) {
    pare_lower_options lower = {.keep_values = true};
    pare_session_options options = {.struct_size = sizeof options, .batch = batch};
    *s = (lone_session){0};
    PARE_TRY(pare_graph_create(0, &s->graph, error));
    s->graph->opset = opset;
    pare_status status = pare_lone_node(node, s->graph, error);
    if (status == PARE_OK) {
        status = pare_graph_lower_with(s->graph, &lower, &s->model, error);
    }
    return status == PARE_OK ? pare_session_create(s->model, &options, &s->session, error) : status;
}

/* --- fixed nodes ---------------------------------------------------------------------- */

typedef struct fixed_attrs {
    lone_session lone;
    pare_input *inputs;
    pare_output_buffer *outputs;
    size_t input_count, output_count;
} fixed_attrs;

/* pointers: inputs, outputs */
static pare_status run_fixed(void *context, void *const *pointers) {
    const fixed_attrs *f = context;
    for (size_t i = 0; i < f->input_count; i++) {
        f->inputs[i].data = pointers[i];
    }
    for (size_t i = 0; i < f->output_count; i++) {
        f->outputs[i].data = pointers[f->input_count + i];
    }
    pare_error ignored;
    return pare_session_run(f->lone.session, f->inputs, f->input_count, f->outputs, f->output_count, &ignored);
}

static pare_status fixed_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    fixed_attrs *f = *(fixed_attrs *const *)step->attrs;
    uint32_t *buffers = tape_make(tape, f->input_count + f->output_count + 1, sizeof *buffers);
    if (buffers == NULL) {
        return pare_fail_memory(error, sizeof *buffers);
    }
    tape_place place;
    for (size_t i = 0; i < f->input_count; i++) {
        PARE_TRY(tape_value_as(tape, step->inputs[i], NULL, &place, error));
        buffers[i] = place.buffer;
    }
    for (size_t i = 0; i < f->output_count; i++) {
        PARE_TRY(tape_new_value(tape, step->outputs[i], NULL, &place, error));
        buffers[f->input_count + i] = place.buffer;
    }
    return tape_emit(tape, step, run_fixed, NULL, f, buffers, f->input_count + f->output_count, error);
}

static const tape_step_class fixed_class = {"runtime", false, fixed_forward, NULL};

static pare_status describe_fixed(pare_tape *tape, const pare_node *node, fixed_attrs *f, uint32_t *tensors,
                                  pare_error *error) {
    f->input_count = pare_session_input_count(f->lone.session);
    f->output_count = pare_session_output_count(f->lone.session);
    f->inputs = tape_make(tape, f->input_count + 1, sizeof *f->inputs);
    f->outputs = tape_make(tape, f->output_count + 1, sizeof *f->outputs);
    if (f->inputs == NULL || f->outputs == NULL) {
        return pare_fail_memory(error, sizeof *f->inputs);
    }
    for (size_t i = 0; i < f->input_count; i++) {
        f->inputs[i].bytes = pare_session_input(f->lone.session, i).bytes;
        for (size_t k = 0; k < node->input_count; k++) { /* in the lone graph's order */
            if (node->inputs[k] != NULL &&
                pare_graph_find_value(f->lone.graph, node->inputs[k]->name) == f->lone.graph->inputs[i]) {
                tensors[i] = tape_input(tape, node, k);
            }
        }
    }
    for (size_t i = 0, next = 0; i < node->output_count; i++) {
        if (pare_value_is_read(node->outputs[i])) {
            f->outputs[next].bytes = pare_session_output(f->lone.session, next).bytes;
            tensors[f->input_count + next++] = tape_output(tape, node, i);
        }
    }
    return PARE_OK;
}

pare_status tape_record_fixed(pare_tape *tape, const pare_node *node, pare_error *error) {
    fixed_attrs *f = tape_make(tape, 1, sizeof *f);
    uint32_t *tensors = tape_make(tape, node->input_count + node->output_count + 1, sizeof *tensors);
    if (f == NULL || tensors == NULL) {
        return pare_fail_memory(error, sizeof *f);
    }
    PARE_TRY(tape_defer(tape, close_session, &f->lone, error));
    PARE_TRY(open_session(node, tape->graph->opset, tape->batch, &f->lone, error));
    PARE_TRY(describe_fixed(tape, node, f, tensors, error));
    return tape_record(tape, &fixed_class, node, tensors, f->input_count, tensors + f->input_count, f->output_count, &f,
                       sizeof f, error);
}

/* --- maps of movement ------------------------------------------------------------------- */

/* Numbers that a float holds exactly. */
#define EXACT ((size_t)1 << 24)

typedef struct move_map {
    size_t samples, in, out;       /* elements of a sample */
    float *numbers, *plus, *minus; /* in, and what comes out for them and their negatives */
    int64_t *map;
    float *fill;
} move_map;

static pare_status run_once(lone_session *s, float *numbers, size_t in, float *result, size_t output, pare_arena *arena,
                            pare_error *error) {
    size_t count = pare_session_output_count(s->session);
    pare_output_buffer *outputs = pare_arena_alloc(arena, count + 1, sizeof *outputs);
    if (outputs == NULL) {
        return pare_fail_memory(error, sizeof *outputs);
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes = pare_session_output(s->session, i).bytes;
        outputs[i] = (pare_output_buffer){i == output ? (void *)result : pare_arena_alloc(arena, bytes + 1, 1), bytes};
        if (outputs[i].data == NULL) {
            return pare_fail_memory(error, bytes);
        }
    }
    pare_input input = {numbers, in * sizeof *numbers};
    return pare_session_run(s->session, &input, 1, outputs, count, error);
}

/* The same movement in each sample? Then the map of the first is enough. */
static bool is_by_sample(const move_map *m) {
    for (size_t i = 0; i < m->out; i++) {
        int64_t first = m->map[i], second = m->map[m->out + i];
        if (first < 0 ? second >= 0 || m->fill[i] != m->fill[m->out + i] : second != first + (int64_t)m->in) {
            return false;
        }
        if (first >= (int64_t)m->in) {
            return false;
        }
    }
    return true;
}

/* Where each result came from; an operator that mixes elements, though it counts as movement (Resize that
 * interpolates), gives numbers that are no element's. */
static pare_status find_sources(const pare_node *node, move_map *m, size_t in, size_t out, pare_error *error) {
    for (size_t i = 0; i < out; i++) {
        float plus = m->plus[i], minus = m->minus[i];
        bool constant = plus == minus || (plus != plus && minus != minus);
        bool moved = plus == -minus && plus >= 1.0F && plus <= (float)in && plus == floorf(plus);
        if (!constant && !moved) {
            return tape_refuse(node, error);
        }
        m->map[i] = constant ? -1 : (int64_t)plus - 1;
        m->fill[i] = constant ? plus : 0.0F;
    }
    return PARE_OK;
}

static pare_status read_map(const pare_node *node, pare_tape *tape, int64_t batch, size_t output, move_map *m,
                            pare_arena *arena, pare_error *error) {
    lone_session lone;
    size_t in = m->in * m->samples, out = m->out * m->samples;
    m->numbers = pare_arena_alloc(arena, in + 1, sizeof(float));
    m->plus = pare_arena_alloc(arena, out + 1, sizeof(float));
    m->minus = pare_arena_alloc(arena, out + 1, sizeof(float));
    m->map = pare_arena_alloc(arena, out + 1, sizeof *m->map);
    m->fill = pare_arena_alloc(arena, out + 1, sizeof(float));
    if (in > EXACT || m->numbers == NULL || m->plus == NULL || m->minus == NULL || m->map == NULL || m->fill == NULL) {
        return pare_node_fail(node, error, PARE_LIMIT, "expected at most %zu elements to be moved, found %zu", EXACT,
                              in);
    }
    pare_status status = open_session(node, tape->graph->opset, batch, &lone, error);
    for (int sign = 1; status == PARE_OK && sign >= -1; sign -= 2) {
        for (size_t i = 0; i < in; i++) {
            m->numbers[i] = (float)sign * (float)(i + 1);
        }
        status = run_once(&lone, m->numbers, in, sign > 0 ? m->plus : m->minus, output, arena, error);
    }
    close_session(&lone);
    return status == PARE_OK ? find_sources(node, m, in, out, error) : status;
}

static pare_status record_output(pare_tape *tape, const pare_node *node, size_t output, size_t nth, uint32_t x,
                                 pare_arena *arena, pare_error *error) {
    uint32_t y = tape_output(tape, node, output);
    const pare_shape *in = &node->inputs[0]->shape, *out = &node->outputs[output]->shape;
    size_t all_in = tape_tensor_at(tape, x)->elements, all_out = tape_tensor_at(tape, y)->elements;
    bool open = in->rank > 0 && out->rank > 0 && in->dims[0] == -1 && out->dims[0] == -1;
    if (open && tape->batch > 1) {
        size_t batch = (size_t)tape->batch;
        move_map two = {.samples = 2, .in = all_in / batch, .out = all_out / batch};
        PARE_TRY(read_map(node, tape, 2, nth, &two, arena, error));
        if (is_by_sample(&two)) {
            return tape_move(tape, node, batch, two.map, two.fill, x, y, error);
        }
    }
    move_map all = {.samples = 1, .in = all_in, .out = all_out};
    PARE_TRY(read_map(node, tape, tape->batch, nth, &all, arena, error));
    return tape_move(tape, node, 1, all.map, all.fill, x, y, error);
}

pare_status tape_record_move(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_arena arena;
    uint32_t x = tape_input(tape, node, 0);
    for (size_t i = 1; i < node->input_count; i++) {
        if (node->inputs[i] != NULL && node->inputs[i]->data == NULL) {
            return tape_refuse(node, error);
        }
    }
    pare_arena_init(&arena, (size_t)4 << 30);
    pare_status status = PARE_OK;
    for (size_t i = 0, nth = 0; status == PARE_OK && i < node->output_count; i++) {
        if (pare_value_is_read(node->outputs[i])) {
            status = record_output(tape, node, i, nth++, x, &arena, error);
        }
    }
    pare_arena_free(&arena);
    return status;
}
