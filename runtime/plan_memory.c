#include <string.h>

#include "pare/arena_planner.h"
#include "pare/checked.h"
#include "plan.h"

uint32_t pare_plan_root(const pare_plan *plan, uint32_t value) {
    while (plan->values[value].parent != value) {
        value = plan->values[value].parent;
    }
    return value;
}

static void touch(pare_plan *plan, uint32_t value, uint32_t step) {
    if (value == PARE_NONE) {
        return;
    }
    pare_value *root = &plan->values[pare_plan_root(plan, value)];
    if (root->first == PARE_NONE) {
        root->first = step;
    }
    root->last = step;
}

static void find_lifetimes(pare_plan *plan) {
    for (size_t i = 0; i < plan->value_count; i++) {
        plan->values[i].first = plan->values[i].last = PARE_NONE;
    }
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const pare_step *step = &plan->steps[s];
        for (uint32_t i = 0; i < step->input_count; i++) {
            touch(plan, step->inputs[i], s);
        }
        for (uint32_t i = 0; i < step->output_count; i++) {
            touch(plan, step->outputs[i], s);
        }
    }
}

/* Lets output 0 of step `s` lie where the input that the kernel allows lies, if
 * that input is read by nobody later and by no other operand of the step. */
static void share_memory(pare_plan *plan, uint32_t s) {
    const pare_step *step = &plan->steps[s];
    if (step->in_place == 0 || step->kind != PARE_STEP_KERNEL || step->outputs[0] == PARE_NONE) {
        return;
    }
    uint32_t input = step->inputs[step->in_place - 1];
    uint32_t root = pare_plan_root(plan, input);
    pare_value *memory = &plan->values[root];
    pare_value *output = &plan->values[step->outputs[0]];
    if (memory->kind != PARE_VALUE_ARENA || output->kind != PARE_VALUE_ARENA || memory->last != s ||
        output->bytes > memory->bytes || step->outputs[0] == root) {
        return;
    }
    for (uint32_t i = 0; i < step->input_count; i++) {
        if (step->inputs[i] != PARE_NONE && step->inputs[i] != input && pare_plan_root(plan, step->inputs[i]) == root) {
            return;
        }
    }
    output->parent = root;
    memory->last = output->last;
}

static pare_status place_values(pare_plan *plan, pare_usage *usage, pare_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < plan->value_count; i++) {
        const pare_value *value = &plan->values[i];
        if (value->kind == PARE_VALUE_ARENA && value->parent == i && value->first != PARE_NONE) {
            usage[count++] = (pare_usage){.bytes = value->bytes, .first = value->first, .last = value->last};
        }
    }
    for (uint32_t s = 0; s < plan->step_count; s++) {
        if (plan->steps[s].scratch_bytes > 0) {
            usage[count++] = (pare_usage){.bytes = plan->steps[s].scratch_bytes, .first = s, .last = s};
        }
    }
    PARE_TRY(pare_arena_plan(usage, count, &plan->arena_bytes, error));
    count = 0;
    for (size_t i = 0; i < plan->value_count; i++) {
        pare_value *value = &plan->values[i];
        if (value->kind == PARE_VALUE_ARENA && value->parent == i && value->first != PARE_NONE) {
            value->offset = usage[count++].offset;
        }
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        if (plan->steps[s].scratch_bytes > 0) {
            plan->steps[s].scratch_offset = usage[count++].offset;
        }
    }
    return PARE_OK;
}

static pare_status allocate_arena(pare_plan *plan, pare_error *error) {
    if (plan->arena_bytes > plan->arena_limit) {
        return pare_fail(error, PARE_LIMIT,
                         "expected activations and scratch of at most %llu bytes, found %zu (batch %lld)",
                         (unsigned long long)plan->arena_limit, plan->arena_bytes, (long long)plan->batch);
    }
    plan->arena = pare_alloc(plan->arena_bytes);
    if (plan->arena == NULL) {
        return pare_fail_memory(error, plan->arena_bytes);
    }
    /* Slack and padding are read, though nothing depends on them: keep them defined. */
    memset(plan->arena, 0, plan->arena_bytes);
    for (size_t i = 0; i < plan->value_count; i++) {
        pare_value *value = &plan->values[i];
        const pare_value *root = &plan->values[pare_plan_root(plan, (uint32_t)i)];
        if (root->kind == PARE_VALUE_ARENA && root->first != PARE_NONE) {
            value->address = plan->arena + root->offset;
        } else if (root->kind == PARE_VALUE_CONSTANT) {
            value->address = root->address;
        }
    }
    return PARE_OK;
}

/* The caller's buffers: a few bytes of a file must not make anyone allocate gigabytes. */
static pare_status check_ports(const pare_plan *plan, pare_error *error) {
    size_t total = 0;
    for (size_t i = 0; i < plan->value_count; i++) {
        const pare_value *value = &plan->values[i];
        bool port = value->kind == PARE_VALUE_INPUT || value->kind == PARE_VALUE_OUTPUT;
        if (port && (!pare_add_size(total, value->bytes, &total) || total > plan->arena_limit)) {
            return pare_fail(error, PARE_LIMIT,
                             "expected inputs and outputs of at most %llu bytes, found more (batch %lld)",
                             (unsigned long long)plan->arena_limit, (long long)plan->batch);
        }
    }
    return PARE_OK;
}

pare_status pare_plan_place(pare_plan *plan, pare_error *error) {
    PARE_TRY(check_ports(plan, error));
    pare_usage *usage = pare_alloc_zero(plan->value_count + plan->step_count + 1, sizeof *usage);
    if (usage == NULL) {
        return pare_fail_memory(error, (plan->value_count + plan->step_count + 1) * sizeof *usage);
    }
    find_lifetimes(plan);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        share_memory(plan, s);
    }
    pare_status status = place_values(plan, usage, error);
    pare_free(usage);
    return status == PARE_OK ? allocate_arena(plan, error) : status;
}
