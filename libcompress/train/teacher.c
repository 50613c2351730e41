/* The teacher runs in the runtime, beside the student, or its outputs for the
 * whole set are computed once. */
#include "train/teacher.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "pare/lower.h"
#include "pare/memory.h"
#include "pare/runtime.h"
#include "train/tape/tape_loss.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"
#include "train/teacher_cache.h"

#define MOST_HINTS 14

typedef struct teacher_hint_target {
    uint32_t tensor; /* the tape's input */
    size_t output;   /* of the session */
} teacher_hint_target;

struct pare_teacher {
    pare_graph *graph; /* a copy whose outputs are also what the hints name; NULL for a container */
    pare_model *model;
    pare_session *session;
    pare_output_buffer outputs[MOST_HINTS + 1];
    size_t output_count;
    pare_loss_kind kind; /* of the student: whether logits are wanted of a teacher that ends in Softmax or Sigmoid */
    bool softmax, sigmoid;
    uint32_t tensor;
    size_t rows, classes;
    teacher_hint_target hints[MOST_HINTS];
    size_t hint_count;
    float *cache; /* [samples of the set, values of one], or NULL */
    size_t cached_values;
};

/* --- creation ------------------------------------------------------------------------- */

static pare_status check_options(const pare_distill_options *o, pare_error *error) {
    if (!(o->temperature > 0.0) || !isfinite(o->temperature)) {
        return pare_fail(error, PARE_USAGE, "expected a temperature above 0, found %g", o->temperature);
    }
    if (!(o->alpha >= 0.0 && o->alpha <= 1.0)) {
        return pare_fail(error, PARE_USAGE, "expected an alpha from 0 to 1, found %g", o->alpha);
    }
    if (!(o->until >= 0.0 && o->until <= 1.0)) {
        return pare_fail(error, PARE_USAGE,
                         "expected a share of 0 to 1 of the run until which the teacher's losses fade, found %g",
                         o->until);
    }
    if (o->hint_count > MOST_HINTS) {
        return pare_fail(error, PARE_USAGE, "expected at most %d hints, found %zu", MOST_HINTS, o->hint_count);
    }
    if (o->hint_count > 0 && o->teacher == NULL) {
        return pare_fail(
            error, PARE_USAGE,
            "expected a teacher that is an ONNX file for hints, found a .pare file: it keeps no inner values");
    }
    if (o->hint_count > 0 && o->cache != NULL) {
        return pare_fail(error, PARE_USAGE, "a cache keeps the teacher's outputs, not the values that hints need");
    }
    return PARE_OK;
}

static float number_of(const float *numbers, int32_t count, int32_t channel, float otherwise) {
    float number = count == 0 ? otherwise : numbers[channel < count ? channel : 0];
    return number == 0 ? otherwise : number;
}

/* The first thing in which two records make other inputs of the same sample, or NULL. `plain`: the samples have no
 * channels to speak of. */
static const char *difference(const pare_preprocess *a, const pare_preprocess *b, bool plain) {
    bool color = a->color == b->color || plain;
    bool layout = a->layout == b->layout || plain || (color && a->color == PARE_COLOR_GRAY),
         scale = (a->scale == 0 ? 1 : a->scale) == (b->scale == 0 ? 1 : b->scale);
    const int32_t counts[] = {a->mean_count, b->mean_count, a->std_count, b->std_count};
    int32_t channels = 1;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        channels = counts[i] > channels ? counts[i] : channels;
    }
    for (int32_t c = 0; c < channels; c++) {
        if (number_of(a->mean, a->mean_count, c, 0) != number_of(b->mean, b->mean_count, c, 0)) {
            return "mean";
        }
        if (number_of(a->std, a->std_count, c, 1) != number_of(b->std, b->std_count, c, 1)) {
            return "std";
        }
    }
    return !layout                  ? "layout"
           : !scale                 ? "scale"
           : a->resize != b->resize ? "resize"
           : a->crop != b->crop     ? "crop"
           : !color                 ? "color"
                                    : NULL;
}

static pare_status check_samples(const pare_distill_options *o, const pare_preprocess *student, pare_dataset *data,
                                 pare_error *error) {
    pare_sample_info info = pare_dataset_info(data);
    bool plain = !info.image || info.shape.dims[2] == 1;
    const char *what = o->teacher_preprocess != NULL ? difference(o->teacher_preprocess, student, plain) : NULL;
    return what == NULL ? PARE_OK
                        : pare_fail(error, PARE_USAGE,
                                    "expected a teacher that takes the student's samples, found another \"%s\" in its "
                                    "preprocessing: both see the same batches",
                                    what);
}

pare_value *teacher_find_value(const pare_graph *graph, const char *name) {
    pare_value *value = pare_graph_find_value(graph, name);
    for (const pare_node *node = graph->first; value == NULL && node != NULL; node = node->next) {
        value = node->output_count > 0 && strcmp(node->name, name) == 0 ? node->outputs[0] : NULL;
    }
    return value != NULL && value->data == NULL && !value->is_input ? value : NULL;
}

/* The inner values that hints name become outputs. */
static pare_status add_hint_outputs(pare_teacher *t, const pare_distill_options *o, pare_error *error) {
    for (size_t i = 0; i < o->hint_count; i++) {
        pare_value *value = teacher_find_value(t->graph, o->hints[i].teacher);
        if (value == NULL) {
            return pare_fail(
                error, PARE_USAGE,
                "hint %s=%s: expected the name of a node or of what it computes in the teacher, found \"%s\"",
                o->hints[i].student, o->hints[i].teacher, o->hints[i].teacher);
        }
        size_t at = 0;
        while (at < t->graph->output_count && t->graph->outputs[at] != value) {
            at++;
        }
        if (at == t->graph->output_count && !pare_graph_add_output(t->graph, value)) {
            return pare_fail_memory(error, sizeof value);
        }
        t->hints[i] = (teacher_hint_target){.tensor = TAPE_NONE, .output = at};
    }
    return PARE_OK;
}

static pare_status lower(pare_teacher *t, const pare_distill_options *o, pare_error *error) {
    if (o->teacher == NULL) {
        t->model = pare_model_retain(o->teacher_model);
        return PARE_OK;
    }
    PARE_TRY(pare_graph_clone(o->teacher, &t->graph, error));
    PARE_TRY(add_hint_outputs(t, o, error));
    return pare_graph_lower(t->graph, &t->model, error);
}

static const pare_activation *activation_of(const pare_model_node *node) {
    switch (node->opcode) {
    case PARE_OP_UNARY:
        return &((const pare_unary_attrs *)node->attrs)->function;
    case PARE_OP_CONV:
        return &((const pare_conv_attrs *)node->attrs)->activation;
    case PARE_OP_FULLY_CONNECTED:
        return &((const pare_fully_connected_attrs *)node->attrs)->activation;
    case PARE_OP_BINARY:
        return &((const pare_binary_attrs *)node->attrs)->activation;
    default:
        return NULL;
    }
}

/* What its last node says of its first output. */
static void find_ending(pare_teacher *t) {
    for (uint32_t i = 0; i < t->model->node_count; i++) {
        const pare_model_node *node = &t->model->nodes[i];
        if (node->outputs[0] == t->model->outputs[0]) {
            const pare_activation *activation = activation_of(node);
            t->softmax = node->opcode == PARE_OP_SOFTMAX && ((const pare_softmax_attrs *)node->attrs)->logarithm == 0;
            t->sigmoid = activation != NULL && activation->function == PARE_FN_SIGMOID;
        }
    }
}

static pare_status check_input(const pare_teacher *t, const pare_shape *input, size_t batch, pare_error *error) {
    pare_port port = pare_session_input(t->session, 0);
    size_t elements = 0;
    if (pare_session_input_count(t->session) != 1 || port.dtype != PARE_F32 || !pare_shape_elements(input, &elements) ||
        port.bytes != elements * batch * sizeof(float)) {
        char text[160];
        return pare_fail(error, PARE_USAGE, "expected a teacher of one input like the student's, found %s",
                         pare_shape_text(&port.shape, text, sizeof text));
    }
    return PARE_OK;
}

static pare_status open_session(pare_teacher *t, const pare_shape *input, size_t batch, int32_t threads,
                                pare_error *error) {
    pare_session_options options = {.struct_size = sizeof options, .batch = (int64_t)batch, .threads = threads};
    PARE_TRY(pare_session_create(t->model, &options, &t->session, error));
    PARE_TRY(check_input(t, input, batch, error));
    size_t outputs = pare_session_output_count(t->session);
    if (outputs > MOST_HINTS + 1) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected a teacher of at most %d outputs, found %zu", MOST_HINTS + 1,
                         outputs);
    }
    t->output_count = outputs;
    for (size_t i = 0; i < t->output_count; i++) {
        size_t bytes = pare_session_output(t->session, i).bytes;
        t->outputs[i] = (pare_output_buffer){pare_alloc(bytes), bytes};
        if (t->outputs[i].data == NULL) {
            return pare_fail_memory(error, bytes);
        }
    }
    return PARE_OK;
}

pare_status teacher_create(const pare_train_options *options, pare_dataset *data, const pare_shape *input, size_t batch,
                           pare_teacher **teacher, pare_error *error) {
    const pare_distill_options *distill = options->distill;
    PARE_TRY(check_options(distill, error));
    PARE_TRY(check_samples(distill, options->preprocess, data, error));
    pare_teacher *t = pare_alloc_zero(1, sizeof *t);
    if (t == NULL) {
        return pare_fail_memory(error, sizeof *t);
    }
    t->tensor = TAPE_NONE;
    pare_status status = lower(t, distill, error);
    if (status == PARE_OK) {
        find_ending(t);
        status = open_session(t, input, batch, options->threads, error);
    }
    if (status == PARE_OK && distill->cache != NULL) {
        teacher_cache_key key = {distill->teacher_hash, t->outputs[0].bytes / sizeof(float) / batch,
                                 options->preprocess, data};
        pare_run_options run = {.threads = options->threads,
                                .progress = options->progress,
                                .progress_context = (void *)"asking the teacher"};
        t->cached_values = key.values;
        status = teacher_cache_load(distill->cache, &key, t->model, &run, &t->cache, error);
    }
    if (status != PARE_OK) {
        teacher_free(t);
        return status;
    }
    *teacher = t;
    return PARE_OK;
}

void teacher_free(pare_teacher *teacher) {
    if (teacher == NULL) {
        return;
    }
    for (size_t i = 0; i < teacher->output_count; i++) {
        pare_free(teacher->outputs[i].data);
    }
    pare_session_free(teacher->session);
    pare_model_release(teacher->model);
    pare_graph_free(teacher->graph);
    pare_free(teacher->cache);
    pare_free(teacher);
}

/* --- what the losses read ------------------------------------------------------------------ */

pare_status teacher_bind(pare_teacher *teacher, uint32_t tensor, pare_loss_kind kind, size_t rows, size_t classes,
                         pare_error *error) {
    pare_port port = pare_session_output(teacher->session, 0);
    size_t found = port.bytes / sizeof(float);
    if (port.dtype != PARE_F32 || found != rows * classes) {
        return pare_fail(
            error, PARE_USAGE,
            "expected a teacher with the student's %zu classes (float32 outputs for each label), found %zu "
            "(%s)",
            classes, found / rows, pare_dtype_name(port.dtype));
    }
    teacher->tensor = tensor;
    teacher->kind = kind;
    teacher->rows = rows;
    teacher->classes = classes;
    return PARE_OK;
}

/* A learned 1×1 convolution (or matrix) from the student's channels to the teacher's, as FitNets' regressor: it begins
 * as a share of each channel. */
static pare_status project(pare_tape *tape, const pare_hint *hint, const pare_shape *wanted, uint32_t *student,
                           pare_error *error) {
    pare_shape from = tape_tensor_at(tape, *student)->shape, weights = {.rank = from.rank};
    int64_t narrow = from.dims[1], wide = wanted->dims[1];
    weights.dims[0] = wide;
    weights.dims[1] = narrow;
    for (int32_t a = 2; a < from.rank; a++) {
        weights.dims[a] = 1;
    }
    float *data = pare_alloc_zero((size_t)(wide * narrow), sizeof *data);
    if (data == NULL) {
        return pare_fail_memory(error, (size_t)(wide * narrow) * sizeof *data);
    }
    for (int64_t o = 0; o < wide; o++) {
        data[o * narrow + o % narrow] = 1.0F;
    }
    uint32_t w = tape_parameter_like(tape, hint->student, &weights, data, true);
    pare_free(data);
    pare_shape to = from;
    to.dims[1] = wide;
    uint32_t x = *student;
    *student = tape_temporary(tape, NULL, &to);
    if (from.rank == 2) {
        return tape_inner_product(tape, NULL, false, x, w, TAPE_NONE, *student, error);
    }
    tape_conv_attrs attrs = {.spatial = from.rank - 2, .groups = 1};
    for (int32_t i = 0; i < attrs.spatial; i++) {
        attrs.stride[i] = attrs.dilation[i] = 1;
    }
    return tape_conv(tape, NULL, &attrs, x, w, TAPE_NONE, *student, error);
}

static bool same_positions(const pare_shape *a, const pare_shape *b) {
    bool same = a->rank == b->rank && a->rank >= 2 && a->rank <= 5 && a->dims[0] == b->dims[0];
    for (int32_t i = 2; same && i < a->rank; i++) {
        same = a->dims[i] == b->dims[i];
    }
    return same;
}

pare_status teacher_hint(pare_teacher *teacher, pare_tape *tape, size_t index, const pare_hint *hint, uint32_t *student,
                         uint32_t *target, pare_error *error) {
    teacher_hint_target *to = &teacher->hints[index];
    pare_port port = pare_session_output(teacher->session, to->output);
    pare_shape wanted = port.shape, have = tape_tensor_at(tape, *student)->shape;
    pare_dtype dtype = tape_tensor_at(tape, *student)->dtype;
    if (port.dtype != PARE_F32 || dtype != PARE_F32) {
        return pare_fail(error, PARE_USAGE, "hint %s=%s: expected values of float32, found %s and %s", hint->student,
                         hint->teacher, pare_dtype_name(dtype), pare_dtype_name(port.dtype));
    }
    if (!same_positions(&have, &wanted)) {
        char left[160], right[160];
        return pare_fail(error, PARE_USAGE,
                         "hint %s=%s: expected values of one extent but for the channels, found %s and %s",
                         hint->student, hint->teacher, pare_shape_text(&have, left, sizeof left),
                         pare_shape_text(&wanted, right, sizeof right));
    }
    *target = to->tensor = tape_extra_input(tape, hint->teacher, PARE_F32, &wanted);
    teacher->hint_count = index + 1;
    return hint->attention || have.dims[1] == wanted.dims[1] ? PARE_OK : project(tape, hint, &wanted, student, error);
}

/* --- a batch ---------------------------------------------------------------------------------- */

#define LEAST_PROBABILITY 1e-30F

/* The student's loss works on what goes into its last Softmax or Sigmoid, so that is asked of the teacher too. Softmax
 * forgets a constant: the logarithm of a probability is as good as its logit. */
static void as_logits(const pare_teacher *t, const float *from, float *to, size_t count) {
    bool of_softmax = t->softmax && t->kind == PARE_LOSS_CROSS_ENTROPY;
    bool of_sigmoid = t->sigmoid && t->kind == PARE_LOSS_BINARY_CROSS_ENTROPY;
    for (size_t i = 0; i < count; i++) {
        float yes = fmaxf(from[i], LEAST_PROBABILITY);
        to[i] = of_softmax ? logf(yes) : of_sigmoid ? logf(yes) - logf(fmaxf(1.0F - from[i], FLT_EPSILON)) : from[i];
    }
}

pare_status teacher_feed(pare_teacher *teacher, pare_tape *tape, const pare_batch *batch, pare_error *error) {
    size_t count = teacher->rows * teacher->classes;
    if (teacher->cache != NULL && teacher->tensor == TAPE_NONE) {
        return PARE_OK; /* all the weight is on the labels */
    }
    if (teacher->cache != NULL) {
        float *to = tape_input_data(tape, teacher->tensor);
        size_t samples = count / teacher->cached_values;
        for (size_t i = 0; i < samples; i++) {
            as_logits(teacher, teacher->cache + batch->samples[i] * teacher->cached_values,
                      to + i * teacher->cached_values, teacher->cached_values);
        }
        return PARE_OK;
    }
    pare_input input = {batch->inputs, pare_session_input(teacher->session, 0).bytes};
    PARE_TRY(pare_session_run(teacher->session, &input, 1, teacher->outputs, teacher->output_count, error));
    if (teacher->tensor != TAPE_NONE) {
        as_logits(teacher, teacher->outputs[0].data, tape_input_data(tape, teacher->tensor), count);
    }
    for (size_t i = 0; i < teacher->hint_count; i++) {
        const pare_output_buffer *from = &teacher->outputs[teacher->hints[i].output];
        memcpy(tape_input_data(tape, teacher->hints[i].tensor), from->data, from->bytes);
    }
    return PARE_OK;
}
