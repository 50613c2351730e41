/* Plans: random networks of aliased, shared and reordered memory. */
#include "runtime_network.h"

enum { ELEMENTS = 24, NODES = 25 };

/* Random networks of in-place, aliased and reordered steps against direct evaluation. */
static void random_plan(pare_random *random, int reference) {
    static const pare_shape shapes[] = {SHAPE(1, 2, 3, 4), SHAPE(1, 4, 2, 3), SHAPE(1, 12, 2, 1)};
    pare_model_builder *b = start();
    float values[2 * NODES + 2][ELEMENTS];
    uint32_t ids[2 * NODES + 2];
    int shape_of[2 * NODES + 2];
    int count = 2;
    float in_data[2][ELEMENTS];
    for (int i = 0; i < 2; i++) {
        ids[i] = tensor(b, "x", PARE_F32, shapes[0], 0, 0, NULL);
        shape_of[i] = 0;
        input(b, ids[i]);
        for (int k = 0; k < ELEMENTS; k++) {
            in_data[i][k] = values[i][k] = (float)pare_random_below(random, 100) - 50.0F;
        }
    }
    for (int n = 0; n < NODES; n++) {
        int from = (int)pare_random_below(random, (uint64_t)count);
        int other = (int)pare_random_below(random, (uint64_t)count);
        int kind = (int)pare_random_below(random, 4);
        int to = count++;
        shape_of[to] = kind == 2 ? (int)pare_random_below(random, 3) : shape_of[from];
        ids[to] = tensor(b, "t", PARE_F32, shapes[shape_of[to]], 0, 0, NULL);
        if (kind == 1 && shape_of[other] == shape_of[from]) {
            pare_binary_attrs attrs = {.kind = PARE_BINARY_SUB, .activation = {PARE_FN_IDENTITY, 0, 0}};
            node(b, "sub", PARE_OP_BINARY, &attrs, (uint32_t[]){ids[from], ids[other]}, 2, ids[to]);
            for (int k = 0; k < ELEMENTS; k++) {
                values[to][k] = values[from][k] - values[other][k];
            }
        } else if (kind == 2) {
            pare_shape_attrs attrs = {.rank = 4};
            for (int k = 0; k < 4; k++) {
                attrs.dims[k] = (int32_t)shapes[shape_of[to]].dims[k];
            }
            node(b, "reshape", PARE_OP_RESHAPE, &attrs, &ids[from], 1, ids[to]);
            memcpy(values[to], values[from], sizeof values[to]);
        } else if (kind == 3) { /* through bytes, channels last */
            uint32_t q = tensor(b, "q", PARE_U8, shapes[shape_of[to]], 1, 128, NULL);
            node(b, "quantize", PARE_OP_QUANTIZE, &(pare_no_attrs){0}, &ids[from], 1, q);
            node(b, "dequantize", PARE_OP_DEQUANTIZE, &(pare_no_attrs){0}, &q, 1, ids[to]);
            for (int k = 0; k < ELEMENTS; k++) {
                float v = values[from][k];
                values[to][k] = v < -128.0F ? -128.0F : v > 127.0F ? 127.0F : v;
            }
        } else {
            pare_unary_attrs attrs = {.function = {PARE_FN_NEG, 0, 0}};
            node(b, "neg", PARE_OP_UNARY, &attrs, &ids[from], 1, ids[to]);
            for (int k = 0; k < ELEMENTS; k++) {
                values[to][k] = -values[from][k];
            }
        }
    }
    int ports[4];
    float out_data[4][ELEMENTS];
    pare_output_buffer out[4];
    for (int i = 0; i < 4; i++) { /* the last tensor and three others */
        ports[i] = i == 0 ? count - 1 : 2 + i * (NODES - 2) / 4 + (int)pare_random_below(random, 5);
        output(b, ids[ports[i]]);
        out[i] = (pare_output_buffer){out_data[i], sizeof out_data[i]};
    }
    pare_model *model = finish(b);
    pare_session *session = NULL;
    pare_error error;
    pare_session_options options = {.struct_size = sizeof options, .reference = reference, .threads = 2};
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    pare_input in[] = {{in_data[0], sizeof in_data[0]}, {in_data[1], sizeof in_data[1]}};
    for (int repeat = 0; repeat < 2; repeat++) {
        assert_ok(pare_session_run(session, in, 2, out, 4, &error), &error);
        for (int i = 0; i < 4; i++) {
            for (int k = 0; k < ELEMENTS; k++) {
                assert_true(out_data[i][k] == values[ports[i]][k]);
            }
        }
    }
    pare_session_free(session);
    pare_model_release(model);
}

static void random_plans_compute_what_they_should(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 31);
    for (int round = 0; round < 300; round++) {
        random_plan(&random, round % 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_plans_compute_what_they_should)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
