/* What has no gradient is refused by name, what cannot run says so, and memory that runs out while recording
 * or planning leaves nothing behind. */
#include <string.h>

#include "gradient_check.h"
#include "linear_loss.h"
#include "pare/op.h"
#include "test.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static gradient_net begin(void) {
    gradient_net g = {.batch = 2};
    net_start(&g.n, 3);
    g.n.graph->opset = 20;
    return g;
}

/* Recording fails and names the node of this operator. */
static void refused(gradient_net *g, pare_value *y, const char *op) {
    pare_tape *tape = NULL;
    pare_error error = {0};
    gradient_output(g, y);
    assert_ok(pare_graph_infer(g->n.graph, &error), &error);
    assert_ok(tape_create(g->n.graph, g->batch, 1, &tape, &error), &error);
    assert_fails(tape_record_graph(tape, &error), PARE_UNSUPPORTED, &error, y->producer->name);
    assert_non_null(strstr(error.message, op));
    tape_free(tape);
    pare_graph_free(g->n.graph);
}

static void hardmax_has_no_gradient(void **state) {
    (void)state;
    gradient_net g = begin();
    refused(&g, NET(&g.n, "Hardmax", "", gradient_plain(&g, 2, DIMS(-1, 4), -1, 1)), "Hardmax");
}

static void one_hot_values_have_no_gradient(void **state) {
    (void)state;
    gradient_net g = begin();
    pare_value *indices = net_ints(&g.n, 2, DIMS(0, 2)), *depth = net_ints(&g.n, 1, DIMS(3));
    refused(&g, NET(&g.n, "OneHot", "", indices, depth, gradient_plain(&g, 1, DIMS(2), -1, 1)), "OneHot");
}

static void gradients_do_not_pass_half_floats(void **state) {
    (void)state;
    gradient_net g = begin();
    refused(&g, NET(&g.n, "Cast", "to:i=10", gradient_plain(&g, 2, DIMS(-1, 4), -1, 1)), "Cast");
}

static void shrink_needs_sides_that_do_not_overlap(void **state) {
    (void)state;
    gradient_net g = begin();
    refused(&g, NET(&g.n, "Shrink", "lambd:f=-1", gradient_plain(&g, 2, DIMS(-1, 4), -1, 1)), "Shrink");
}

static void output_padding_has_a_limit(void **state) {
    (void)state;
    gradient_net g = begin();
    pare_value *x = gradient_plain(&g, 3, DIMS(-1, 2, 4), -1, 1);
    refused(&g, NET(&g.n, "ConvTranspose", "output_shape:I=9", x, net_random(&g.n, 3, DIMS(2, 3, 2), -1, 1)),
            "ConvTranspose");
}

/* An embedding of five rows, asked for the row `index`. */
static pare_status embed(int64_t index) {
    gradient_net g = begin();
    pare_shape shape = {.rank = 1, .dims = {-1}};
    pare_tape *tape = NULL;
    pare_error error = {0};
    pare_value *indices = pare_graph_add_input(g.n.graph, "i", PARE_S64, &shape);
    gradient_output(&g, NET(&g.n, "Gather", "", net_random(&g.n, 2, DIMS(5, 3), -1, 1), indices));
    assert_ok(tape_create(g.n.graph, g.batch, 1, &tape, &error), &error);
    assert_ok(tape_record_graph(tape, &error), &error);
    assert_ok(tape_allocate(tape, &error), &error);
    assert_ok(tape_plan(tape, &error), &error);
    int64_t *data = tape_input_data(tape, tape_find(tape, indices));
    data[0] = 0;
    data[1] = index;
    pare_status status = tape_forward(tape, 0, &error);
    assert_true(status == PARE_OK || strstr(error.message, "Gather") != NULL);
    tape_free(tape);
    pare_graph_free(g.n.graph);
    return status;
}

static void rows_must_exist(void **state) {
    (void)state;
    assert_int_equal(embed(4), PARE_OK);
    assert_int_equal(embed(-5), PARE_OK);
    assert_int_equal(embed(5), PARE_BAD_INPUT);
    assert_int_equal(embed(-6), PARE_BAD_INPUT);
}

/* --- faults ---------------------------------------------------------------------------- */

/* One network of everything that makes tensors while it records. */
static pare_value *everything(gradient_net *g) {
    int64_t eight = 8;
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 4, 8), -1, 1);
    x = NET(&g->n, "LayerNormalization", "", x, net_random(&g->n, 1, &eight, 0.5, 1.5),
            net_random(&g->n, 1, &eight, -1, 1));
    pare_value *y = NET(&g->n, "MatMul", "", x, net_random(&g->n, 2, DIMS(8, 8), -1, 1));
    y = NET(&g->n, "MatMul", "", NET(&g->n, "Softmax", "", y), NET(&g->n, "Transpose", "perm:I=0,2,1", x));
    y = NET(&g->n, "Concat", "axis:i=2", y, NET(&g->n, "CumSum", "", x, net_ints(&g->n, 1, DIMS(1))));
    y = NET(&g->n, "LSTM", "hidden_size:i=3 layout:i=1", y, net_random(&g->n, 3, DIMS(1, 12, 12), -1, 1),
            net_random(&g->n, 3, DIMS(1, 12, 3), -1, 1));
    y = NET(&g->n, "Transpose", "perm:I=0,3,1,2", y);
    y = NET(&g->n, "ConvTranspose", "strides:I=2,2", y, net_random(&g->n, 4, DIMS(3, 4, 2, 2), -1, 1));
    y = NET(&g->n, "Resize", "mode:s=linear axes:I=2,3", y, NULL, NULL, net_ints(&g->n, 2, DIMS(5, 5)));
    y = NET(&g->n, "GroupNormalization", "num_groups:i=2", NET(&g->n, "LRN", "size:i=3", y),
            net_random(&g->n, 1, DIMS(2), 0.5, 1.5), net_random(&g->n, 1, DIMS(4), -1, 1));
    y = NET(&g->n, "Shrink", "bias:f=0.1", NET(&g->n, "Gather", "axis:i=2", y, net_ints(&g->n, 2, DIMS(0, 3))));
    return NET(&g->n, "ReduceLogSumExp", "", NET(&g->n, "Trilu", "", y), net_ints(&g->n, 1, DIMS(1)));
}

static pare_status make_tape(const pare_graph *graph, linear_loss *loss, pare_tape **tape, pare_error *error) {
    PARE_TRY(tape_create((pare_graph *)(uintptr_t)graph, 2, 1, tape, error));
    PARE_TRY(tape_record_graph(*tape, error));
    PARE_TRY(linear_loss_record(*tape, loss, tape_find(*tape, graph->outputs[0]), error));
    PARE_TRY(tape_allocate(*tape, error));
    return tape_plan(*tape, error);
}

static void memory_may_run_out(void **state) {
    (void)state;
    static float weights[64], found[64];
    gradient_net g = begin();
    pare_error error = {0};
    gradient_output(&g, everything(&g));
    assert_ok(pare_graph_infer(g.n.graph, &error), &error);
    size_t tries = 0, before = pare_memory_used();
    for (int forever = 0; forever < 2; forever++) {
        pare_status status = PARE_LIMIT;
        for (size_t n = 1; status != PARE_OK; n++, tries++) {
            linear_loss loss = {.count = 2 * 5 * 2, .weights = weights, .found = found};
            pare_tape *tape = NULL;
            pare_memory_fail_at(n, forever != 0);
            status = make_tape(g.n.graph, &loss, &tape, &error);
            pare_memory_fail_at(0, false);
            tape_free(tape);
            assert_true(status == PARE_OK || status == PARE_LIMIT);
            assert_int_equal(pare_memory_used(), before);
        }
    }
    assert_true(tries > 100);
    pare_graph_free(g.n.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hardmax_has_no_gradient),
        cmocka_unit_test(one_hot_values_have_no_gradient),
        cmocka_unit_test(gradients_do_not_pass_half_floats),
        cmocka_unit_test(shrink_needs_sides_that_do_not_overlap),
        cmocka_unit_test(output_padding_has_a_limit),
        cmocka_unit_test(rows_must_exist),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
