#include <stdio.h>
#include <string.h>

#include "onnx_samples.h"
#include "pare/op.h"

static char found[512];

static const char *differs(const char *what, const char *name) {
    snprintf(found, sizeof found, "%s of %s", what, name);
    return found;
}

static bool same_bytes(const void *a, const void *b, size_t bytes) {
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

static const char *compare_quant(const pare_value *a, const pare_value *b) {
    const pare_quant *p = a->quant, *q = b->quant;
    if (p == NULL || q == NULL) {
        return p == q ? NULL : differs("quantization", a->name);
    }
    if (p->dtype != q->dtype || p->axis != q->axis || p->count != q->count ||
        !same_bytes(p->scales, q->scales, p->count * sizeof *p->scales) ||
        !same_bytes(p->zero_points, q->zero_points, p->count * sizeof *p->zero_points)) {
        return differs("grid", a->name);
    }
    return NULL;
}

static const char *compare_values(const pare_value *a, const pare_value *b) {
    if (a == NULL || b == NULL) {
        return a == b ? NULL : differs("presence", a != NULL ? a->name : b->name);
    }
    if (strcmp(a->name, b->name) != 0) {
        return differs("name", a->name);
    }
    if (a->dtype != b->dtype || a->has_shape != b->has_shape ||
        (a->has_shape && !pare_shape_equal(&a->shape, &b->shape))) {
        return differs("type", a->name);
    }
    if ((a->data == NULL) != (b->data == NULL) || a->data_bytes != b->data_bytes ||
        (a->data != NULL && !same_bytes(a->data, b->data, a->data_bytes))) {
        return differs("data", a->name);
    }
    return compare_quant(a, b);
}

static bool same_attr(const pare_attr *a, const pare_attr *b) {
    if (b == NULL || a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case PARE_ATTR_INT:
        return a->i == b->i;
    case PARE_ATTR_FLOAT:
        return same_bytes(&a->f, &b->f, sizeof a->f);
    case PARE_ATTR_STRING:
        return strcmp(a->s, b->s) == 0;
    case PARE_ATTR_INTS:
        return a->count == b->count && same_bytes(a->ints, b->ints, a->count * sizeof *a->ints);
    case PARE_ATTR_FLOATS:
        return a->count == b->count && same_bytes(a->floats, b->floats, a->count * sizeof *a->floats);
    case PARE_ATTR_TENSOR:
        return a->tensor->dtype == b->tensor->dtype && a->tensor->data_bytes == b->tensor->data_bytes &&
               same_bytes(a->tensor->data, b->tensor->data, a->tensor->data_bytes);
    }
    return false;
}

static const char *compare_list(pare_value *const *a, size_t a_count, pare_value *const *b, size_t b_count) {
    for (size_t i = 0; i < a_count || i < b_count; i++) {
        const char *difference = compare_values(i < a_count ? a[i] : NULL, i < b_count ? b[i] : NULL);
        if (difference != NULL) {
            return difference;
        }
    }
    return NULL;
}

static const char *compare_nodes(const pare_node *a, const pare_node *b) {
    if (a->op != b->op || strcmp(a->name, b->name) != 0) {
        return differs("node", a->name);
    }
    for (const pare_attr *attr = a->attrs; attr != NULL; attr = attr->next) {
        if (!same_attr(attr, pare_node_attr(b, attr->name))) {
            return differs(attr->name, a->name);
        }
    }
    const char *difference = compare_list(a->inputs, a->input_count, b->inputs, b->input_count);
    return difference != NULL ? difference : compare_list(a->outputs, a->output_count, b->outputs, b->output_count);
}

const char *graph_difference(const pare_graph *a, const pare_graph *b) {
    if (a->node_count != b->node_count || a->opset != b->opset || strcmp(a->name, b->name) != 0) {
        return differs("counts", a->name);
    }
    const pare_node *x = a->first, *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        const char *difference = compare_nodes(x, y);
        if (difference != NULL) {
            return difference;
        }
    }
    const char *difference = compare_list(a->inputs, a->input_count, b->inputs, b->input_count);
    return difference != NULL ? difference : compare_list(a->outputs, a->output_count, b->outputs, b->output_count);
}
