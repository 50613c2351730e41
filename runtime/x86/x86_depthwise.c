/* CONV with one input channel a group and as many output channels: planning. */
#include "x86_depthwise.h"
#include "x86_conv.h"
#include "x86_kernels.h"

#if defined(__x86_64__)

typedef struct depthwise {
    x86_bands bands;
    x86_range range;
    x86_depthwise_function row;
    x86_depthwise_block *blocks;
    size_t block_count;
    uint32_t *offsets;
    size_t taps, taps_per_step, steps;
    size_t channels, fold; /* pixels that share a register */
    bool fits;
    size_t threads;
    void *memory;
    size_t memory_bytes;
} depthwise;

static void destroy(void *state) {
    depthwise *d = state;
    if (d != NULL) {
        pare_free(d->memory);
        pare_free(d);
    }
}

/* Channel of a block that element `lane` of vector `j` holds. */
static size_t channel_of(size_t j, size_t lane) {
    return 16 * (lane / 4) + 4 * j + lane % 4;
}

/* The tap, y KW + x, in place `i` of all steps; `taps` where the place is empty. With
 * VNNI a step of a 3 × 3 kernel holds a column, which neighbouring pixels share. */
static size_t tap_at(const depthwise *d, size_t i) {
    const x86_geometry *g = &d->bands.geometry;
    if (d->taps_per_step == 4 && g->kernel_h == 3 && g->kernel_w == 3) {
        return i % 4 < 3 ? i % 4 * 3 + i / 4 : d->taps;
    }
    return i < d->taps ? i : d->taps;
}

static void pack_weights(const depthwise *d, const x86_depthwise_block *block, const int8_t *weights, int8_t *to) {
    for (size_t s = 0; s < d->steps; s++) {
        for (size_t j = 0; j < 4; j++) {
            for (size_t lane = 0; lane < block->lanes; lane++, to += 4) {
                size_t channel = channel_of(j, lane);
                for (size_t t = 0; t < d->taps_per_step; t++) {
                    size_t tap = tap_at(d, s * d->taps_per_step + t);
                    bool there = channel < block->count && tap < d->taps;
                    int8_t w = there ? weights[(block->first + channel) % d->channels * d->taps + tap] : 0;
                    if (d->taps_per_step == 4) {
                        to[t] = w;
                    } else {
                        int16_t wide = w;
                        memcpy(to + 2 * t, &wide, sizeof wide);
                    }
                }
            }
        }
    }
}

static bool pack_requantization(depthwise *d, const x86_depthwise_block *block, const pare_site *site, int32_t *bias,
                                float *scale) {
    const pare_model_quant *x = site->inputs[0].quant, *w = site->inputs[1].quant, *y = site->outputs[0].quant;
    const int8_t *weights = site->inputs[1].constant;
    const int32_t *values = site->input_count > 2 && site->inputs[2].present ? site->inputs[2].constant : NULL;
    for (size_t i = 0; i < 4 * block->lanes; i++) {
        size_t channel = channel_of(i / block->lanes, i % block->lanes);
        bias[i] = 0;
        scale[i] = 0;
        if (channel >= block->count) {
            continue;
        }
        channel = (block->first + channel) % d->channels;
        int64_t sum = 0;
        for (size_t t = 0; t < d->taps; t++) {
            sum += weights[channel * d->taps + t];
        }
        bias[i] = (int32_t)(uint32_t)((values != NULL ? values[channel] : 0) - x->zero_points[0] * sum);
        double product = (double)x->scales[0] * (double)w->scales[w->count == 1 ? 0 : channel];
        scale[i] = (float)(product / (double)y->scales[0]);
        if (!x86_tame(scale[i])) {
            return false;
        }
        d->fits = d->fits && scale[i] < 0.999F;
    }
    return true;
}

static void fill_offsets(depthwise *d) {
    const x86_geometry *g = &d->bands.geometry;
    for (size_t i = 0; i < d->steps * d->taps_per_step; i++) {
        size_t tap = tap_at(d, i) % d->taps; /* what is past the last meets weights of zero */
        size_t y = tap / g->kernel_w * g->dilation_h, x = tap % g->kernel_w * g->dilation_w;
        d->offsets[i] = (uint32_t)(y * d->bands.row_stride + x * g->in_c);
    }
}

/* Blocks of 64 channels (VNNI), the rest of up to 32 in a block of 32. */
static size_t block_width(const depthwise *d, size_t left) {
    return d->taps_per_step == 4 && left > 32 ? 64 : 32;
}

static pare_status pack(depthwise *d, const pare_site *site, pare_error *error) {
    const size_t channels = d->channels * d->fold;
    size_t padded = 0;
    for (size_t c = 0; c < channels; c += block_width(d, channels - c)) {
        padded += block_width(d, channels - c);
        d->block_count++;
    }
    size_t weight_bytes = padded * 4 * d->steps;
    size_t total = weight_bytes + padded * 8 + d->block_count * sizeof(x86_depthwise_block) + d->steps * 16;
    int8_t *at = pare_alloc_zero(1, total);
    if (at == NULL) {
        return pare_fail_memory(error, total);
    }
    d->memory = at;
    d->memory_bytes = total;
    int32_t *bias = (int32_t *)(void *)(at + weight_bytes);
    float *scale = (float *)(void *)(bias + padded);
    d->blocks = (x86_depthwise_block *)(void *)(scale + padded);
    d->offsets = (uint32_t *)(void *)(d->blocks + d->block_count);
    fill_offsets(d);
    size_t first = 0;
    for (size_t i = 0; i < d->block_count; i++) {
        size_t left = channels - first, width = block_width(d, left);
        x86_depthwise_block *block = &d->blocks[i];
        *block = (x86_depthwise_block){first, left < width ? left : width, width / 4, bias, scale, at};
        pack_weights(d, block, site->inputs[1].constant, at);
        if (!pack_requantization(d, block, site, bias, scale)) {
            return PARE_UNSUPPORTED;
        }
        at += width * 4 * d->steps;
        bias += width;
        scale += width;
        first += width;
    }
    return PARE_OK;
}

static bool accepts(const pare_site *site, pare_isa isa, x86_geometry *g, x86_range *range) {
    const pare_operand *y = &site->outputs[0];
    const pare_operand *bias = site->input_count > 2 && site->inputs[2].present ? &site->inputs[2] : NULL;
    if (site->isa < isa || (site->input_count > 3 && site->inputs[3].present) ||
        !x86_per_tensor(&site->inputs[0], PARE_U8) || !x86_per_tensor(y, PARE_U8) || !pare_x86_conv_geometry(site, g) ||
        g->groups != g->in_c || g->groups != g->out_c || g->groups == 1 ||
        !pare_x86_weights_fit(&site->inputs[1], bias, g->out_c)) {
        return false;
    }
    const pare_conv_attrs *a = site->attrs;
    return x86_range_of(&a->activation, y->quant->scales[0], y->quant->zero_points[0], range) &&
           pare_check_accumulator(site->inputs[1].constant, g->out_c, g->kernel_h * g->kernel_w,
                                  bias != NULL ? bias->constant : NULL, site->inputs[0].quant->zero_points[0],
                                  NULL) == PARE_OK;
}

static void share(depthwise *d, size_t threads) {
    x86_bands *b = &d->bands;
    const x86_geometry *g = &b->geometry;
    double work = (double)g->images * (double)g->out_h * (double)g->out_w * (double)g->out_c * (double)d->taps;
    double useful = work / 50000.0;
    d->threads = useful < (double)threads ? (size_t)useful : threads;
    d->threads = d->threads < 1 ? 1 : d->threads;
    while (b->rows > 1 && g->images * b->count < 4 * d->threads && g->images * b->count % d->threads != 0) {
        b->rows--;
        b->count = (g->out_h + b->rows - 1) / b->rows;
    }
}

static pare_status plan(pare_site *site, pare_isa isa, x86_depthwise_function row, size_t taps_per_step, void **state,
                        pare_error *error) {
    x86_geometry g;
    x86_range range;
    if (!accepts(site, isa, &g, &range)) {
        return PARE_UNSUPPORTED;
    }
    pare_status status;
    depthwise *d = pare_alloc_zero(1, sizeof *d);
    if (d == NULL) {
        return pare_fail_memory(error, sizeof *d);
    }
    d->bands.geometry = g;
    d->range = range;
    d->row = row;
    d->taps = g.kernel_h * g.kernel_w;
    d->taps_per_step = taps_per_step;
    d->steps = (d->taps + taps_per_step - 1) / taps_per_step;
    d->channels = g.out_c;
    d->fits = true;
    size_t widest = 16 * taps_per_step;
    d->fold = g.stride_w == 1 && widest % g.out_c == 0 ? widest / g.out_c : 1;
    /* A block reads up to 63 channels past the last. */
    if (!pare_x86_bands_plan(&d->bands, 64, 24 * 1024)) {
        status = PARE_UNSUPPORTED;
        goto done;
    }
    share(d, (size_t)site->threads);
    status = pack(d, site, error);
    if (status != PARE_OK) {
        goto done;
    }
    site->scratch_bytes = d->bands.copy_bytes * d->threads;
    site->packed_bytes = d->memory_bytes;
    site->wanted[0] = PARE_LAYOUT_CHANNELS_LAST;
    site->outputs[0].layout = PARE_LAYOUT_CHANNELS_LAST;
    *state = d;
    d = NULL;
done:
    destroy(d);
    return status;
}

static void run_items(const depthwise *d, const uint8_t *input, uint8_t *output, uint8_t *scratch, size_t from,
                      size_t to) {
    const x86_bands *b = &d->bands;
    const x86_geometry *g = &b->geometry;
    x86_depthwise_row row = {.pixels = (g->out_w + d->fold - 1) / d->fold,
                             .in_stride = g->stride_w * g->in_c * d->fold,
                             .out_stride = g->out_c * d->fold,
                             .slide = d->fold == 1 && g->stride_w == 1 && g->dilation_w == 1 && g->kernel_h == 3 &&
                                      g->kernel_w == 3,
                             .fits = d->fits,
                             .offsets = d->offsets,
                             .steps = d->steps,
                             .range = &d->range};
    for (size_t item = from; item < to; item++) {
        size_t band = item % b->count, image = item / b->count;
        size_t first = band * b->rows, rows = g->out_h - first < b->rows ? g->out_h - first : b->rows;
        const uint8_t *in = pare_x86_bands_load(b, input, image, band, scratch);
        uint8_t *out = output + (image * g->out_h + first) * g->out_w * g->out_c;
        for (size_t y = 0; y < rows; y++) {
            for (size_t i = 0; i < d->block_count; i++) {
                row.block = &d->blocks[i];
                row.last = d->fold == 1 ? row.block->count : ((g->out_w - 1) % d->fold + 1) * g->out_c;
                row.in = in + y * g->stride_h * b->row_stride + row.block->first;
                row.out = out + y * g->out_w * g->out_c + row.block->first;
                d->row(&row);
            }
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    const depthwise *d = state;
    const uint8_t *input = call->inputs[0];
    size_t items = d->bands.geometry.images * d->bands.count;
    size_t parts = d->threads < (size_t)call->threads ? d->threads : (size_t)call->threads;
    parts = parts < items ? parts : items;
    if (parts <= 1) {
        run_items(d, input, call->outputs[0], call->scratch, 0, items);
        return PARE_OK;
    }
#pragma omp parallel for num_threads((int)parts) schedule(static)
    for (size_t part = 0; part < parts; part++) {
        uint8_t *own = (uint8_t *)call->scratch + part * d->bands.copy_bytes;
        run_items(d, input, call->outputs[0], own, x86_part(items, parts, part), x86_part(items, parts, part + 1));
    }
    return PARE_OK;
}

static pare_status plan_vnni(pare_site *site, void **state, pare_error *error) {
    return plan(site, PARE_ISA_AVX512_VNNI, pare_x86_depthwise_row_vnni, 4, state, error);
}
static pare_status plan_avx2(pare_site *site, void **state, pare_error *error) {
    return plan(site, PARE_ISA_AVX2, pare_x86_depthwise_row_avx2, 2, state, error);
}

const pare_kernel pare_x86_depthwise_vnni = {"avx512_vnni_depthwise", plan_vnni, run, destroy};
const pare_kernel pare_x86_depthwise_avx2 = {"avx2_depthwise", plan_avx2, run, destroy};

#endif
