#include "kernels/broadcast.h"

typedef struct where_state {
    broadcast walk;
    size_t bytes;
} where_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    pare_dtype type = site->outputs[0].dtype;
    if (site->inputs[0].dtype != PARE_BOOL || site->inputs[1].dtype != type || site->inputs[2].dtype != type) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(where_state), error));
    where_state *s = *state;
    want_plain(site);
    s->bytes = pare_dtype_bytes(type);
    broadcast_prepare(site, 3, &s->walk);
    return PARE_OK;
}

#define EACH(type)                                                                                                     \
    for (size_t i = 0; i < count; i++) {                                                                               \
        ((type *)y)[i] = choose[i * choose_step] ? ((const type *)a)[i * a_step] : ((const type *)b)[i * b_step];      \
    }                                                                                                                  \
    break

static void run_row(const where_state *s, const pare_call *call, size_t row) {
    const broadcast *walk = &s->walk;
    int32_t last = walk->rank - 1;
    size_t choose_step = walk->strides[0][last];
    size_t a_step = walk->strides[1][last];
    size_t b_step = walk->strides[2][last];
    size_t count = walk->row;
    const uint8_t *choose = (const uint8_t *)call->inputs[0] + broadcast_offset(walk, 0, row);
    const void *a = (const char *)call->inputs[1] + broadcast_offset(walk, 1, row) * s->bytes;
    const void *b = (const char *)call->inputs[2] + broadcast_offset(walk, 2, row) * s->bytes;
    void *y = (char *)call->outputs[0] + row * walk->row * s->bytes;
    switch (s->bytes) {
    case 1:
        EACH(uint8_t);
    case 2:
        EACH(uint16_t);
    case 4:
        EACH(uint32_t);
    default:
        EACH(uint64_t);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const where_state *s = state;
    (void)error;
    for (size_t row = 0; s->walk.row > 0 && row < s->walk.rows; row++) {
        run_row(s, call, row);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_where = {.name = "reference_where", .plan = plan, .run = run, .destroy = pare_free};
