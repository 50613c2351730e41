#include <stdio.h>
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"

const pare_attr *pare_node_attr(const pare_node *node, const char *name) {
    for (const pare_attr *attr = node->attrs; attr != NULL; attr = attr->next) {
        if (strcmp(attr->name, name) == 0) {
            return attr;
        }
    }
    return NULL;
}

static const pare_attr *find(const pare_node *node, const char *name, pare_attr_kind kind) {
    const pare_attr *attr = pare_node_attr(node, name);
    return attr != NULL && attr->kind == kind ? attr : NULL;
}

int64_t pare_node_int(const pare_node *node, const char *name, int64_t fallback) {
    const pare_attr *attr = find(node, name, PARE_ATTR_INT);
    return attr != NULL ? attr->i : fallback;
}

float pare_node_float(const pare_node *node, const char *name, float fallback) {
    const pare_attr *attr = find(node, name, PARE_ATTR_FLOAT);
    return attr != NULL ? attr->f : fallback;
}

const char *pare_node_string(const pare_node *node, const char *name, const char *fallback) {
    const pare_attr *attr = find(node, name, PARE_ATTR_STRING);
    return attr != NULL ? attr->s : fallback;
}

size_t pare_node_ints(const pare_node *node, const char *name, const int64_t **ints) {
    const pare_attr *attr = find(node, name, PARE_ATTR_INTS);
    *ints = attr != NULL ? attr->ints : NULL;
    return attr != NULL ? attr->count : 0;
}

pare_attr *pare_node_put_attr(pare_graph *graph, pare_node *node, const char *name, pare_attr_kind kind) {
    pare_attr **link = &node->attrs;
    while (*link != NULL && strcmp((*link)->name, name) != 0) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        pare_attr *added = pare_arena_alloc(&graph->arena, 1, sizeof *added);
        const char *copy = pare_arena_copy_string(&graph->arena, name);
        if (added == NULL || copy == NULL) {
            return NULL;
        }
        added->name = copy;
        *link = added;
    }
    (*link)->kind = kind;
    return *link;
}

bool pare_node_set_int(pare_graph *graph, pare_node *node, const char *name, int64_t value) {
    pare_attr *attr = pare_node_put_attr(graph, node, name, PARE_ATTR_INT);
    if (attr != NULL) {
        attr->i = value;
    }
    return attr != NULL;
}

bool pare_node_set_float(pare_graph *graph, pare_node *node, const char *name, float value) {
    pare_attr *attr = pare_node_put_attr(graph, node, name, PARE_ATTR_FLOAT);
    if (attr != NULL) {
        attr->f = value;
    }
    return attr != NULL;
}

bool pare_node_set_string(pare_graph *graph, pare_node *node, const char *name, const char *value) {
    const char *copy = pare_arena_copy_string(&graph->arena, value);
    pare_attr *attr = copy != NULL ? pare_node_put_attr(graph, node, name, PARE_ATTR_STRING) : NULL;
    if (attr != NULL) {
        attr->s = copy;
        attr->count = strlen(copy);
    }
    return attr != NULL;
}

bool pare_node_set_ints(pare_graph *graph, pare_node *node, const char *name, const int64_t *ints, size_t count) {
    int64_t *copy = pare_arena_alloc(&graph->arena, count + 1, sizeof *copy);
    pare_attr *attr = copy != NULL ? pare_node_put_attr(graph, node, name, PARE_ATTR_INTS) : NULL;
    if (attr != NULL) {
        if (count != 0) {
            memcpy(copy, ints, count * sizeof *copy);
        }
        attr->ints = copy;
        attr->count = count;
    }
    return attr != NULL;
}

bool pare_node_set_floats(pare_graph *graph, pare_node *node, const char *name, const float *floats, size_t count) {
    float *copy = pare_arena_alloc(&graph->arena, count + 1, sizeof *copy);
    pare_attr *attr = copy != NULL ? pare_node_put_attr(graph, node, name, PARE_ATTR_FLOATS) : NULL;
    if (attr != NULL) {
        if (count != 0) {
            memcpy(copy, floats, count * sizeof *copy);
        }
        attr->floats = copy;
        attr->count = count;
    }
    return attr != NULL;
}

bool pare_node_set_tensor(pare_graph *graph, pare_node *node, const char *name, pare_value *tensor) {
    pare_attr *attr = pare_node_put_attr(graph, node, name, PARE_ATTR_TENSOR);
    if (attr != NULL) {
        attr->tensor = tensor;
    }
    return attr != NULL;
}

void pare_node_remove_attr(pare_node *node, const char *name) {
    for (pare_attr **link = &node->attrs; *link != NULL; link = &(*link)->next) {
        if (strcmp((*link)->name, name) == 0) {
            *link = (*link)->next;
            return;
        }
    }
}

/* The tensor's elements stay shared, as those of all constants do. */
static bool copy_tensor(pare_graph *graph, pare_node *node, const pare_attr *attr) {
    pare_value *copy = pare_arena_alloc(&graph->arena, 1, sizeof *copy);
    if (copy == NULL) {
        return false;
    }
    *copy = *attr->tensor;
    copy->name = "";
    return pare_node_set_tensor(graph, node, attr->name, copy);
}

static bool copy_attr(pare_graph *graph, pare_node *node, const pare_attr *attr) {
    switch (attr->kind) {
    case PARE_ATTR_INT:
        return pare_node_set_int(graph, node, attr->name, attr->i);
    case PARE_ATTR_FLOAT:
        return pare_node_set_float(graph, node, attr->name, attr->f);
    case PARE_ATTR_STRING:
        return pare_node_set_string(graph, node, attr->name, attr->s);
    case PARE_ATTR_INTS:
        return pare_node_set_ints(graph, node, attr->name, attr->ints, attr->count);
    case PARE_ATTR_FLOATS:
        return pare_node_set_floats(graph, node, attr->name, attr->floats, attr->count);
    case PARE_ATTR_TENSOR:
        return copy_tensor(graph, node, attr);
    }
    return false;
}

bool pare_node_copy_attrs(pare_graph *graph, pare_node *node, const pare_node *from) {
    for (const pare_attr *attr = from->attrs; attr != NULL; attr = attr->next) {
        if (!copy_attr(graph, node, attr)) {
            return false;
        }
    }
    return true;
}

pare_status pare_node_fail(const pare_node *node, pare_error *error, pare_status code, const char *format, ...) {
    if (error != NULL) {
        char text[sizeof error->message];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        return pare_fail(error, code, "node \"%.200s\" (%.64s, opset %d): %s", node->name, node->op->name,
                         (int)node->opset, text);
    }
    return code;
}
