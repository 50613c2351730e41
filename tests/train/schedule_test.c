/* Learning rates at the points where they are known, and refused schedules. */
#include <math.h>

#include "pare/optimizer.h"
#include "test.h"

static void assert_rate(const pare_schedule *s, uint64_t step, double expected) {
    double found = pare_schedule_lr(s, step);
    if (!(fabs(found - expected) <= 1e-12 * expected)) {
        fail_msg("kind %d, step %llu: expected %.12g, found %.12g", (int)s->kind, (unsigned long long)step, expected,
                 found);
    }
}

static void assert_good(const pare_schedule *s) {
    pare_error error = {0};
    assert_ok(pare_schedule_check(s, &error), &error);
}

static void constant_stays(void **state) {
    (void)state;
    pare_schedule s = {.lr = 0.5, .total_steps = 10};
    assert_good(&s);
    for (uint64_t step = 0; step < 12; step++) {
        assert_rate(&s, step, 0.5);
    }
    assert_rate(&s, UINT64_MAX, 0.5);
}

static void warm_up_is_linear_in_front(void **state) {
    (void)state;
    for (int kind = 0; kind < PARE_SCHEDULE_ONE_CYCLE; kind++) {
        pare_schedule s = {.kind = (pare_schedule_kind)kind, .lr = 0.8, .gamma = 0.1, .milestones = {0.5, 0.75}};
        s.milestone_count = 2;
        s.warmup_steps = 4;
        s.total_steps = 104;
        assert_good(&s);
        for (uint64_t step = 0; step < 4; step++) {
            assert_rate(&s, step, 0.2 * (double)(step + 1));
        }
        assert_rate(&s, 4, 0.8); /* the course begins right behind */
    }
    pare_schedule one = {.lr = 0.8, .warmup_steps = 1, .total_steps = 2};
    assert_rate(&one, 0, 0.8);
}

static void steps_come_at_fractions_of_the_run(void **state) {
    (void)state;
    pare_schedule s = {.kind = PARE_SCHEDULE_STEP, .lr = 1, .gamma = 0.1, .total_steps = 100};
    s.milestone_count = 3;
    s.milestones[0] = 0.55; /* × 100 is 55.000000000000007 */
    s.milestones[1] = 0.57; /* × 100 is 56.999999999999993 */
    s.milestones[2] = 0.9;
    assert_good(&s);
    assert_rate(&s, 0, 1);
    assert_rate(&s, 54, 1);
    assert_rate(&s, 55, 0.1);
    assert_rate(&s, 56, 0.1);
    assert_rate(&s, 57, 0.01);
    assert_rate(&s, 89, 0.01);
    assert_rate(&s, 90, 0.001);
    assert_rate(&s, 99, 0.001);
    assert_rate(&s, 100000, 0.001);
    /* fractions count from the run's start, whatever the warm-up */
    s.warmup_steps = 50;
    assert_rate(&s, 54, 1);
    assert_rate(&s, 55, 0.1);
}

static void cosine_comes_down_to_its_fraction(void **state) {
    (void)state;
    const double pi = acos(-1.0);
    pare_schedule s = {.kind = PARE_SCHEDULE_COSINE, .lr = 2, .total_steps = 12};
    assert_good(&s);
    assert_rate(&s, 0, 2);
    assert_rate(&s, 3, 1 + sqrt(0.5));
    assert_rate(&s, 4, 1.5);
    assert_rate(&s, 6, 1);
    assert_rate(&s, 8, 0.5);
    assert_rate(&s, 11, 1 - cos(pi / 12));
    assert_rate(&s, 12, 1 - cos(pi / 12));
    assert_rate(&s, UINT64_MAX, 1 - cos(pi / 12));
    s.final_fraction = 0.25; /* from 2 to 0.5, behind 4 steps of warm-up */
    s.warmup_steps = 4;
    assert_good(&s);
    assert_rate(&s, 4, 2);
    assert_rate(&s, 8, 1.25);
    assert_rate(&s, 11, 0.5 + 0.75 * (1 - cos(pi / 8)));
    assert_rate(&s, 40, 0.5 + 0.75 * (1 - cos(pi / 8)));
    s.final_fraction = 1;
    assert_rate(&s, 9, 2);
}

static void one_cycle_rises_and_falls(void **state) {
    (void)state;
    pare_schedule s = {.kind = PARE_SCHEDULE_ONE_CYCLE, .lr = 5, .total_steps = 101};
    assert_good(&s);
    assert_rate(&s, 0, 0.2);
    assert_rate(&s, 15, 2.6); /* half-way up */
    assert_rate(&s, 30, 5);
    assert_rate(&s, 65, (5 + 5e-4) / 2);
    assert_rate(&s, 100, 5e-4);
    assert_rate(&s, 101, 5e-4);
    for (uint64_t step = 1; step <= 100; step++) {
        double change = pare_schedule_lr(&s, step) - pare_schedule_lr(&s, step - 1);
        assert_true(step <= 30 ? change > 0 : change < 0);
    }
    s.warmup_steps = 10; /* the warm-up is the rise */
    s.total_steps = 111;
    assert_good(&s);
    assert_rate(&s, 0, 0.2);
    assert_rate(&s, 5, 2.6);
    assert_rate(&s, 10, 5);
    assert_rate(&s, 60, (5 + 5e-4) / 2);
    assert_rate(&s, 110, 5e-4);
    s = (pare_schedule){.kind = PARE_SCHEDULE_ONE_CYCLE, .lr = 5, .total_steps = 1};
    assert_good(&s);
    assert_rate(&s, 0, 0.2);
}

static void what_is_out_of_range_is_named(void **state) {
    (void)state;
#define STEP .kind = PARE_SCHEDULE_STEP, .lr = 1, .total_steps = 10
#define COSINE .kind = PARE_SCHEDULE_COSINE, .lr = 1, .total_steps = 10
    static const struct {
        const char *text;
        pare_schedule schedule;
    } cases[] = {
        {"learning rate: ", {.lr = 0, .total_steps = 10}},
        {"learning rate: ", {.lr = -1, .total_steps = 10}},
        {"learning rate: ", {.lr = (double)NAN, .total_steps = 10}},
        {"learning rate: ", {.lr = (double)INFINITY, .total_steps = 10}},
        {"learning rate: ", {.lr = 1e39, .total_steps = 10}},
        {"schedule: ", {.kind = (pare_schedule_kind)4, .lr = 1, .total_steps = 10}},
        {"total steps: ", {.lr = 1}},
        {"warm-up: expected fewer than the run's 10", {.lr = 1, .total_steps = 10, .warmup_steps = 10}},
        {"warm-up: ", {COSINE, .warmup_steps = 11}},
        {"gamma: ", {STEP, .milestones = {0.5}, .milestone_count = 1}},
        {"gamma: ", {STEP, .gamma = 1.1, .milestones = {0.5}, .milestone_count = 1}},
        {"gamma: ", {STEP, .gamma = (double)NAN, .milestones = {0.5}, .milestone_count = 1}},
        {"milestones: expected 1 to 16, found 0", {STEP, .gamma = 0.5}},
        {"milestones: expected 1 to 16, found 17", {STEP, .gamma = 0.5, .milestone_count = 17}},
        {"milestones: expected number 1 above 0", {STEP, .gamma = 0.5, .milestones = {0}, .milestone_count = 1}},
        {"milestones: expected number 2", {STEP, .gamma = 0.5, .milestones = {0.5, 1}, .milestone_count = 2}},
        {"above 0.5 and", {STEP, .gamma = 0.5, .milestones = {0.5, 0.5}, .milestone_count = 2}},
        {"found nan", {STEP, .gamma = 0.5, .milestones = {(double)NAN}, .milestone_count = 1}},
        {"final fraction: ", {COSINE, .final_fraction = -0.1}},
        {"final fraction: ", {COSINE, .final_fraction = 1.1}},
        {"final fraction: ", {COSINE, .final_fraction = (double)NAN}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        pare_error error = {0};
        assert_fails(pare_schedule_check(&cases[k].schedule, &error), PARE_USAGE, &error, cases[k].text);
    }
    /* what another kind reads is not looked at */
    assert_good(&(pare_schedule){.lr = 1, .total_steps = 1, .gamma = 7, .final_fraction = 7, .milestone_count = 99});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_stays),
        cmocka_unit_test(warm_up_is_linear_in_front),
        cmocka_unit_test(steps_come_at_fractions_of_the_run),
        cmocka_unit_test(cosine_comes_down_to_its_fraction),
        cmocka_unit_test(one_cycle_rises_and_falls),
        cmocka_unit_test(what_is_out_of_range_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
