#include "kernels/reference.h"
#include "pare/opcode_resize.h"

/* Elements that share a position lie side by side: 1 when plain, C when channels last, a block. */
typedef struct resize_state {
    pare_resize_attrs attrs;
    size_t planes, height, width, out_h, out_w, inner, bytes;
    int32_t taps;
    pare_resize_taps *rows, *columns;
} resize_state;

/* --- planning ------------------------------------------------------------- */

static pare_resize_taps *make_taps(const pare_resize_attrs *a, size_t in, size_t out, float scale) {
    pare_resize_taps *taps = pare_alloc_zero(out, sizeof *taps);
    if (taps != NULL) {
        pare_resize_axis(a, in, out, scale, taps);
    }
    return taps;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_resize_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *y = &site->outputs[0].shape;
    bool nearest = attrs->mode == PARE_RESIZE_NEAREST;
    if (x->rank != 4 || site->inputs[0].dtype != site->outputs[0].dtype ||
        (!nearest && site->inputs[0].dtype != PARE_F32)) {
        return PARE_UNSUPPORTED;
    }
    if (x->dims[2] == 0 || x->dims[3] == 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected an image of at least 1x1, found an empty one");
    }
    PARE_TRY(make_state(state, sizeof(resize_state), error));
    resize_state *s = *state;
    pare_layout layout = site->inputs[0].layout;
    site->outputs[0].layout = layout;
    s->attrs = *attrs;
    s->height = (size_t)x->dims[2];
    s->width = (size_t)x->dims[3];
    s->out_h = (size_t)y->dims[2];
    s->out_w = (size_t)y->dims[3];
    s->bytes = pare_dtype_bytes(site->inputs[0].dtype);
    s->inner = layout == PARE_LAYOUT_PLAIN           ? 1
               : layout == PARE_LAYOUT_CHANNELS_LAST ? (size_t)x->dims[1]
               : layout == PARE_LAYOUT_BLOCK8        ? 8
                                                     : 16;
    s->planes = s->inner == 0 ? 0 : stored_elements(&site->inputs[0]) / (s->height * s->width * s->inner);
    s->taps = pare_resize_tap_count(attrs->mode);
    s->rows = make_taps(attrs, s->height, s->out_h, attrs->scale_h);
    s->columns = make_taps(attrs, s->width, s->out_w, attrs->scale_w);
    return s->rows != NULL && s->columns != NULL
               ? PARE_OK
               : pare_fail_memory(error, (s->out_h + s->out_w) * sizeof(pare_resize_taps));
}

/* --- running -------------------------------------------------------------- */

static void nearest_row(const resize_state *s, const char *plane, size_t row, char *y) {
    size_t run = s->inner * s->bytes;
    const char *from = plane + s->rows[row].index[0] * s->width * run;
    for (size_t column = 0; column < s->out_w; column++) {
        memcpy(y + column * run, from + s->columns[column].index[0] * run, run);
    }
}

static void weighted_row(const resize_state *s, const float *plane, size_t row, float *y) {
    const pare_resize_taps *r = &s->rows[row];
    for (size_t column = 0; column < s->out_w; column++) {
        const pare_resize_taps *c = &s->columns[column];
        for (size_t i = 0; i < s->inner; i++) {
            float sum = 0.0F;
            for (int32_t v = 0; v < s->taps; v++) {
                float line = 0.0F;
                for (int32_t h = 0; h < s->taps; h++) {
                    line += c->weight[h] * plane[(r->index[v] * s->width + c->index[h]) * s->inner + i];
                }
                sum += r->weight[v] * line;
            }
            y[column * s->inner + i] = sum;
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const resize_state *s = state;
    size_t in_plane = s->height * s->width * s->inner;
    size_t out_row = s->out_w * s->inner;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (size_t task = 0; task < s->planes * s->out_h; task++) {
        const char *from = (const char *)call->inputs[0] + task / s->out_h * in_plane * s->bytes;
        char *to = (char *)call->outputs[0] + task * out_row * s->bytes;
        if (s->taps == 1) {
            nearest_row(s, from, task % s->out_h, to);
        } else {
            weighted_row(s, (const float *)(const void *)from, task % s->out_h, (float *)(void *)to);
        }
    }
    return PARE_OK;
}

static void destroy(void *state) {
    resize_state *s = state;
    if (s != NULL) {
        pare_free(s->rows);
        pare_free(s->columns);
        pare_free(s);
    }
}

const pare_kernel pare_reference_resize = {.name = "reference_resize", .plan = plan, .run = run, .destroy = destroy};
