/* Shape rules of opcodes that multiply matrices. */
#include <inttypes.h>

#include "opcode_shapes.h"

pare_status pare_shapes_FULLY_CONNECTED(const pare_shape_query *query) {
    const pare_fully_connected_attrs *attrs = query->attrs;
    const pare_model_tensor *x = query->inputs[0];
    const pare_shape *w = &query->inputs[1]->shape;
    if (x->dtype != PARE_F32 && x->dtype != PARE_U8) {
        return pare_fail(query->error, PARE_UNSUPPORTED, "expected an input of type float32 or uint8, found %s",
                         pare_dtype_name(x->dtype));
    }
    PARE_TRY(pare_query_rank(query, "the input", &x->shape, 1, PARE_MAX_RANK));
    PARE_TRY(pare_query_rank(query, "the weights", w, 2, 2));
    PARE_TRY(pare_query_static(query, "weights", w->dims[0]));
    PARE_TRY(pare_query_static(query, "weights", w->dims[1]));
    PARE_TRY(pare_query_activation(query, &attrs->activation));
    pare_shape y = x->shape;
    int64_t *last = &y.dims[y.rank - 1];
    if (*last != w->dims[1]) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected %" PRId64 " features, found %" PRId64, w->dims[1],
                         *last);
    }
    *last = w->dims[0];
    PARE_TRY(pare_query_expect(query, "the bias", 2, &(pare_shape){1, {w->dims[0]}}));
    return pare_query_answer(query, &y, x->dtype);
}

/* Splits the last two dimensions off; a vector is a row (left) or a column (right). */
static void split(const pare_shape *shape, bool left, pare_shape *outer, int64_t *rows, int64_t *columns) {
    *outer = *shape;
    outer->rank = shape->rank < 2 ? 0 : shape->rank - 2;
    int64_t last = shape->dims[shape->rank - 1];
    int64_t before = shape->rank < 2 ? 1 : shape->dims[shape->rank - 2];
    bool column = shape->rank == 1 && !left;
    *rows = column ? last : before;
    *columns = column ? 1 : last;
}

pare_status pare_shapes_MATMUL(const pare_shape_query *query) {
    const pare_shape *a = &query->inputs[0]->shape;
    const pare_shape *b = &query->inputs[1]->shape;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_rank(query, "the left matrix", a, 1, PARE_MAX_RANK));
    PARE_TRY(pare_query_rank(query, "the right matrix", b, 1, PARE_MAX_RANK));
    pare_shape outer_a, outer_b, y;
    int64_t rows, inner, inner_b, columns;
    split(a, true, &outer_a, &rows, &inner);
    split(b, false, &outer_b, &inner_b, &columns);
    if (inner != inner_b || !pare_shape_broadcast(&outer_a, &outer_b, &y)) {
        char left[200], right[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected matrices that can be multiplied, found %s and %s",
                         pare_shape_text(a, left, sizeof left), pare_shape_text(b, right, sizeof right));
    }
    if (a->rank > 1) {
        y.dims[y.rank++] = rows;
    }
    if (b->rank > 1) {
        y.dims[y.rank++] = columns;
    }
    return pare_query_answer(query, &y, PARE_F32);
}

pare_status pare_shapes_LSTM(const pare_shape_query *query) {
    const pare_lstm_attrs *lstm = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_rank(query, "the input", x, 3, 3));
    PARE_TRY(pare_query_range(query, "a direction", lstm->direction, 0, 2));
    PARE_TRY(pare_query_range(query, "a hidden size", lstm->hidden, 1, INT32_MAX / 8));
    PARE_TRY(pare_query_static(query, "input features", x->dims[2]));
    int64_t directions = lstm->direction == 2 ? 2 : 1;
    int64_t hidden = lstm->hidden;
    pare_shape state = {3, {directions, x->dims[1], hidden}};
    PARE_TRY(pare_query_expect(query, "the weights", 1, &(pare_shape){3, {directions, 4 * hidden, x->dims[2]}}));
    PARE_TRY(pare_query_expect(query, "the recurrent weights", 2, &(pare_shape){3, {directions, 4 * hidden, hidden}}));
    PARE_TRY(pare_query_expect(query, "the bias", 3, &(pare_shape){2, {directions, 8 * hidden}}));
    PARE_TRY(pare_query_expect(query, "the initial hidden state", 4, &state));
    PARE_TRY(pare_query_expect(query, "the initial cell state", 5, &state));
    for (uint32_t i = 0; i < query->output_count; i++) {
        query->shapes[i] = i == 0 ? (pare_shape){4, {x->dims[0], directions, x->dims[1], hidden}} : state;
        query->dtypes[i] = PARE_F32;
    }
    return PARE_OK;
}
