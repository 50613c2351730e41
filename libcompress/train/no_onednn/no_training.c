/* Where Pare is built without oneDNN nothing trains: the steps that need its
 * primitives are refused, and all floats lie in row-major order. */
#include "train/tape/tape_plan.h"
#include "train/tape/tape_run.h"
#include "train/tape/tape_steps.h"

static pare_status refuse(const pare_node *node, pare_error *error) {
    return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a build with oneDNN to train, found one without");
}

pare_status tape_conv(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x, uint32_t w,
                      uint32_t bias, uint32_t y, pare_error *error) {
    (void)tape, (void)attrs, (void)x, (void)w, (void)bias, (void)y;
    return refuse(node, error);
}

pare_status tape_conv_transpose(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x,
                                uint32_t w, uint32_t bias, uint32_t y, pare_error *error) {
    return tape_conv(tape, node, attrs, x, w, bias, y, error);
}

pare_status tape_inner_product(pare_tape *tape, const pare_node *node, bool transposed, uint32_t x, uint32_t w,
                               uint32_t bias, uint32_t y, pare_error *error) {
    (void)tape, (void)transposed, (void)x, (void)w, (void)bias, (void)y;
    return refuse(node, error);
}

pare_status tape_batch_norm(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                            uint32_t mean, uint32_t variance, float epsilon, float momentum, uint32_t y,
                            pare_error *error) {
    (void)tape, (void)x, (void)scale, (void)bias, (void)mean, (void)variance, (void)epsilon, (void)momentum, (void)y;
    return refuse(node, error);
}

pare_status tape_pool(pare_tape *tape, const pare_node *node, const tape_pool_attrs *attrs, uint32_t x, uint32_t y,
                      pare_error *error) {
    (void)tape, (void)attrs, (void)x, (void)y;
    return refuse(node, error);
}

pare_status tape_matmul(pare_tape *tape, const pare_node *node, uint32_t a, uint32_t b, uint32_t y, pare_error *error) {
    (void)tape, (void)a, (void)b, (void)y;
    return refuse(node, error);
}

pare_status tape_normalize(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                           float epsilon, uint32_t y, pare_error *error) {
    (void)tape, (void)x, (void)scale, (void)bias, (void)epsilon, (void)y;
    return refuse(node, error);
}

pare_status tape_softmax(pare_tape *tape, const pare_node *node, int32_t axis, bool logarithm, uint32_t x, uint32_t y,
                         pare_error *error) {
    (void)tape, (void)axis, (void)logarithm, (void)x, (void)y;
    return refuse(node, error);
}

pare_status tape_transpose(pare_tape *tape, const pare_node *node, const int32_t *permutation, uint32_t x, uint32_t y,
                           pare_error *error) {
    (void)tape, (void)permutation, (void)x, (void)y;
    return refuse(node, error);
}

pare_status tape_concat(pare_tape *tape, const pare_node *node, int32_t axis, const uint32_t *inputs, size_t count,
                        uint32_t y, pare_error *error) {
    (void)tape, (void)axis, (void)inputs, (void)count, (void)y;
    return refuse(node, error);
}

pare_status tape_lstm(pare_tape *tape, const pare_node *node, const pare_lstm_attrs *attrs, const uint32_t *inputs,
                      const uint32_t *outputs, pare_error *error) {
    (void)tape, (void)attrs, (void)inputs, (void)outputs;
    return refuse(node, error);
}

const tape_step_class *tape_resampling_class(void) {
    return NULL;
}

size_t tape_layout_floats(const tape_layout *layout, const pare_shape *shape) {
    size_t elements = 0;
    (void)layout;
    return pare_shape_elements(shape, &elements) ? elements : 0;
}

bool tape_layout_equal(const tape_layout *a, const tape_layout *b) {
    return a == b;
}

bool tape_layout_padded(const tape_layout *layout, const pare_shape *shape) {
    (void)layout, (void)shape;
    return false;
}

pare_status tape_emit_reorder(pare_tape *tape, const tape_step *step, const pare_shape *shape, const tape_place *from,
                              const tape_place *to, pare_error *error) {
    (void)tape, (void)step, (void)shape, (void)from, (void)to;
    return pare_fail(error, PARE_UNSUPPORTED, "expected a build with oneDNN to train, found one without");
}

const char *tape_instruction_set(void) {
    return "none";
}
