#include "x86_gemm.h"

#if defined(__x86_64__)

/* Where each step reads, and which of a channel's weights its four bytes meet. */
typedef struct step_map {
    uint32_t *offsets; /* [count] */
    int64_t *sources;  /* [count][4]; -1: a zero */
    size_t count;
} step_map;

/* Working arrays of packing. */
typedef struct packing {
    const x86_geometry *geometry;
    x86_gemm_kind kind;
    bool may_widen;
    const int8_t *weights;
    step_map map;
    size_t taps; /* weights of a channel */
    size_t lanes, most_vectors;
    size_t overread;
    size_t panel_count, vector_count; /* over all groups */
} packing;

/* Along a kernel row without dilation the taps of all channels of one group-free
 * input are contiguous; they are then packed as one run, so that three channels
 * do not cost four. */
static bool whole_rows(const x86_geometry *g) {
    return g->dilation_w == 1 && g->groups == 1;
}

static size_t count_steps(const x86_geometry *g, size_t *overread) {
    size_t channels = g->in_c / g->groups;
    size_t run = whole_rows(g) ? channels * g->kernel_w : channels;
    size_t runs = whole_rows(g) ? g->kernel_h : g->kernel_h * g->kernel_w;
    *overread = (4 - run % 4) % 4;
    return runs * ((run + 3) / 4);
}

static void fill_steps(const x86_geometry *g, size_t row_stride, step_map *map) {
    size_t channels = g->in_c / g->groups, area = g->kernel_h * g->kernel_w;
    size_t taps_in_run = whole_rows(g) ? g->kernel_w : 1;
    size_t run = channels * taps_in_run, step = 0;
    for (size_t ky = 0; ky < g->kernel_h; ky++) {
        for (size_t kx = 0; kx < g->kernel_w; kx += taps_in_run) {
            size_t start = ky * g->dilation_h * row_stride + kx * g->dilation_w * g->in_c;
            for (size_t at = 0; at < run; at += 4, step++) {
                map->offsets[step] = (uint32_t)(start + at);
                for (size_t j = 0; j < 4; j++) {
                    size_t tap = kx + (at + j) / channels, channel = (at + j) % channels;
                    map->sources[4 * step + j] = at + j < run ? (int64_t)(channel * area + ky * g->kernel_w + tap) : -1;
                }
            }
        }
    }
}

static int8_t weight_at(const packing *p, size_t channel, size_t step, size_t lane) {
    int64_t source = p->map.sources[4 * step + lane];
    return source < 0 ? 0 : p->weights[channel * p->taps + (size_t)source];
}

/* True when no pair of a step's weights can saturate 16 bits. */
static bool step_is_safe(const packing *p, const x86_panel *panel, size_t step) {
    for (size_t c = 0; c < panel->count; c++) {
        for (size_t j = 0; j < 4; j += 2) {
            int a = weight_at(p, panel->first + c, step, j), b = weight_at(p, panel->first + c, step, j + 1);
            if ((a < 0 ? -a : a) + (b < 0 ? -b : b) > 128) {
                return false;
            }
        }
    }
    return true;
}

/* Four bytes a channel; widened steps hold bytes 0 and 2 of all channels, then 1 and 3. */
static void pack_step(const packing *p, const x86_panel *panel, size_t step, bool widened, int8_t *to) {
    size_t width = panel->vectors * p->lanes;
    for (size_t c = 0; c < panel->count; c++) {
        for (size_t j = 0; j < 4; j++) {
            size_t at = widened ? (j % 2) * 2 * width + 2 * c + j / 2 : 4 * c + j;
            to[at] = weight_at(p, panel->first + c, step, j);
        }
    }
}

/* False at a step that needs widening where `p` forbids that. */
static bool pack_panel(const packing *p, x86_panel *panel, int8_t *weights, uint32_t *steps) {
    size_t bytes = panel->vectors * p->lanes * 4;
    panel->weights = weights;
    panel->steps = steps;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t s = 0; s < p->map.count; s++) {
            bool safe = p->kind == X86_GEMM_VNNI || step_is_safe(p, panel, s);
            if (!safe && !p->may_widen) {
                return false;
            }
            if (safe != (pass == 0)) {
                continue;
            }
            pack_step(p, panel, s, !safe, weights);
            *steps++ = p->map.offsets[s];
            weights += bytes;
            panel->plain += safe ? 1 : 0;
            panel->widened += safe ? 0 : 1;
        }
    }
    return true;
}

/* Shares the output channels of each group among panels of nearly equal width. */
static bool pack_panels(const packing *p, x86_gemm *gemm, int8_t *weights, uint32_t *steps) {
    const x86_geometry *g = p->geometry;
    size_t channels = g->out_c / g->groups, per_group = p->panel_count / g->groups;
    size_t vectors = (channels + p->lanes - 1) / p->lanes;
    x86_panel *panel = gemm->panels;
    for (size_t group = 0; group < g->groups; group++) {
        for (size_t i = 0; i < per_group; i++, panel++) {
            /* AVX2 wants full panels and one narrow one, AVX-512 widths as equal as can be. */
            bool equal = p->kind == X86_GEMM_VNNI;
            size_t from = equal ? x86_part(vectors, per_group, i) : i * p->most_vectors;
            size_t to = equal ? x86_part(vectors, per_group, i + 1) : from + p->most_vectors;
            to = to < vectors ? to : vectors;
            panel->vectors = to - from;
            panel->first = group * channels + from * p->lanes;
            panel->count = (to * p->lanes < channels ? to * p->lanes : channels) - from * p->lanes;
            panel->group_offset = group * (g->in_c / g->groups);
            if (!pack_panel(p, panel, weights, steps)) {
                return false;
            }
            weights += p->map.count * panel->vectors * p->lanes * 4;
            steps += p->map.count;
        }
    }
    return true;
}

static void fill_bias(const packing *p, const int32_t *bias, int32_t zero, int32_t *to) {
    for (size_t o = 0; o < p->geometry->out_c; o++) {
        int64_t sum = 0;
        for (size_t t = 0; t < p->taps; t++) {
            sum += p->weights[o * p->taps + t];
        }
        /* The correction alone may leave 32 bits; sums wrap back, since the whole does not. */
        to[o] = (int32_t)(uint32_t)((bias != NULL ? bias[o] : 0) - zero * sum);
    }
}

static void fill_row_offsets(const x86_bands *bands, uint32_t *offsets) {
    const x86_geometry *g = &bands->geometry;
    size_t i = 0;
    for (size_t y = 0; y < bands->rows; y++) {
        for (size_t x = 0; x < g->out_w; x++) {
            offsets[i++] = (uint32_t)(y * g->stride_h * bands->row_stride + x * g->stride_w * g->in_c);
        }
    }
}

/* More bands or parts of the panels, until each thread has as much to do as the others. */
static void share(x86_gemm *gemm, size_t threads, double macs) {
    x86_bands *b = &gemm->bands;
    const x86_geometry *g = &b->geometry;
    gemm->chunks = 1;
    /* Below this, waking a thread takes longer than its work. */
    double useful = macs / 200000.0;
    threads = useful < (double)threads ? (size_t)useful : threads;
    gemm->threads = threads < 1 ? 1 : threads;
    size_t items = g->images * b->count;
    if (gemm->threads == 1 || items >= 4 * gemm->threads || items % gemm->threads == 0) {
        return;
    }
    double pixels = (double)g->images * (double)g->out_h * (double)g->out_w;
    if (gemm->panel_count >= 2 * gemm->threads && pixels < 32.0 * (double)gemm->threads) {
        gemm->chunks = gemm->threads;
        return;
    }
    size_t wanted = b->count;
    while (wanted < g->out_h && wanted * g->images % gemm->threads != 0) {
        wanted++;
    }
    b->rows = (g->out_h + wanted - 1) / wanted;
    b->count = (g->out_h + b->rows - 1) / b->rows;
}

/* One block: panels, bias, scales, row offsets, steps, weights. */
static bool allocate(x86_gemm *gemm, const packing *p, int8_t **weights, uint32_t **steps) {
    const x86_geometry *g = p->geometry;
    size_t channels = g->out_c + 64, rows = gemm->bands.rows * g->out_w;
    size_t vector_bytes = p->lanes * 4, packed, step_bytes, panel_bytes;
    if (!pare_mul_size(p->vector_count * vector_bytes, p->map.count, &packed) ||
        !pare_mul_size(p->panel_count * sizeof(uint32_t), p->map.count, &step_bytes) ||
        !pare_mul_size(p->panel_count, sizeof(x86_panel), &panel_bytes)) {
        return false;
    }
    size_t tables = panel_bytes + 8 * channels + 4 * rows, total;
    if (!pare_add_size(packed, step_bytes, &total) || !pare_add_size(total, tables + 128, &total)) {
        return false;
    }
    uint8_t *at = pare_alloc_zero(1, total);
    if (at == NULL) {
        return false;
    }
    gemm->block = at;
    gemm->block_bytes = total;
    *weights = (int8_t *)at;
    at += packed;
    gemm->panels = (x86_panel *)(void *)at;
    at += panel_bytes;
    gemm->epilogue.bias = (int32_t *)(void *)at;
    at += 4 * channels;
    gemm->epilogue.scale = (float *)(void *)at;
    at += 4 * channels;
    gemm->row_offsets = (uint32_t *)(void *)at;
    at += 4 * rows;
    *steps = (uint32_t *)(void *)at;
    return true;
}

static void prepare(packing *p, const x86_geometry *g, x86_gemm_kind kind, const int8_t *weights) {
    *p = (packing){.geometry = g, .kind = kind, .weights = weights};
    p->lanes = kind == X86_GEMM_VNNI ? 16 : 8;
    p->most_vectors = kind == X86_GEMM_VNNI ? 4 : 2;
    p->taps = g->in_c / g->groups * g->kernel_h * g->kernel_w;
    size_t vectors = (g->out_c / g->groups + p->lanes - 1) / p->lanes;
    p->vector_count = vectors * g->groups;
    p->panel_count = (vectors + p->most_vectors - 1) / p->most_vectors * g->groups;
    p->map.count = count_steps(g, &p->overread);
}

pare_status pare_x86_gemm_create(const x86_geometry *geometry, x86_gemm_kind kind, const int8_t *weights,
                                 const int32_t *bias, int32_t input_zero, int32_t threads, bool may_widen,
                                 x86_gemm **result, pare_error *error) {
    packing p;
    pare_status status = PARE_OK;
    prepare(&p, geometry, kind, weights);
    p.may_widen = may_widen;
    x86_gemm *gemm = pare_alloc_zero(1, sizeof *gemm);
    p.map.offsets = pare_alloc_zero(p.map.count, sizeof *p.map.offsets);
    p.map.sources = pare_alloc_zero(p.map.count, 4 * sizeof *p.map.sources);
    if (gemm == NULL || p.map.offsets == NULL || p.map.sources == NULL) {
        status = pare_fail_memory(error, p.map.count * 36);
        goto done;
    }
    gemm->bands.geometry = *geometry;
    gemm->panel_count = p.panel_count;
    gemm->rows = kind == X86_GEMM_VNNI ? pare_x86_rows_vnni : pare_x86_rows_avx2;
    if (!pare_x86_bands_plan(&gemm->bands, p.overread, 64 * 1024)) {
        status = PARE_UNSUPPORTED;
        goto done;
    }
    double pixels = (double)geometry->images * (double)geometry->out_h * (double)geometry->out_w;
    share(gemm, (size_t)threads, pixels * (double)p.taps * (double)geometry->out_c);
    int8_t *packed;
    uint32_t *steps;
    if (!allocate(gemm, &p, &packed, &steps)) {
        status = pare_fail_memory(error, p.vector_count * p.map.count * p.lanes * 4);
        goto done;
    }
    fill_row_offsets(&gemm->bands, gemm->row_offsets);
    fill_steps(geometry, gemm->bands.row_stride, &p.map);
    fill_bias(&p, bias, input_zero, (int32_t *)(uintptr_t)gemm->epilogue.bias);
    if (!pack_panels(&p, gemm, packed, steps)) {
        status = PARE_UNSUPPORTED;
        goto done;
    }
    *result = gemm;
    gemm = NULL;
done:
    pare_free(p.map.offsets);
    pare_free(p.map.sources);
    pare_x86_gemm_free(gemm);
    return status;
}

void pare_x86_gemm_free(void *state) {
    x86_gemm *gemm = state;
    if (gemm != NULL) {
        pare_free(gemm->block);
        pare_free(gemm);
    }
}

size_t pare_x86_gemm_scratch(const x86_gemm *gemm) {
    return gemm->bands.copy_bytes * gemm->threads;
}

/* Items from .. to of [image][band][chunk]. */
static void run_items(const x86_gemm *gemm, const uint8_t *input, const uint8_t *residual, uint8_t *output,
                      uint8_t *scratch, size_t from, size_t to) {
    const x86_bands *b = &gemm->bands;
    const x86_geometry *g = &b->geometry;
    for (size_t item = from; item < to; item++) {
        size_t chunk = item % gemm->chunks, band = item / gemm->chunks % b->count,
               image = item / gemm->chunks / b->count;
        size_t first = band * b->rows, rows = g->out_h - first < b->rows ? g->out_h - first : b->rows;
        const uint8_t *base = pare_x86_bands_load(b, input, image, band, scratch);
        size_t out_at = (image * g->out_h + first) * g->out_w * g->out_c;
        x86_tile tile = {.row_offsets = gemm->row_offsets,
                         .row_count = rows * g->out_w,
                         .epilogue = &gemm->epilogue,
                         .out_stride = g->out_c};
        size_t last = x86_part(gemm->panel_count, gemm->chunks, chunk + 1);
        for (size_t i = x86_part(gemm->panel_count, gemm->chunks, chunk); i < last; i++) {
            tile.panel = &gemm->panels[i];
            tile.base = base + tile.panel->group_offset;
            tile.out = output + out_at + tile.panel->first;
            tile.residual = residual != NULL ? residual + out_at + tile.panel->first : NULL;
            gemm->rows(&tile);
        }
    }
}

void pare_x86_gemm_run(const x86_gemm *gemm, const uint8_t *input, const uint8_t *residual, uint8_t *output,
                       void *scratch, int32_t threads) {
    size_t items = gemm->bands.geometry.images * gemm->bands.count * gemm->chunks;
    size_t parts = gemm->threads < (size_t)threads ? gemm->threads : (size_t)threads;
    parts = parts < items ? parts : items;
    if (parts <= 1) {
        run_items(gemm, input, residual, output, scratch, 0, items);
        return;
    }
#pragma omp parallel for num_threads((int)parts) schedule(static)
    for (size_t part = 0; part < parts; part++) {
        uint8_t *own = (uint8_t *)scratch + part * gemm->bands.copy_bytes;
        run_items(gemm, input, residual, output, own, x86_part(items, parts, part), x86_part(items, parts, part + 1));
    }
}

bool pare_x86_gemm_scales(x86_gemm *gemm, float input_scale, const pare_model_quant *weights, float output_scale) {
    float *scale = (float *)(uintptr_t)gemm->epilogue.scale;
    gemm->epilogue.fits = true;
    for (size_t o = 0; o < gemm->bands.geometry.out_c; o++) {
        double product = (double)input_scale * (double)weights->scales[weights->count == 1 ? 0 : o];
        scale[o] = (float)(product / (double)output_scale);
        if (!x86_tame(scale[o])) {
            return false;
        }
        gemm->epilogue.fits = gemm->epilogue.fits && scale[o] < 0.999F;
    }
    return true;
}

bool pare_x86_weights_fit(const pare_operand *weights, const pare_operand *bias, size_t count) {
    if (!weights->present || weights->dtype != PARE_S8 || weights->constant == NULL || weights->quant == NULL ||
        (bias != NULL && (bias->dtype != PARE_S32 || bias->constant == NULL)) ||
        (weights->quant->count != 1 && (weights->quant->count != count || weights->quant->axis != 0))) {
        return false;
    }
    for (uint32_t i = 0; i < weights->quant->count; i++) {
        if (weights->quant->zero_points[i] != 0) {
            return false;
        }
    }
    return true;
}

#endif
