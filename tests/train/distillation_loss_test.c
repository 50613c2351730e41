/* Losses against a teacher: values, gradients, extremes. */
#include "loss_case.h"

static double logits_loss(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_distill_logits(x, c->targets, c->samples, c->width, c->temperature, weight, gradient);
}

/* softmax(z / temperature) over the classes but `without` (-1: all). */
static real probability(const real *z, size_t classes, size_t at, int without, real temperature) {
    real total = 0;
    for (size_t c = 0; c < classes; c++) {
        total += (int)c == without ? 0 : expl(z[c] / temperature);
    }
    return expl(z[at] / temperature) / total;
}

static void teacher_row(const loss_case *c, size_t n, real *row) {
    for (size_t k = 0; k < c->width; k++) {
        row[k] = (real)c->targets[n * c->width + k];
    }
}

/* p log(p / q), where p = 0 adds nothing */
static real divergence_term(real p, real q) {
    return p > 0 ? p * logl(p / q) : 0;
}

static real logits_formula(const loss_case *c, const real *x) {
    static real teacher[LOSS_CASE_MAX];
    real loss = 0, temperature = (real)c->temperature;
    for (size_t n = 0; n < c->samples; n++) {
        const real *row = x + n * c->width;
        teacher_row(c, n, teacher);
        real q_scale = probability(row, c->width, 0, -1, temperature) / expl(row[0] / temperature);
        real p_scale = probability(teacher, c->width, 0, -1, temperature) / expl(teacher[0] / temperature);
        for (size_t k = 0; k < c->width; k++) {
            loss += divergence_term(p_scale * expl(teacher[k] / temperature), q_scale * expl(row[k] / temperature));
        }
    }
    return temperature * temperature * loss / (real)c->samples;
}

static double decoupled_loss(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_distill_decoupled(x, c->targets, c->labels, c->samples, c->width, c->temperature, c->alpha,
                                       c->beta, weight, gradient);
}

/* Equation 7 as it stands: KL of (p_label, 1 - p_label), and KL among the others, with 1 - p summed up. */
static real decoupled_formula(const loss_case *c, const real *x) {
    static real teacher[LOSS_CASE_MAX];
    real loss = 0, temperature = (real)c->temperature;
    size_t labelled = 0;
    for (size_t n = 0; n < c->samples; n++) {
        int label = c->labels[n];
        if (label < 0 || (size_t)label >= c->width) {
            continue;
        }
        labelled++;
        const real *row = x + n * c->width;
        teacher_row(c, n, teacher);
        real q_others = 0, p_others = 0, others = 0;
        for (size_t k = 0; k < c->width; k++) {
            if ((int)k != label) {
                q_others += probability(row, c->width, k, -1, temperature);
                p_others += probability(teacher, c->width, k, -1, temperature);
                others += divergence_term(probability(teacher, c->width, k, label, temperature),
                                          probability(row, c->width, k, label, temperature));
            }
        }
        real target = divergence_term(p_others, q_others);
        target += divergence_term(probability(teacher, c->width, (size_t)label, -1, temperature),
                                  probability(row, c->width, (size_t)label, -1, temperature));
        loss += (real)c->alpha * target + (real)c->beta * others;
    }
    return temperature * temperature * loss / (real)labelled;
}

static double attention(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_attention(x, c->channels, c->targets, c->teacher, c->samples, c->positions, weight, gradient);
}

static real energy(const real *map, size_t channels, size_t positions, size_t at) {
    real sum = 0;
    for (size_t c = 0; c < channels; c++) {
        sum += map[c * positions + at] * map[c * positions + at];
    }
    return sum / (real)channels;
}

static real energy_norm(const real *map, size_t channels, size_t positions) {
    real sum = 0;
    for (size_t i = 0; i < positions; i++) {
        sum += energy(map, channels, positions, i) * energy(map, channels, positions, i);
    }
    return fmaxl(sqrtl(sum), 1e-12L);
}

static real attention_formula(const loss_case *c, const real *x) {
    static real teacher[LOSS_CASE_MAX];
    real loss = 0;
    for (size_t n = 0; n < c->samples; n++) {
        const real *student = x + n * c->width;
        for (size_t i = 0; i < c->teacher * c->positions; i++) {
            teacher[i] = (real)c->targets[n * c->teacher * c->positions + i];
        }
        real ns = energy_norm(student, c->channels, c->positions), nt = energy_norm(teacher, c->teacher, c->positions);
        for (size_t i = 0; i < c->positions; i++) {
            real d =
                energy(student, c->channels, c->positions, i) / ns - energy(teacher, c->teacher, c->positions, i) / nt;
            loss += d * d;
        }
    }
    return loss / (real)(c->samples * c->positions);
}

static float x[LOSS_CASE_MAX], teacher[LOSS_CASE_MAX];
static int labels[64];

static const size_t shapes[][2] = {{1, 1}, {1, 2}, {3, 2}, {5, 3}, {4, 8}, {7, 10}, {2, 33}, {1, 1025}, {1, 1500}};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void logits_match_their_formula(void **state) {
    (void)state;
    static const float temperatures[] = {1.0F, 4.0F, 0.5F};
    pare_random random;
    pare_random_seed(&random, 1);
    for (size_t k = 0; k < 3 * SHAPES; k++) {
        loss_case c = {.samples = shapes[k / 3][0], .width = shapes[k / 3][1], .targets = teacher};
        c.temperature = temperatures[k % 3];
        fill_uniform(&random, x, c.samples * c.width, 5.0);
        fill_uniform(&random, teacher, c.samples * c.width, 5.0);
        check_loss(logits_loss, logits_formula, &c, x);
    }
}

static void draw_labels(pare_random *random, const loss_case *c) {
    for (size_t n = 0; n < c->samples; n++) {
        labels[n] = (int)pare_random_below(random, c->width);
    }
    labels[0] = 0;                              /* nothing before the label … */
    labels[c->samples - 1] = (int)c->width - 1; /* … or behind it */
}

static void decoupled_matches_equation_7(void **state) {
    (void)state;
    static const float settings[][3] = {{1, 1, 1}, {4, 1, 8}, {2, 0, 2}, {4, 3, 0}};
    pare_random random;
    pare_random_seed(&random, 2);
    for (size_t k = 0; k < 4 * 6; k++) { /* the formula is cubic in the classes */
        loss_case c = {.samples = shapes[1 + k / 4][0], .width = shapes[1 + k / 4][1], .targets = teacher};
        const float *s = settings[k % 4];
        c.labels = labels;
        c.temperature = s[0];
        c.alpha = s[1];
        c.beta = s[2];
        fill_uniform(&random, x, c.samples * c.width, 5.0);
        fill_uniform(&random, teacher, c.samples * c.width, 5.0);
        draw_labels(&random, &c);
        check_loss(decoupled_loss, decoupled_formula, &c, x);
    }
}

/* With alpha = 1 and beta = 1 - p(label) of the teacher, one row's DKD is Hinton's loss (eq. 5). */
static void decoupled_contains_the_classic_loss(void **state) {
    (void)state;
    enum { CLASSES = 3000 }; /* several chunks before and behind the label */
    pare_random random;
    pare_random_seed(&random, 3);
    fill_uniform(&random, x, CLASSES, 3.0);
    fill_uniform(&random, teacher, CLASSES, 3.0);
    static float classic[CLASSES], decoupled[CLASSES];
    int label = 1300;
    teacher[label] = 9.0F;
    real total = 0;
    for (size_t k = 0; k < CLASSES; k++) {
        total += expl((real)teacher[k] / 2);
    }
    float beta = (float)(1 - expl((real)teacher[label] / 2) / total);
    double expected = pare_loss_distill_logits(x, teacher, 1, CLASSES, 2.0F, 1.0F, classic);
    double found = pare_loss_distill_decoupled(x, teacher, &label, 1, CLASSES, 2.0F, 1.0F, beta, 1.0F, decoupled);
    assert_close("loss", 0, found, (real)expected, 1e-6, 0);
    for (size_t k = 0; k < CLASSES; k++) {
        assert_close("derivative", k, (double)decoupled[k], (real)classic[k], 1e-5, 1e-9);
    }
}

static void labels_outside_leave_their_sample_out(void **state) {
    (void)state;
    static const float student[] = {1, 2, 0, 4, 1, 0, 0, 0, 1}, other[] = {0, 2, 1, 1, 1, 3, 2, 0, 0};
    static const int some[] = {-1, 2, 3}, none[] = {-1, 3, INT32_MAX}, one[] = {2};
    float gradient[9] = {0}, alone[3] = {0};
    double loss = pare_loss_distill_decoupled(student, other, some, 3, 3, 2.0F, 1.0F, 4.0F, 1.0F, gradient);
    double expected = pare_loss_distill_decoupled(student + 3, other + 3, one, 1, 3, 2.0F, 1.0F, 4.0F, 1.0F, alone);
    assert_true(loss == expected && loss > 0);
    assert_memory_equal(gradient + 3, alone, sizeof alone);
    for (size_t i = 0; i < 9; i++) {
        assert_true((gradient[i] != 0) == (i >= 3 && i < 6));
    }
    assert_true(pare_loss_distill_decoupled(student, other, none, 3, 3, 2.0F, 1.0F, 4.0F, 1.0F, gradient) == 0);
    static const int zeros[] = {0, 0, 0};
    assert_true(pare_loss_distill_decoupled(student, other, zeros, 3, 1, 2.0F, 1.0F, 4.0F, 1.0F, gradient) == 0);
    assert_memory_equal(gradient + 3, alone, sizeof alone);
}

static void logits_far_out_keep_value_and_gradient(void **state) {
    (void)state;
    static const float far[] = {80, -80, 1e4F, -1e4F, 0, 30, -30};
    pare_random random;
    pare_random_seed(&random, 4);
    for (size_t k = 0; k < 40; k++) {
        loss_case c = {.samples = 4, .width = 6, .targets = teacher, .temperature = 4.0F, .alpha = 1.0F, .beta = 2.0F};
        c.labels = labels;
        fill_choices(&random, x, 24, far, 7);
        fill_choices(&random, teacher, 24, far, 7);
        draw_labels(&random, &c);
        check_loss(logits_loss, logits_formula, &c, x);
        check_loss(decoupled_loss, decoupled_formula, &c, x);
    }
}

static void equal_students_have_no_loss(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 5);
    fill_uniform(&random, x, 480, 5.0);
    for (int i = 0; i < 48; i++) {
        labels[i] = i % 10;
    }
    float gradient[480] = {0};
    assert_close("logits", 0, pare_loss_distill_logits(x, x, 48, 10, 4.0F, 1.0F, gradient), 0, 0, 1e-15);
    assert_close("decoupled", 0, pare_loss_distill_decoupled(x, x, labels, 48, 10, 4.0F, 1.0F, 8.0F, 1.0F, gradient), 0,
                 0, 1e-14);
    assert_true(pare_loss_attention(x, 4, x, 4, 10, 12, 1.0F, gradient) == 0);
    for (size_t i = 0; i < 480; i++) {
        assert_close("derivative", i, (double)gradient[i], 0, 0, 1e-15);
    }
}

static void attention_matches_its_formula(void **state) {
    (void)state;
    /* samples, student's and teacher's channels, positions; 1,024 positions are held at a time */
    static const size_t maps[][4] = {{1, 1, 1, 1},  {1, 1, 1, 5},  {2, 3, 5, 7},    {3, 4, 2, 16},
                                     {2, 7, 7, 49}, {1, 2, 3, 64}, {1, 2, 1, 1025}, {2, 1, 1, 2100}};
    pare_random random;
    pare_random_seed(&random, 6);
    for (size_t k = 0; k < sizeof maps / sizeof *maps; k++) {
        const size_t *m = maps[k];
        loss_case c = {.samples = m[0], .channels = m[1], .teacher = m[2], .positions = m[3], .targets = teacher};
        c.width = m[1] * m[3];
        assert_true(m[0] * m[2] * m[3] <= LOSS_CASE_MAX);
        fill_uniform(&random, x, m[0] * c.width, 2.0);
        fill_uniform(&random, teacher, m[0] * m[2] * m[3], 0.5);
        check_loss(attention, attention_formula, &c, x);
    }
}

static void empty_maps_are_zeros(void **state) {
    (void)state;
    static const float zeros[6] = {0}, one[] = {1, 0, 0};
    float gradient[6] = {0};
    /* the teacher's map is (1, 0, 0), the student's 0 */
    assert_close("loss", 0, pare_loss_attention(zeros, 2, one, 1, 1, 3, 1.0F, gradient), 1 / 3.0L, 1e-12, 0);
    assert_memory_equal(gradient, zeros, sizeof zeros);
    assert_true(pare_loss_attention(zeros, 2, zeros, 2, 1, 3, 1.0F, gradient) == 0);
}

/* Equal maps whose values differ by a factor have no distance, and no gradient. */
static void attention_forgets_the_scale(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 7);
    fill_uniform(&random, x, 60, 1.0);
    for (size_t i = 0; i < 60; i++) {
        teacher[i] = 8 * x[i];
    }
    float gradient[60] = {0};
    assert_close("loss", 0, pare_loss_attention(x, 3, teacher, 3, 2, 10, 1.0F, gradient), 0, 0, 1e-20);
    for (size_t i = 0; i < 60; i++) {
        assert_close("derivative", i, (double)gradient[i], 0, 0, 1e-12);
    }
}

static void what_is_not_finite_makes_the_loss_nan(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 8);
    loss_case c = {.samples = 3, .width = 12, .channels = 3, .teacher = 3, .positions = 4, .targets = teacher};
    c.labels = labels;
    c.temperature = 4.0F;
    c.alpha = 1.0F;
    c.beta = 8.0F;
    fill_uniform(&random, x, 36, 3.0);
    fill_uniform(&random, teacher, 36, 3.0);
    draw_labels(&random, &c);
    check_not_finite(logits_loss, &c, x, teacher, 36);
    check_not_finite(decoupled_loss, &c, x, teacher, 36);
    check_not_finite(attention, &c, x, teacher, 36);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_match_their_formula),
        cmocka_unit_test(decoupled_matches_equation_7),
        cmocka_unit_test(decoupled_contains_the_classic_loss),
        cmocka_unit_test(labels_outside_leave_their_sample_out),
        cmocka_unit_test(logits_far_out_keep_value_and_gradient),
        cmocka_unit_test(equal_students_have_no_loss),
        cmocka_unit_test(attention_matches_its_formula),
        cmocka_unit_test(empty_maps_are_zeros),
        cmocka_unit_test(attention_forgets_the_scale),
        cmocka_unit_test(what_is_not_finite_makes_the_loss_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
