/* With m, v the mean and variance of the n values that a channel has in all parts:
 * forwards they are merged from those of the parts (Chan, Golub and LeVeque 1983);
 * backwards (Ioffe and Szegedy 2015, section 3)
 *     dx = scale / s (dy - sum dy / n - x̂ sum(dy x̂) / n),  s = sqrt(v + epsilon),  x̂ = (x - m) / s,
 * whose first term the primitive gives, while the others are x normalized again, with another scale and shift. */
#include "train/onednn/batch_norm_ranks.h"

#include <math.h>
#include <string.h>

#include "train/onednn/batch_norm_own.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_steps.h"

typedef struct exchange {
    const pare_tape *tape;
    size_t channels;
    double values; /* n */
    float epsilon;
    float *own, *all; /* [2 × channels], and that of every rank */
} exchange;

static pare_status make_exchange(pare_tape *tape, const batch_norm_part *part, exchange **made, pare_error *error) {
    size_t pair = 2 * part->channels, elements = 0, ranks = tape->ranks.count;
    exchange *e = tape_make(tape, 1, sizeof *e);
    if (e == NULL || !pare_shape_elements(part->shape, &elements)) {
        return pare_fail_memory(error, sizeof *e);
    }
    *e = (exchange){.tape = tape,
                    .channels = part->channels,
                    .values = (double)ranks * (double)(elements / part->channels),
                    .epsilon = part->epsilon,
                    .own = tape_make(tape, pair, sizeof(float)),
                    .all = tape_make(tape, pair * ranks, sizeof(float))};
    *made = e;
    return e->own != NULL && e->all != NULL ? PARE_OK : pare_fail_memory(error, pair * ranks * sizeof(float));
}

static pare_status swap(const exchange *e, const float *first, const float *second) {
    size_t bytes = e->channels * sizeof(float);
    memcpy(e->own, first, bytes);
    memcpy(e->own + e->channels, second, bytes);
    return e->tape->ranks.gather(e->own, 2 * bytes, e->all, NULL);
}

/* pointers: mean, variance: of the part, then of the whole batch. The parts are of one size. */
static pare_status run_merge(void *context, void *const *pointers) {
    const exchange *e = context;
    float *mean = pointers[0], *variance = pointers[1];
    size_t ranks = e->tape->ranks.count, channels = e->channels;
    PARE_TRY(swap(e, mean, variance));
    for (size_t c = 0; c < channels; c++) {
        double m = 0, v = 0;
        for (size_t r = 0; r < ranks; r++) {
            m += (double)e->all[2 * r * channels + c] / (double)ranks;
        }
        for (size_t r = 0; r < ranks; r++) {
            double away = (double)e->all[2 * r * channels + c] - m;
            v += ((double)e->all[(2 * r + 1) * channels + c] + away * away) / (double)ranks;
        }
        mean[c] = (float)m;
        variance[c] = (float)v;
    }
    return PARE_OK;
}

/* Those of layouts that Pare's own loop does not know. */
static pare_status emit_primitive_statistics(pare_tape *tape, const tape_step *step, const batch_norm_part *part,
                                             const tape_place *y, pare_error *error) {
    const pare_shape channels = {.rank = 1, .dims = {(int64_t)part->channels}};
    dnnl_memory_desc_t desc = tape_onednn_desc(&part->x, part->shape), vector = tape_onednn_plain(&channels);
    dnnl_batch_normalization_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status =
        dnnl_batch_normalization_forward_desc_init(&op, dnnl_forward_training, &desc, part->epsilon, 0);
    PARE_TRY(tape_onednn_status(step, status, "batch normalization", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &primitive, error));
    tape_onednn_arg args[] = {{DNNL_ARG_SRC, part->x.buffer, desc},
                              {DNNL_ARG_MEAN, part->mean, vector},
                              {DNNL_ARG_VARIANCE, part->variance, vector},
                              {DNNL_ARG_DST, y->buffer, desc}};
    return tape_onednn_emit(tape, step, primitive, args, 4, error);
}

pare_status batch_norm_ranks_statistics(pare_tape *tape, const tape_step *step, const batch_norm_part *part,
                                        const tape_place *y, pare_error *error) {
    batch_norm_extent extent;
    exchange *e = NULL;
    if (batch_norm_extent_of(&part->x, part->shape, &extent)) {
        batch_norm_buffers buffers = {.x = part->x.buffer, .mean = part->mean, .variance = part->variance};
        PARE_TRY(batch_norm_emit_statistics(tape, step, &extent, &buffers, error));
    } else {
        PARE_TRY(emit_primitive_statistics(tape, step, part, y, error));
    }
    PARE_TRY(make_exchange(tape, part, &e, error));
    return tape_emit(tape, step, run_merge, NULL, e, (const uint32_t[]){part->mean, part->variance}, 2, error);
}

/* pointers: dscale, dshift, variance, scale; then the scale and shift of the correction. */
static pare_status run_slopes(void *context, void *const *pointers) {
    const exchange *e = context;
    const float *variance = pointers[2], *scale = pointers[3];
    float *slope = pointers[4], *shift = pointers[5];
    size_t ranks = e->tape->ranks.count, channels = e->channels;
    PARE_TRY(swap(e, pointers[0], pointers[1]));
    for (size_t c = 0; c < channels; c++) {
        double dscale = 0, dshift = 0, root = sqrt((double)variance[c] + (double)e->epsilon);
        for (size_t r = 0; r < ranks; r++) {
            dscale += (double)e->all[2 * r * channels + c];
            dshift += (double)e->all[(2 * r + 1) * channels + c];
        }
        double factor = -(double)scale[c] / root / e->values;
        slope[c] = (float)(factor * dscale);
        shift[c] = (float)(factor * dshift);
    }
    return PARE_OK;
}

/* pointers: the sum, what is added */
static pare_status run_add(void *context, void *const *pointers) {
    size_t floats = *(const size_t *)context;
    float *sum = pointers[0];
    const float *more = pointers[1];
    TAPE_PARALLEL(floats)
    for (size_t i = 0; i < floats; i++) {
        sum[i] += more[i];
    }
    return PARE_OK;
}

static pare_status emit_add(pare_tape *tape, const tape_step *step, const batch_norm_part *part, uint32_t more,
                            const tape_place *dx, pare_error *error) {
    size_t *floats = tape_make(tape, 1, sizeof *floats);
    if (floats == NULL) {
        return pare_fail_memory(error, sizeof *floats);
    }
    *floats = tape_layout_floats(dx->layout, part->shape);
    return tape_emit(tape, step, run_add, NULL, floats, (const uint32_t[]){dx->buffer, more}, 2, error);
}

pare_status batch_norm_ranks_correct(pare_tape *tape, const tape_step *step, const batch_norm_part *part,
                                     uint32_t scale, uint32_t dscale, uint32_t dshift, const tape_place *dx,
                                     pare_error *error) {
    const pare_shape channels = {.rank = 1, .dims = {(int64_t)part->channels}};
    dnnl_memory_desc_t desc = tape_onednn_desc(&part->x, part->shape), vector = tape_onednn_plain(&channels);
    unsigned flags = dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift;
    dnnl_batch_normalization_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    exchange *e = NULL;
    uint32_t slope, shift, more;
    dnnl_status_t made =
        dnnl_batch_normalization_forward_desc_init(&op, dnnl_forward_inference, &desc, part->epsilon, flags);
    PARE_TRY(tape_onednn_status(step, made, "batch normalization's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &primitive, error));
    PARE_TRY(tape_onednn_buffer(tape, &vector, &slope, error));
    PARE_TRY(tape_onednn_buffer(tape, &vector, &shift, error));
    PARE_TRY(tape_onednn_buffer(tape, &desc, &more, error));
    PARE_TRY(make_exchange(tape, part, &e, error));
    PARE_TRY(tape_emit(tape, step, run_slopes, NULL, e,
                       (const uint32_t[]){dscale, dshift, part->variance, scale, slope, shift}, 6, error));
    tape_onednn_arg args[] = {{DNNL_ARG_SRC, part->x.buffer, desc},
                              {DNNL_ARG_MEAN, part->mean, vector},
                              {DNNL_ARG_VARIANCE, part->variance, vector},
                              {DNNL_ARG_SCALE, slope, vector},
                              {DNNL_ARG_SHIFT, shift, vector},
                              {DNNL_ARG_DST, more, desc}};
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 6, error));
    return emit_add(tape, step, part, more, dx, error);
}
