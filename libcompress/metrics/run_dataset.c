/* Streams a data set through a model, one padded batch at a time. */
#include <string.h>

#include "pare/checked.h"
#include "pare/evaluate.h"
#include "pare/memory.h"

typedef struct batch_state {
    pare_session *session;
    pare_port input, output;
    int64_t batch;
    size_t input_elements, output_elements; /* a sample */
    pare_shape sample_shape;
    uint8_t *inputs;
    float *outputs;
    uint8_t **spare; /* further outputs, computed but not looked at */
    int64_t *classes;
    float *values;
    pare_sample sample;
    pare_preprocess_scratch scratch;
} batch_state;

static void state_free(batch_state *s) {
    if (s->spare != NULL) {
        for (size_t i = 0; i < pare_session_output_count(s->session); i++) {
            pare_free(s->spare[i]);
        }
    }
    pare_free(s->spare);
    pare_free(s->inputs);
    pare_free(s->outputs);
    pare_free(s->classes);
    pare_free(s->values);
    pare_sample_free(&s->sample);
    pare_preprocess_scratch_free(&s->scratch);
    pare_session_free(s->session);
}

/* About a million numbers a batch: enough to keep the cores busy, small enough
 * that activations of large pictures stay within a few megabytes. */
static int64_t default_batch(const pare_shape *input) {
    pare_shape one;
    size_t elements = 1;
    if (!pare_shape_bind(input, 1, &one) || !pare_shape_elements(&one, &elements) || elements == 0) {
        return 1;
    }
    size_t batch = ((size_t)1 << 20) / elements;
    return batch < 1 ? 1 : batch > 64 ? 64 : (int64_t)batch;
}

static bool leads_with_batch(const pare_shape *shape) {
    return shape->rank > 0 && shape->dims[0] == -1;
}

static pare_status open_session(batch_state *s, pare_model *model, const pare_run_options *options, pare_error *error) {
    if (model->input_count != 1) {
        return pare_fail(error, PARE_UNSUPPORTED, "a data set feeds models with one input, this one has %u",
                         model->input_count);
    }
    const pare_shape *open = &model->tensors[model->inputs[0]].shape;
    const pare_shape *out = &model->tensors[model->outputs[0]].shape;
    bool batched = leads_with_batch(open) && leads_with_batch(out);
    s->batch = !batched ? 1 : options->batch > 0 ? options->batch : default_batch(open);
    pare_session_options session = {.struct_size = sizeof session,
                                    .batch = s->batch,
                                    .threads = options->threads,
                                    .reference = options->reference,
                                    .observe = options->observe,
                                    .observe_context = options->observe_context};
    PARE_TRY(pare_session_create(model, &session, &s->session, error));
    s->input = pare_session_input(s->session, 0);
    s->output = pare_session_output(s->session, 0);
    if (s->output.dtype != PARE_F32) {
        return pare_fail(error, PARE_UNSUPPORTED, "output \"%s\" must be float32 to be evaluated, it is %s",
                         s->output.name, pare_dtype_name(s->output.dtype));
    }
    s->sample_shape = s->input.shape;
    if (s->sample_shape.rank > 0 && s->sample_shape.dims[0] == s->batch) {
        s->sample_shape.rank--;
        memmove(s->sample_shape.dims, s->sample_shape.dims + 1, (PARE_MAX_RANK - 1) * sizeof(int64_t));
    }
    s->input_elements = s->input.bytes / pare_dtype_bytes(s->input.dtype) / (size_t)s->batch;
    s->output_elements = s->output.bytes / sizeof(float) / (size_t)s->batch;
    return PARE_OK;
}

static pare_status allocate(batch_state *s, const pare_sample_info *info, pare_error *error) {
    size_t targets, outputs = pare_session_output_count(s->session);
    if (!pare_mul_size((size_t)s->batch, info->target_count, &targets)) {
        return pare_fail(error, PARE_LIMIT, "targets of a batch overflow");
    }
    s->inputs = pare_alloc_zero(s->input.bytes, 1);
    s->outputs = pare_alloc_zero(s->output.bytes, 1);
    s->classes = pare_alloc_zero(targets, sizeof *s->classes);
    s->values = pare_alloc_zero(targets, sizeof *s->values);
    s->spare = pare_alloc_zero(outputs, sizeof *s->spare);
    if (s->inputs == NULL || s->outputs == NULL || s->classes == NULL || s->values == NULL || s->spare == NULL) {
        return pare_fail_memory(error, s->input.bytes + s->output.bytes);
    }
    for (size_t i = 1; i < outputs; i++) {
        s->spare[i] = pare_alloc(pare_session_output(s->session, i).bytes);
        if (s->spare[i] == NULL) {
            return pare_fail_memory(error, pare_session_output(s->session, i).bytes);
        }
    }
    return PARE_OK;
}

static pare_status load_sample(batch_state *s, pare_dataset *dataset, const pare_sample_info *info,
                               const pare_preprocess *preprocess, size_t index, size_t slot, pare_error *error) {
    PARE_TRY(pare_dataset_read(dataset, index, &s->sample, error));
    uint8_t *out = s->inputs + slot * s->input_elements * pare_dtype_bytes(s->input.dtype);
    pare_status status =
        pare_preprocess_apply(preprocess, info, &s->sample, &s->sample_shape, s->input.dtype, out, &s->scratch, error);
    if (status != PARE_OK) {
        const char *name = pare_dataset_sample_name(dataset, index);
        pare_error_prefix(error, "%s, sample %zu%s%s: ", pare_dataset_spec(dataset), index, name != NULL ? " " : "",
                          name != NULL ? name : "");
        return status;
    }
    if (info->target == PARE_TARGET_CLASS) {
        memcpy(s->classes + slot * info->target_count, s->sample.classes, info->target_count * sizeof *s->classes);
    } else if (info->target == PARE_TARGET_VALUES) {
        memcpy(s->values + slot * info->target_count, s->sample.values, info->target_count * sizeof *s->values);
    }
    return PARE_OK;
}

#define MOST_OUTPUTS 64

static pare_status run_batch(batch_state *s, pare_error *error) {
    pare_input input = {s->inputs, s->input.bytes};
    pare_output_buffer outputs[MOST_OUTPUTS] = {{s->outputs, s->output.bytes}};
    size_t count = pare_session_output_count(s->session);
    if (count > MOST_OUTPUTS) {
        return pare_fail(error, PARE_UNSUPPORTED, "models of over %d outputs are not evaluated, this one has %zu",
                         MOST_OUTPUTS, count);
    }
    for (size_t i = 1; i < count; i++) {
        outputs[i] = (pare_output_buffer){s->spare[i], pare_session_output(s->session, i).bytes};
    }
    return pare_session_run(s->session, &input, 1, outputs, count, error);
}

pare_status pare_run_dataset(pare_model *model, pare_dataset *dataset, const pare_preprocess *preprocess,
                             const pare_run_options *options, pare_batch_sink sink, void *sink_context,
                             pare_error *error) {
    batch_state s = {0};
    pare_sample_info info = pare_dataset_info(dataset);
    size_t total = pare_dataset_count(dataset);
    pare_status status = open_session(&s, model, options, error);
    if (status == PARE_OK) {
        status = allocate(&s, &info, error);
    }
    for (size_t done = 0; status == PARE_OK && done < total;) {
        size_t count = total - done < (size_t)s.batch ? total - done : (size_t)s.batch;
        for (size_t i = 0; i < count && status == PARE_OK; i++) {
            status = load_sample(&s, dataset, &info, preprocess, done + i, i, error);
        }
        /* A partial batch keeps the samples of the batch before it (or zeros) in its tail. */
        if (status == PARE_OK) {
            status = run_batch(&s, error);
        }
        if (status == PARE_OK && sink != NULL) {
            const float *inputs = s.input.dtype == PARE_F32 ? (const float *)(const void *)s.inputs : NULL;
            status = sink(sink_context, inputs, s.input_elements, s.outputs, s.output_elements,
                          info.target == PARE_TARGET_CLASS ? s.classes : NULL,
                          info.target == PARE_TARGET_VALUES ? s.values : NULL, info.target_count, count, error);
        }
        done += count;
        if (status == PARE_OK && options->progress != NULL &&
            !options->progress(options->progress_context, done, total)) {
            status = pare_fail(error, PARE_INTERRUPTED, "interrupted after %zu of %zu samples", done, total);
        }
    }
    state_free(&s);
    return status;
}

pare_status pare_evaluate(pare_model *model, pare_dataset *dataset, const pare_preprocess *preprocess,
                          const pare_run_options *options, pare_metrics *metrics, pare_error *error) {
    pare_metrics_collector *collector = NULL;
    PARE_TRY(pare_metrics_begin(preprocess, &collector, error));
    pare_status status = pare_run_dataset(model, dataset, preprocess, options, pare_metrics_add, collector, error);
    if (status != PARE_OK) {
        pare_metrics_discard(collector);
        return status;
    }
    return pare_metrics_end(collector, metrics, error);
}
