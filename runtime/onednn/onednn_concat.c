/* CONCAT of channels where operands lie in blocks or with channels last: runs of
 * whole blocks are copied, so that the neighbours need no other layout. */
#include <string.h>

#include "onednn_kernels.h"
#include "onednn_support.h"
#include "pare/memory.h"

typedef struct concat_state {
    size_t runs;    /* samples, or positions where channels lie last */
    size_t count;   /* of inputs */
    size_t total;   /* bytes of one run of the output */
    size_t bytes[]; /* of one run of each input */
} concat_state;

static bool whole_blocks(const pare_site *site, int64_t block) {
    for (size_t i = 0; i < site->input_count; i++) {
        if (!site->inputs[i].present || site->inputs[i].shape.dims[1] % block != 0) {
            return false;
        }
    }
    return true;
}

/* The layout of most elements of the inputs. */
static pare_layout prevailing(const pare_site *site) {
    double weight[4] = {0};
    for (size_t i = 0; i < site->input_count; i++) {
        weight[site->inputs[i].layout] +=
            (double)pare_layout_bytes(PARE_LAYOUT_PLAIN, &site->inputs[i].shape, PARE_F32);
    }
    int best = PARE_LAYOUT_PLAIN;
    for (int i = 1; i < 4; i++) {
        best = weight[i] > weight[best] ? i : best;
    }
    return (pare_layout)best;
}

static pare_status concat_plan(pare_site *site, void **state, pare_error *error) {
    const pare_axis_attrs *attrs = site->attrs;
    const pare_shape *y = &site->outputs[0].shape;
    if (y->rank != 4 || attrs->axis != 1 || !pare_onednn_all_float(site)) {
        return PARE_UNSUPPORTED;
    }
    pare_layout layout = prevailing(site);
    int64_t block = layout == PARE_LAYOUT_BLOCK16 ? 16 : layout == PARE_LAYOUT_BLOCK8 ? 8 : 1;
    if (layout == PARE_LAYOUT_PLAIN || !whole_blocks(site, block)) {
        return PARE_UNSUPPORTED;
    }
    size_t size = sizeof(concat_state) + site->input_count * sizeof(size_t);
    concat_state *concat = pare_alloc(size);
    if (concat == NULL) {
        return pare_fail_memory(error, size);
    }
    *concat = (concat_state){.runs = (size_t)y->dims[0], .count = site->input_count};
    if (layout == PARE_LAYOUT_CHANNELS_LAST) {
        concat->runs *= (size_t)y->dims[2] * (size_t)y->dims[3];
    }
    for (size_t i = 0; i < site->input_count; i++) {
        concat->bytes[i] = pare_layout_bytes(layout, &site->inputs[i].shape, PARE_F32) / concat->runs;
        concat->total += concat->bytes[i];
        site->wanted[i] = layout;
    }
    site->outputs[0].layout = layout;
    *state = concat;
    return PARE_OK;
}

#define PARALLEL_BYTES ((size_t)1 << 17) /* below this, waking threads costs more than it saves */

static void copy_run(const concat_state *concat, const pare_call *call, size_t run) {
    char *out = (char *)call->outputs[0] + run * concat->total;
    for (size_t i = 0; i < concat->count; i++) {
        memcpy(out, (const char *)call->inputs[i] + run * concat->bytes[i], concat->bytes[i]);
        out += concat->bytes[i];
    }
}

static pare_status concat_run(void *state, const pare_call *call, pare_error *error) {
    const concat_state *concat = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1 &&                                           \
                                                        concat->runs * concat->total > PARALLEL_BYTES)
    for (size_t run = 0; run < concat->runs; run++) {
        copy_run(concat, call, run);
    }
    return PARE_OK;
}

const pare_kernel pare_onednn_concat = {
    .name = "onednn_concat",
    .plan = concat_plan,
    .run = concat_run,
    .destroy = pare_free,
};
