#include "kernels/reference.h"

#define ROWS 4 /* rows of y that share each load of b */

typedef struct matmul_state {
    int64_t m, n, k, matrices;
    int32_t rank;                                               /* of the matrices' index */
    int64_t extents[PARE_MAX_RANK];                             /* of y's leading dimensions */
    int64_t a_strides[PARE_MAX_RANK], b_strides[PARE_MAX_RANK]; /* in matrices; 0 where broadcast */
} matmul_state;

/* Distances between the matrices of an operand along y's leading dimensions. */
static void leading_strides(const pare_shape *shape, const matmul_state *s, int64_t strides[PARE_MAX_RANK]) {
    int32_t own = shape->rank > 2 ? shape->rank - 2 : 0;
    int64_t stride = 1;
    for (int32_t i = 0; i < s->rank; i++) {
        strides[i] = 0;
    }
    for (int32_t i = 0; i < own; i++) {
        int64_t extent = shape->dims[own - 1 - i];
        strides[s->rank - 1 - i] = extent == 1 ? 0 : stride;
        stride *= extent;
    }
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_shape *a = &site->inputs[0].shape;
    const pare_shape *b = &site->inputs[1].shape;
    if (site->inputs[0].dtype != PARE_F32 || site->inputs[1].dtype != PARE_F32 || a->rank < 1 || b->rank < 1) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(matmul_state), error));
    matmul_state *s = *state;
    int32_t a_lead = a->rank > 2 ? a->rank - 2 : 0;
    int32_t b_lead = b->rank > 2 ? b->rank - 2 : 0;
    s->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    s->k = a->dims[a->rank - 1];
    s->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    s->rank = a_lead > b_lead ? a_lead : b_lead;
    s->matrices = 1;
    for (int32_t i = 0; i < s->rank; i++) {
        int64_t from_a = i - (s->rank - a_lead) >= 0 ? a->dims[i - (s->rank - a_lead)] : 1;
        int64_t from_b = i - (s->rank - b_lead) >= 0 ? b->dims[i - (s->rank - b_lead)] : 1;
        s->extents[i] = from_a == 1 ? from_b : from_a;
        s->matrices *= s->extents[i];
    }
    leading_strides(a, s, s->a_strides);
    leading_strides(b, s, s->b_strides);
    want_plain(site);
    return PARE_OK;
}

/* Rows [0, rows) of y = a b; each element is summed in the order of k. */
REFERENCE_CLONES static void multiply_rows(const float *a, const float *b, float *y, int64_t rows, int64_t n,
                                           int64_t k_count) {
    for (int64_t i = 0; i < rows * n; i++) {
        y[i] = 0.0F;
    }
    for (int64_t k = 0; k < k_count; k++) {
        const float *restrict from = b + k * n;
        if (rows == ROWS) {
            float a0 = a[k];
            float a1 = a[k_count + k];
            float a2 = a[2 * k_count + k];
            float a3 = a[3 * k_count + k];
            float *restrict y0 = y;
            float *restrict y1 = y + n;
            float *restrict y2 = y + 2 * n;
            float *restrict y3 = y + 3 * n;
            for (int64_t j = 0; j < n; j++) {
                y0[j] += a0 * from[j];
                y1[j] += a1 * from[j];
                y2[j] += a2 * from[j];
                y3[j] += a3 * from[j];
            }
            continue;
        }
        for (int64_t r = 0; r < rows; r++) {
            float *restrict to = y + r * n;
            float value = a[r * k_count + k];
            for (int64_t j = 0; j < n; j++) {
                to[j] += value * from[j];
            }
        }
    }
}

static int64_t matrix_index(const matmul_state *s, const int64_t *strides, int64_t matrix) {
    int64_t index = 0;
    for (int32_t i = s->rank - 1; i >= 0; i--) {
        index += matrix % s->extents[i] * strides[i];
        matrix /= s->extents[i];
    }
    return index;
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const matmul_state *s = state;
    int64_t blocks = (s->m + ROWS - 1) / ROWS;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < s->matrices * blocks; task++) {
        int64_t matrix = task / blocks;
        int64_t first = task % blocks * ROWS;
        const float *a = (const float *)call->inputs[0] + matrix_index(s, s->a_strides, matrix) * s->m * s->k;
        const float *b = (const float *)call->inputs[1] + matrix_index(s, s->b_strides, matrix) * s->k * s->n;
        float *y = (float *)call->outputs[0] + (matrix * s->m + first) * s->n;
        multiply_rows(a + first * s->k, b, y, s->m - first < ROWS ? s->m - first : ROWS, s->n, s->k);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_matmul = {.name = "reference_matmul", .plan = plan, .run = run, .destroy = pare_free};
