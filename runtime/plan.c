#include "plan.h"

#include <string.h>

#include "pare/arena_planner.h"
#include "pare/checked.h"

const char *pare_opcode_label(uint32_t opcode) {
    const pare_opcode_info *info = pare_opcode_find(opcode);
    return info != NULL ? info->name : "?";
}

/* --- growing tables ------------------------------------------------------- */

static pare_status grow(void **table, size_t count, size_t *capacity, size_t size, pare_error *error) {
    if (count < *capacity) {
        return PARE_OK;
    }
    size_t wanted = *capacity * 2 + 16;
    size_t bytes;
    if (!pare_mul_size(wanted, size, &bytes)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    void *larger = pare_realloc(*table, bytes);
    if (larger == NULL) {
        return pare_fail_memory(error, bytes);
    }
    *table = larger;
    *capacity = wanted;
    return PARE_OK;
}

static pare_status add_value(pare_plan *plan, const pare_value *like, uint32_t *index, pare_error *error) {
    void *table = plan->values;
    pare_value copy = *like; /* `like` may lie in the table that moves */
    PARE_TRY(grow(&table, plan->value_count, &plan->value_capacity, sizeof *plan->values, error));
    plan->values = table;
    *index = (uint32_t)plan->value_count++;
    copy.parent = *index;
    memset(copy.copies, 0xFF, sizeof copy.copies);
    copy.owned = NULL;
    copy.address = NULL;
    plan->values[*index] = copy;
    return PARE_OK;
}

static pare_status add_step(pare_plan *plan, const pare_step *like, pare_error *error) {
    void *table = plan->steps;
    PARE_TRY(grow(&table, plan->step_count, &plan->step_capacity, sizeof *plan->steps, error));
    plan->steps = table;
    pare_step step = *like;
    size_t count = (size_t)step.input_count + step.output_count;
    uint32_t *values = pare_arena_alloc(&plan->memory, count + 1, sizeof *values);
    void **addresses = pare_arena_alloc(&plan->memory, count + 1, sizeof *addresses);
    if (values == NULL || addresses == NULL) {
        return pare_fail_memory(error, count * sizeof *addresses);
    }
    if (step.input_count > 0) {
        memcpy(values, like->inputs, step.input_count * sizeof *values);
    }
    memcpy(values + step.input_count, like->outputs, step.output_count * sizeof *values);
    step.inputs = values;
    step.outputs = values + step.input_count;
    step.input_addresses = (const void **)addresses;
    step.output_addresses = addresses + step.input_count;
    plan->steps[plan->step_count++] = step;
    return PARE_OK;
}

/* --- values --------------------------------------------------------------- */

static pare_status bind_tensors(pare_plan *plan, pare_error *error) {
    const pare_model *model = plan->model;
    for (uint32_t t = 0; t < model->tensor_count; t++) {
        const pare_model_tensor *tensor = &model->tensors[t];
        pare_value value = {.tensor = t, .dtype = tensor->dtype, .port = PARE_NONE};
        size_t padded;
        if (!pare_shape_bind(&tensor->shape, plan->batch, &value.shape) ||
            !pare_shape_bytes(&value.shape, value.dtype, &value.bytes) ||
            !pare_mul_size(value.bytes, 16, &padded)) { /* a blocked layout pads channels up to 16 */
            return pare_fail(error, PARE_LIMIT,
                             "tensor \"%s\": expected a size below 2^60 bytes, found more (batch %lld)", tensor->name,
                             (long long)plan->batch);
        }
        uint32_t index;
        PARE_TRY(add_value(plan, &value, &index, error));
        if (tensor->buffer != PARE_NONE) {
            plan->values[index].kind = PARE_VALUE_CONSTANT;
            /* Constants are only read; the table holds plain pointers. */
            memcpy(&plan->values[index].address, &model->buffers[tensor->buffer].data, sizeof(void *));
        }
    }
    for (uint32_t i = 0; i < model->input_count; i++) {
        plan->values[model->inputs[i]].kind = PARE_VALUE_INPUT;
        plan->values[model->inputs[i]].port = i;
    }
    return PARE_OK;
}

static bool is_external(const pare_plan *plan, uint32_t value) {
    pare_value_kind kind = plan->values[pare_plan_root(plan, value)].kind;
    return kind == PARE_VALUE_INPUT || kind == PARE_VALUE_OUTPUT;
}

/* A constant is converted now, and lives as long as the session. */
static pare_status convert_constant(pare_plan *plan, uint32_t from, uint32_t to, pare_error *error) {
    pare_value *value = &plan->values[to];
    value->owned = pare_alloc_zero(value->bytes + PARE_ARENA_SLACK, 1);
    if (value->owned == NULL) {
        return pare_fail_memory(error, value->bytes);
    }
    value->address = value->owned;
    pare_reorder(plan->values[from].address, plan->values[from].layout, value->owned, value->layout, &value->shape,
                 value->dtype, plan->threads);
    return PARE_OK;
}

/* The value that holds `from` in `layout`; makes a reorder step where there is none yet. */
static pare_status value_in_layout(pare_plan *plan, const pare_model_node *node, uint32_t from, pare_layout layout,
                                   uint32_t *result, pare_error *error) {
    pare_value like = plan->values[from];
    bool constant = plan->values[pare_plan_root(plan, from)].kind == PARE_VALUE_CONSTANT;
    /* Kernels may read past the end of anything that is not plain, and a caller's buffer ends where it ends. */
    bool copy_anyway = layout != PARE_LAYOUT_PLAIN && is_external(plan, from);
    *result = from;
    if (like.layout == layout ? !copy_anyway : pare_layout_same(like.layout, layout, &like.shape) && !copy_anyway) {
        return PARE_OK;
    }
    if (like.copies[layout] != PARE_NONE) {
        *result = like.copies[layout];
        return PARE_OK;
    }
    if (like.shape.rank != 4 && layout != PARE_LAYOUT_PLAIN) {
        return pare_fail(error, PARE_INTERNAL, "node \"%s\" (%s): expected a layout for rank %d, found layout %d",
                         node->name, pare_opcode_label(node->opcode), like.shape.rank, (int)layout);
    }
    like.kind = constant ? PARE_VALUE_CONSTANT : PARE_VALUE_ARENA;
    like.layout = layout;
    like.bytes = pare_layout_bytes(layout, &like.shape, like.dtype);
    PARE_TRY(add_value(plan, &like, result, error));
    plan->values[from].copies[layout] = *result;
    if (constant) {
        return convert_constant(plan, from, *result, error);
    }
    pare_step step = {.kind = PARE_STEP_REORDER,
                      .node = node,
                      .inputs = &from,
                      .outputs = result,
                      .input_count = 1,
                      .output_count = 1};
    plan->reorder_count++;
    return add_step(plan, &step, error);
}

/* --- nodes ---------------------------------------------------------------- */

/* Room for the largest node's operands; reused from node to node. */
typedef struct workspace {
    pare_operand *operands;
    pare_layout *wanted;
    uint32_t *inputs;
} workspace;

static pare_status make_workspace(pare_plan *plan, workspace *work, pare_error *error) {
    size_t most = 1;
    for (uint32_t n = 0; n < plan->model->node_count; n++) {
        size_t count = (size_t)plan->model->nodes[n].input_count + plan->model->nodes[n].output_count;
        most = count > most ? count : most;
    }
    work->operands = pare_arena_alloc(&plan->memory, most, sizeof *work->operands);
    work->wanted = pare_arena_alloc(&plan->memory, most, sizeof *work->wanted);
    work->inputs = pare_arena_alloc(&plan->memory, most, sizeof *work->inputs);
    if (work->operands == NULL || work->wanted == NULL || work->inputs == NULL) {
        return pare_fail_memory(error, most * sizeof *work->operands);
    }
    return PARE_OK;
}

static pare_operand operand_of(const pare_plan *plan, uint32_t tensor) {
    if (tensor == PARE_NONE) {
        return (pare_operand){.present = false};
    }
    const pare_value *value = &plan->values[tensor];
    return (pare_operand){.present = true,
                          .dtype = value->dtype,
                          .shape = value->shape,
                          .quant = plan->model->tensors[value->tensor].quant,
                          .constant = value->kind == PARE_VALUE_CONSTANT ? value->address : NULL,
                          .layout = value->layout,
                          .external = value->kind != PARE_VALUE_UNDEFINED && is_external(plan, tensor)};
}

static pare_site site_of(const pare_plan *plan, const pare_model_node *node, workspace *work) {
    for (uint32_t i = 0; i < node->input_count; i++) {
        work->operands[i] = operand_of(plan, node->inputs[i]);
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        work->operands[node->input_count + i] = operand_of(plan, node->outputs[i]);
    }
    return (pare_site){.node = node,
                       .attrs = node->attrs,
                       .inputs = work->operands,
                       .outputs = work->operands + node->input_count,
                       .input_count = node->input_count,
                       .output_count = node->output_count,
                       .threads = plan->threads,
                       .isa = plan->isa,
                       .wanted = work->wanted};
}

static pare_status no_kernel(const pare_site *site, pare_error *error) {
    char types[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < site->input_count && used < sizeof types - 40; i++) {
        const char *comma = i > 0 ? ", " : "";
        const char *name = site->inputs[i].present ? pare_dtype_name(site->inputs[i].dtype) : "absent";
        size_t length = strlen(comma) + strlen(name);
        memcpy(types + used, comma, strlen(comma));
        memcpy(types + used + strlen(comma), name, strlen(name) + 1);
        used += length;
    }
    return pare_fail(error, PARE_UNSUPPORTED, "expected operands that a kernel takes, found (%s)", types);
}

static void reset_site(pare_site *site) {
    for (size_t i = 0; i < site->input_count; i++) {
        site->wanted[i] = site->inputs[i].layout;
    }
    for (size_t i = 0; i < site->output_count; i++) {
        site->outputs[i].layout = PARE_LAYOUT_PLAIN;
    }
    site->scratch_bytes = site->packed_bytes = site->in_place = site->alias = 0;
}

pare_status pare_plan_choose(pare_site *site, bool reference, const pare_kernel **kernel, void **state,
                             pare_error *error) {
    const pare_kernel *const *candidates = pare_kernels_for(site->node->opcode);
    pare_error local;
    pare_error *message = error != NULL ? error : &local;
    for (size_t i = 0; candidates != NULL && candidates[i] != NULL; i++) {
        if (reference && candidates[i + 1] != NULL) {
            continue;
        }
        reset_site(site);
        *state = NULL;
        message->message[0] = '\0';
        pare_status status = candidates[i]->plan(site, state, message);
        if (status == PARE_OK) {
            *kernel = candidates[i];
            return PARE_OK;
        }
        if (candidates[i]->destroy != NULL) {
            candidates[i]->destroy(*state);
        }
        *state = NULL;
        if (status != PARE_UNSUPPORTED || message->message[0] != '\0') {
            return status;
        }
    }
    return no_kernel(site, error);
}

static bool only_constants(const pare_plan *plan, const pare_model_node *node) {
    bool some = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != PARE_NONE) {
            some = true;
            if (plan->values[node->inputs[i]].kind != PARE_VALUE_CONSTANT) {
                return false;
            }
        }
    }
    return some;
}

static uint32_t output_port(const pare_plan *plan, uint32_t tensor) {
    for (uint32_t i = 0; i < plan->model->output_count; i++) {
        if (plan->model->outputs[i] == tensor) {
            return i;
        }
    }
    return PARE_NONE;
}

/* Gives an output its layout and its home: an input's memory, the caller's buffer or the arena. */
static void define_output(pare_plan *plan, uint32_t tensor, pare_layout layout, uint32_t alias_of) {
    pare_value *value = &plan->values[tensor];
    uint32_t port = output_port(plan, tensor);
    value->kind = PARE_VALUE_ARENA;
    value->layout = layout;
    value->bytes = pare_layout_bytes(layout, &value->shape, value->dtype);
    if (alias_of != PARE_NONE) {
        value->parent = pare_plan_root(plan, alias_of);
        value->kind = plan->values[value->parent].kind;
    } else if (port != PARE_NONE && pare_layout_same(layout, PARE_LAYOUT_PLAIN, &value->shape)) {
        value->kind = PARE_VALUE_OUTPUT;
        value->port = port;
        value->layout = PARE_LAYOUT_PLAIN;
    }
}

static pare_status plan_step(pare_plan *plan, pare_site *site, const pare_kernel *kernel, void *state, workspace *work,
                             pare_error *error) {
    const pare_model_node *node = site->node;
    pare_status status = PARE_OK;
    for (uint32_t i = 0; i < node->input_count && status == PARE_OK; i++) {
        work->inputs[i] = node->inputs[i];
        if (node->inputs[i] != PARE_NONE) {
            status = value_in_layout(plan, node, node->inputs[i], site->wanted[i], &work->inputs[i], error);
        }
    }
    if (site->alias > site->input_count || site->in_place > site->input_count) {
        status = pare_fail(error, PARE_INTERNAL, "kernel %s: expected an input to share, found none", kernel->name);
    }
    for (uint32_t i = 0; i < node->output_count && status == PARE_OK; i++) {
        if (node->outputs[i] != PARE_NONE) {
            uint32_t alias = i == 0 && site->alias > 0 ? work->inputs[site->alias - 1] : PARE_NONE;
            define_output(plan, node->outputs[i], site->outputs[i].layout, alias);
        }
    }
    pare_step step = {.kind = site->alias > 0 ? PARE_STEP_ALIAS : PARE_STEP_KERNEL,
                      .node = node,
                      .kernel = kernel,
                      .state = state,
                      .inputs = work->inputs,
                      .input_count = node->input_count,
                      .output_count = node->output_count,
                      .in_place = (uint32_t)site->in_place,
                      .alias = (uint32_t)site->alias,
                      .scratch_bytes = site->alias > 0 ? 0 : site->scratch_bytes};
    memcpy(&step.outputs, &node->outputs, sizeof step.outputs); /* add_step copies what it points to */
    if (status == PARE_OK) {
        status = add_step(plan, &step, error);
    }
    if (status != PARE_OK && kernel->destroy != NULL) {
        kernel->destroy(state);
    }
    plan->packed_bytes += site->packed_bytes;
    return status;
}

static pare_status plan_node(pare_plan *plan, const pare_model_node *node, workspace *work, pare_error *error) {
    pare_site site = site_of(plan, node, work);
    if (only_constants(plan, node)) {
        return pare_plan_fold(plan, &site, error);
    }
    const pare_kernel *kernel = NULL;
    void *state = NULL;
    PARE_TRY(pare_plan_choose(&site, plan->reference, &kernel, &state, error));
    return plan_step(plan, &site, kernel, state, work, error);
}

/* Copies what no step writes into the caller's buffer by itself. */
static pare_status plan_outputs(pare_plan *plan, pare_error *error) {
    for (uint32_t port = 0; port < plan->model->output_count; port++) {
        uint32_t from = plan->model->outputs[port];
        pare_value like = plan->values[from];
        if (like.kind == PARE_VALUE_OUTPUT && like.parent == from && like.port == port) {
            continue;
        }
        like.kind = PARE_VALUE_OUTPUT;
        like.layout = PARE_LAYOUT_PLAIN;
        like.port = port;
        like.bytes = pare_layout_bytes(PARE_LAYOUT_PLAIN, &like.shape, like.dtype);
        uint32_t to;
        PARE_TRY(add_value(plan, &like, &to, error));
        pare_step step = {
            .kind = PARE_STEP_REORDER, .inputs = &from, .outputs = &to, .input_count = 1, .output_count = 1};
        plan->reorder_count++;
        PARE_TRY(add_step(plan, &step, error));
    }
    return PARE_OK;
}

pare_status pare_plan_build(pare_plan *plan, pare_error *error) {
    workspace work;
    pare_arena_init(&plan->memory, SIZE_MAX);
    PARE_TRY(bind_tensors(plan, error));
    PARE_TRY(make_workspace(plan, &work, error));
    for (uint32_t n = 0; n < plan->model->node_count; n++) {
        const pare_model_node *node = &plan->model->nodes[n];
        pare_status status = plan_node(plan, node, &work, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "node \"%s\" (%s): ", node->name, pare_opcode_label(node->opcode));
            return status;
        }
    }
    PARE_TRY(plan_outputs(plan, error));
    return pare_plan_place(plan, error);
}

void pare_plan_free(pare_plan *plan) {
    if (plan == NULL) {
        return;
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        const pare_step *step = &plan->steps[s];
        if (step->kernel != NULL && step->kernel->destroy != NULL) {
            step->kernel->destroy(step->state);
        }
    }
    for (size_t i = 0; i < plan->value_count; i++) {
        pare_free(plan->values[i].owned);
    }
    pare_free(plan->steps);
    pare_free(plan->values);
    pare_free(plan->arena);
    pare_arena_free(&plan->memory);
}
