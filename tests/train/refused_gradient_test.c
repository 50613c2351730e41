/* What has no gradient stops the recording with its node's name. */
#include <string.h>

#include "net_builder.h"
#include "pare/op.h"
#include "test.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

static void expect_refusal(net *n, pare_value *y, const char *text) {
    pare_error error = {0};
    pare_tape *tape = NULL;
    pare_graph *graph = net_finish(n, y);
    assert_ok(tape_create(graph, 2, 1, &tape, &error), &error);
    pare_status status = tape_record_graph(tape, &error);
    tape_free(tape);
    pare_graph_free(graph);
    if (strstr(error.message, "expected a build with oneDNN") != NULL) {
        skip();
    }
    assert_fails(status, PARE_UNSUPPORTED, &error, text);
}

/* An integer exponent that is computed. */
static void computed_integer_exponent(void **state) {
    (void)state;
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, 3}), *y = net_gemm(&n, x, 4);
    pare_value *exponent = NET(&n, "Cast", "to:i=7", net_input(&n, 2, (int64_t[]){-1, 4}));
    expect_refusal(&n, NET(&n, "Pow", "", y, exponent), "(Pow, opset");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(computed_integer_exponent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
