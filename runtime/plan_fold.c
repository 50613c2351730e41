#include <string.h>

#include "pare/arena_planner.h"
#include "plan.h"

/* Where a folded node's operands lie while its kernel runs: constants are plain,
 * so a kernel that wants or gives another layout works on temporary copies. */
typedef struct folding {
    const void **inputs;
    void **outputs;
    void **copies; /* one an operand, NULL where none is needed */
    void *scratch;
    size_t copy_count;
} folding;

static void folding_free(folding *fold) {
    for (size_t i = 0; fold->copies != NULL && i < fold->copy_count; i++) {
        pare_free(fold->copies[i]);
    }
    pare_free(fold->copies);
    pare_free(fold->inputs);
    pare_free(fold->outputs);
    pare_free(fold->scratch);
}

static pare_status folding_init(folding *fold, const pare_site *site, pare_error *error) {
    fold->copy_count = site->input_count + site->output_count;
    fold->inputs = pare_alloc_zero(site->input_count + 1, sizeof *fold->inputs);
    fold->outputs = pare_alloc_zero(site->output_count + 1, sizeof *fold->outputs);
    fold->copies = pare_alloc_zero(fold->copy_count + 1, sizeof *fold->copies);
    fold->scratch = pare_alloc(site->scratch_bytes);
    if (fold->inputs == NULL || fold->outputs == NULL || fold->copies == NULL || fold->scratch == NULL) {
        return pare_fail_memory(error, site->scratch_bytes);
    }
    return PARE_OK;
}

static pare_status copy_for(folding *fold, size_t operand, pare_layout layout, const pare_operand *like,
                            pare_error *error) {
    size_t bytes = pare_layout_bytes(layout, &like->shape, like->dtype);
    fold->copies[operand] = pare_alloc_zero(bytes + PARE_ARENA_SLACK, 1);
    return fold->copies[operand] != NULL ? PARE_OK : pare_fail_memory(error, bytes);
}

static pare_status prepare_inputs(const pare_plan *plan, const pare_site *site, folding *fold, pare_error *error) {
    for (size_t i = 0; i < site->input_count; i++) {
        const pare_operand *input = &site->inputs[i];
        if (!input->present) {
            continue;
        }
        fold->inputs[i] = plan->values[site->node->inputs[i]].address;
        if (!pare_layout_same(site->wanted[i], PARE_LAYOUT_PLAIN, &input->shape)) {
            PARE_TRY(copy_for(fold, i, site->wanted[i], input, error));
            pare_reorder(fold->inputs[i], PARE_LAYOUT_PLAIN, fold->copies[i], site->wanted[i], &input->shape,
                         input->dtype, plan->threads);
            fold->inputs[i] = fold->copies[i];
        }
    }
    return PARE_OK;
}

/* Outputs of a constant node become constants of the session. */
static pare_status prepare_outputs(pare_plan *plan, const pare_site *site, folding *fold, pare_error *error) {
    for (size_t i = 0; i < site->output_count; i++) {
        if (!site->outputs[i].present) {
            continue;
        }
        pare_value *value = &plan->values[site->node->outputs[i]];
        /* All of them together: each costs a few bytes of the file. */
        if (value->bytes > plan->arena_limit || plan->folded_bytes > plan->arena_limit - value->bytes) {
            return pare_fail(error, PARE_LIMIT,
                             "expected folded constants of at most %llu bytes, found %zu more than %zu",
                             (unsigned long long)plan->arena_limit, value->bytes, plan->folded_bytes);
        }
        plan->folded_bytes += value->bytes;
        value->owned = pare_alloc_zero(value->bytes + PARE_ARENA_SLACK, 1);
        if (value->owned == NULL) {
            return pare_fail_memory(error, value->bytes);
        }
        value->kind = PARE_VALUE_CONSTANT;
        value->address = fold->outputs[i] = value->owned;
        if (!pare_layout_same(site->outputs[i].layout, PARE_LAYOUT_PLAIN, &value->shape)) {
            size_t operand = site->input_count + i;
            PARE_TRY(copy_for(fold, operand, site->outputs[i].layout, &site->outputs[i], error));
            fold->outputs[i] = fold->copies[operand];
        }
    }
    return PARE_OK;
}

static void finish_outputs(pare_plan *plan, const pare_site *site, const folding *fold) {
    for (size_t i = 0; i < site->output_count; i++) {
        const void *copy = fold->copies[site->input_count + i];
        if (copy != NULL) {
            const pare_value *value = &plan->values[site->node->outputs[i]];
            pare_reorder(copy, site->outputs[i].layout, value->owned, PARE_LAYOUT_PLAIN, &value->shape, value->dtype,
                         plan->threads);
        }
    }
}

pare_status pare_plan_fold(pare_plan *plan, pare_site *site, pare_error *error) {
    const pare_kernel *kernel = NULL;
    void *state = NULL;
    folding fold = {0};
    PARE_TRY(pare_plan_choose(site, true, &kernel, &state, error));
    pare_status status = folding_init(&fold, site, error);
    if (status == PARE_OK) {
        status = prepare_inputs(plan, site, &fold, error);
    }
    if (status == PARE_OK) {
        status = prepare_outputs(plan, site, &fold, error);
    }
    if (status == PARE_OK) {
        pare_call call = {
            .inputs = fold.inputs, .outputs = fold.outputs, .scratch = fold.scratch, .threads = plan->threads};
        status = kernel->run(state, &call, error);
        finish_outputs(plan, site, &fold);
    }
    folding_free(&fold);
    if (kernel->destroy != NULL) {
        kernel->destroy(state);
    }
    return status;
}
