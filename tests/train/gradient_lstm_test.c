/* LSTM through time: directions, layouts, states, and whichever outputs are read. */
#include <stdio.h>

#include "gradient_check.h"
#include "graph_case.h"
#include "pare/op.h"
#include "test.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

typedef struct lstm {
    const char *direction;
    bool bias, states, batch_first;
    bool read[3];
} lstm;

/* X [T, N, I] is [N, T, I] transposed, or that itself where the batch is first. */
static void build(gradient_net *g, const lstm *c) {
    char attributes[96];
    int64_t ways = c->direction[0] == 'b' ? 2 : 1, width = gradient_pick(g, 1, 5), hidden = gradient_pick(g, 1, 4);
    int64_t steps = gradient_pick(g, 1, 5);
    pare_value *inputs[7] = {gradient_plain(g, 3, DIMS(-1, steps, width), -1, 1)}, *y[3];
    if (!c->batch_first) {
        inputs[0] = NET(&g->n, "Transpose", "perm:I=1,0,2", inputs[0]);
    }
    inputs[1] = net_random(&g->n, 3, DIMS(ways, 4 * hidden, width), -0.8, 0.8);
    inputs[2] = net_random(&g->n, 3, DIMS(ways, 4 * hidden, hidden), -0.8, 0.8);
    inputs[3] = c->bias ? net_random(&g->n, 2, DIMS(ways, 8 * hidden), -0.5, 0.5) : NULL;
    for (int i = 0; c->states && i < 2; i++) {
        pare_value *state = gradient_plain(g, 3, DIMS(-1, ways, hidden), -1, 1);
        inputs[5 + i] = c->batch_first ? state : NET(&g->n, "Transpose", "perm:I=1,0,2", state);
    }
    for (int i = 0; i < 3; i++) {
        y[i] = pare_graph_add_value(g->n.graph, "y", PARE_F32, NULL);
    }
    snprintf(attributes, sizeof attributes, "hidden_size:i=%d direction:s=%s layout:i=%d", (int)hidden, c->direction,
             c->batch_first);
    pare_error error = {0};
    graph_add(g->n.graph, "LSTM", attributes, inputs, c->states ? 7 : 4, y, 3);
    assert_ok(pare_graph_infer(g->n.graph, &error), &error);
    for (int i = 0; i < 3; i++) {
        if (c->read[i]) {
            gradient_output(g, y[i]);
        }
    }
}

#define CASE(name, ...)                                                                                                \
    static void name(gradient_net *g) {                                                                                \
        build(g, &(const lstm){__VA_ARGS__});                                                                          \
    }

CASE(forward, "forward", true, false, false, {true, false, false})
CASE(no_bias, "forward", false, false, false, {true, true, true})
CASE(reverse, "reverse", true, true, false, {true, true, true})
CASE(both, "bidirectional", true, true, false, {true, true, true})
CASE(last_state, "forward", true, false, false, {false, true, false})
CASE(last_cell, "bidirectional", true, false, false, {false, false, true})
CASE(batch_first, "bidirectional", true, true, true, {true, true, true})
CASE(batch_first_last, "reverse", true, false, true, {false, true, false})

/* A second one reads the first one's states. */
static void stacked(gradient_net *g) {
    pare_value *x = NET(&g->n, "Transpose", "perm:I=1,0,2", gradient_plain(g, 3, DIMS(-1, 4, 3), -1, 1));
    pare_value *y = NET(&g->n, "LSTM", "hidden_size:i=4", x, net_random(&g->n, 3, DIMS(1, 16, 3), -0.8, 0.8),
                        net_random(&g->n, 3, DIMS(1, 16, 4), -0.8, 0.8));
    y = NET(&g->n, "Squeeze", "", y, net_ints(&g->n, 1, DIMS(1)));
    gradient_output(g, NET(&g->n, "LSTM", "hidden_size:i=2", y, net_random(&g->n, 3, DIMS(1, 8, 4), -0.8, 0.8),
                           net_random(&g->n, 3, DIMS(1, 8, 2), -0.8, 0.8)));
}

static const gradient_case cases[] = {
    {.op = "LSTM", .what = "forward", .build = forward, .parameters = 5},
    {.op = "LSTM", .what = "no bias, all outputs", .build = no_bias, .parameters = 4},
    {.op = "LSTM", .what = "reverse, initial states", .build = reverse, .parameters = 9},
    {.op = "LSTM", .what = "bidirectional, initial states", .build = both, .parameters = 9},
    {.op = "LSTM", .what = "last state", .build = last_state, .parameters = 5},
    {.op = "LSTM", .what = "last cell", .build = last_cell, .parameters = 5},
    {.op = "LSTM", .what = "batch first", .build = batch_first, .parameters = 9},
    {.op = "LSTM", .what = "batch first, last state", .build = batch_first_last, .parameters = 5},
    {.op = "LSTM", .what = "stacked", .build = stacked, .parameters = 6},
};

GRADIENT_MAIN(cases)
