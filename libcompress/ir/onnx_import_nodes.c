/* Nodes and attributes. */
#include <stdio.h>
#include <string.h>

#include "ir/onnx_import.h"

#define NAMED_UNSUPPORTED 5

typedef struct attr_name {
    const char *name;
    char kind; /* i f s I F S (strings) t, ? for what differs between operators */
} attr_name;

/* An attribute's name has one type in all operators of ONNX but for those marked '?'. */
static const attr_name known[] = {
    {"activation_alpha", 'F'},
    {"activation_beta", 'F'},
    {"activations", 'S'},
    {"align_corners", 'i'},
    {"allowzero", 'i'},
    {"alpha", 'f'},
    {"antialias", 'i'},
    {"approximate", 's'},
    {"auto_pad", 's'},
    {"axes", 'I'},
    {"axis", 'i'},
    {"batch_dims", 'i'},
    {"beta", 'f'},
    {"bias", 'f'},
    {"block_size", 'i'},
    {"blocksize", 'i'},
    {"ceil_mode", 'i'},
    {"clip", 'f'},
    {"consumed_inputs", 'I'},
    {"coordinate_transformation_mode", 's'},
    {"count_include_pad", 'i'},
    {"cubic_coeff_a", 'f'},
    {"detect_negative", 'i'},
    {"detect_positive", 'i'},
    {"dilations", 'I'},
    {"direction", 's'},
    {"dtype", 'i'},
    {"end", 'i'},
    {"ends", 'I'},
    {"epsilon", 'f'},
    {"equation", 's'},
    {"exclude_outside", 'i'},
    {"exclusive", 'i'},
    {"extrapolation_value", 'f'},
    {"fmod", 'i'},
    {"gamma", 'f'},
    {"group", 'i'},
    {"hidden_size", 'i'},
    {"high", 'f'},
    {"input_forget", 'i'},
    {"is_test", 'i'},
    {"k", 'i'},
    {"keep_aspect_ratio_policy", 's'},
    {"keepdims", 'i'},
    {"kernel_shape", 'I'},
    {"lambd", 'f'},
    {"largest", 'i'},
    {"layout", 'i'},
    {"linear_before_reset", 'i'},
    {"low", 'f'},
    {"max", 'f'},
    {"mean", 'f'},
    {"min", 'f'},
    {"mode", 's'},
    {"momentum", 'f'},
    {"nearest_mode", 's'},
    {"noop_with_empty_axes", 'i'},
    {"num_groups", 'i'},
    {"num_outputs", 'i'},
    {"output_dtype", 'i'},
    {"output_height", 'i'},
    {"output_padding", 'I'},
    {"output_shape", 'I'},
    {"output_width", 'i'},
    {"p", 'i'},
    {"pads", 'I'},
    {"perm", 'I'},
    {"pooled_shape", 'I'},
    {"ratio", 'f'},
    {"reduction", 's'},
    {"reverse", 'i'},
    {"round", 'i'},
    {"saturate", 'i'},
    {"scale", 'f'},
    {"scales", 'F'},
    {"seed", '?'},
    {"select_last_index", 'i'},
    {"shape", 'I'},
    {"size", 'i'},
    {"sorted", 'i'},
    {"spatial", 'i'},
    {"spatial_scale", 'f'},
    {"split", 'I'},
    {"start", 'i'},
    {"starts", 'I'},
    {"stash_type", 'i'},
    {"storage_order", 'i'},
    {"strides", 'I'},
    {"to", 'i'},
    {"training_mode", 'i'},
    {"transA", 'i'},
    {"transB", 'i'},
    {"upper", 'i'},
    {"value", '?'},
    {"value_float", 'f'},
    {"value_floats", 'F'},
    {"value_int", 'i'},
    {"value_ints", 'I'},
    {"value_string", 's'},
    {"value_strings", 'S'},
    {"block_size", 'i'},
};

static char kind_letter(Onnx__AttributeProto__AttributeType type) {
    switch (type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        return 'f';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        return 'i';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        return 's';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        return 't';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        return 'F';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        return 'I';
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        return 'S';
    default:
        return '-';
    }
}

static pare_status fail_proto(onnx_importer *importer, const Onnx__NodeProto *proto, const char *format,
                              const char *name) {
    char text[600];
    snprintf(text, sizeof text, format, name);
    return pare_fail(importer->error, PARE_BAD_INPUT, "node \"%.200s\" (%.64s, opset %d): %s", onnx_text(proto->name),
                     onnx_text(proto->op_type), (int)importer->opset, text);
}

static pare_status check_attr(onnx_importer *importer, const Onnx__NodeProto *proto, size_t index) {
    const Onnx__AttributeProto *attr = proto->attribute[index];
    const char *name = onnx_text(attr->name);
    if (onnx_text(attr->ref_attr_name)[0] != '\0') {
        return fail_proto(importer, proto,
                          "expected ref_attr_name only inside functions, found it on attribute \"%.200s\"", name);
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(onnx_text(proto->attribute[i]->name), name) == 0) {
            return fail_proto(importer, proto, "expected each attribute once, found \"%.200s\" twice", name);
        }
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            char found = kind_letter(attr->type);
            return found != '-' && (known[i].kind == '?' || known[i].kind == found)
                       ? PARE_OK
                       : fail_proto(importer, proto, "expected another type of attribute \"%.200s\"", name);
        }
    }
    return fail_proto(importer, proto, "expected an attribute that ONNX defines, found \"%.200s\"", name);
}

/* Lists of strings are kept as one, joined by commas: no operator's strings hold any. */
static bool set_strings(pare_graph *graph, pare_node *node, const Onnx__AttributeProto *attr) {
    size_t bytes = 1;
    for (size_t i = 0; i < attr->n_strings; i++) {
        bytes += attr->strings[i].len + 1;
    }
    char *joined = pare_arena_alloc(&graph->arena, bytes, 1);
    char *to = joined;
    for (size_t i = 0; joined != NULL && i < attr->n_strings; i++) {
        if (i != 0) {
            *to++ = ',';
        }
        memcpy(to, attr->strings[i].data, attr->strings[i].len);
        to += attr->strings[i].len;
    }
    return joined != NULL && pare_node_set_string(graph, node, attr->name, joined);
}

static pare_status import_attr(onnx_importer *importer, pare_node *node, const Onnx__AttributeProto *attr) {
    pare_graph *graph = importer->graph;
    const char *text = NULL;
    pare_value *tensor = NULL;
    bool stored = false;
    switch (kind_letter(attr->type)) {
    case 'i':
        stored = pare_node_set_int(graph, node, attr->name, attr->i);
        break;
    case 'f':
        stored = pare_node_set_float(graph, node, attr->name, attr->f);
        break;
    case 's':
        text = pare_arena_copy_bytes(&graph->arena, attr->s.data, attr->s.len);
        stored = text != NULL && pare_node_set_string(graph, node, attr->name, text);
        break;
    case 'I':
        stored = pare_node_set_ints(graph, node, attr->name, attr->ints, attr->n_ints);
        break;
    case 'F':
        stored = pare_node_set_floats(graph, node, attr->name, attr->floats, attr->n_floats);
        break;
    case 'S':
        stored = set_strings(graph, node, attr);
        break;
    default:
        if (attr->t == NULL) {
            return pare_node_fail(node, importer->error, PARE_BAD_INPUT,
                                  "expected a tensor in attribute \"%.200s\", found none", attr->name);
        }
        PARE_TRY(onnx_import_tensor(importer, attr->t, "", false, &tensor));
        stored = pare_node_set_tensor(graph, node, attr->name, tensor);
        break;
    }
    return stored ? PARE_OK : pare_graph_fail_memory(graph, importer->error);
}

static pare_status opset_of(onnx_importer *importer, const Onnx__NodeProto *proto, int32_t *opset) {
    const char *domain = onnx_text(proto->domain);
    if (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0) {
        *opset = importer->graph->opset;
        return PARE_OK;
    }
    for (size_t i = 0; i < importer->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *import = importer->model->opset_import[i];
        if (strcmp(onnx_text(import->domain), domain) == 0) {
            *opset = import->version < 1 ? 1 : import->version > 1000 ? 1000 : (int32_t)import->version;
            return PARE_OK;
        }
    }
    return fail_proto(importer, proto, "expected a domain of opset_import, found \"%.100s\"", domain);
}

static bool is_constant_node(const Onnx__NodeProto *proto) {
    const char *domain = onnx_text(proto->domain);
    return strcmp(onnx_text(proto->op_type), "Constant") == 0 && (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0);
}

static pare_status find_op(onnx_importer *importer, const Onnx__NodeProto *proto, const pare_op **op) {
    int32_t opset = 0;
    PARE_TRY(opset_of(importer, proto, &opset));
    *op = onnx_border_op(onnx_text(proto->domain), onnx_text(proto->op_type));
    if (*op == NULL) {
        *op = pare_op_find(onnx_text(proto->domain), onnx_text(proto->op_type), opset);
    }
    return PARE_OK;
}

/* All operators that are not supported, in one message. */
static pare_status check_operators(onnx_importer *importer) {
    char list[700] = "";
    size_t used = 0, count = 0;
    for (size_t i = 0; i < importer->proto->n_node; i++) {
        const Onnx__NodeProto *proto = importer->proto->node[i];
        const pare_op *op = NULL;
        if (is_constant_node(proto)) {
            continue;
        }
        PARE_TRY(find_op(importer, proto, &op));
        if (op != NULL || count++ >= NAMED_UNSUPPORTED) {
            continue;
        }
        int written =
            snprintf(list + used, sizeof list - used, "%snode \"%.50s\" (%.60s, opset %d)", used != 0 ? ", " : "",
                     onnx_text(proto->name), onnx_text(proto->op_type), (int)importer->opset);
        if (written > 0 && (size_t)written < sizeof list - used) {
            used += (size_t)written;
        }
    }
    if (count == 0) {
        return PARE_OK;
    }
    char more[40] = "";
    if (count > NAMED_UNSUPPORTED) {
        snprintf(more, sizeof more, " and %zu more", count - NAMED_UNSUPPORTED);
    }
    return pare_fail(importer->error, PARE_UNSUPPORTED, "expected supported operators, found %s%s", list, more);
}

static pare_status find_input(onnx_importer *importer, const Onnx__NodeProto *proto, const char *name,
                              pare_value **value) {
    *value = pare_graph_find_value(importer->graph, name);
    if (*value != NULL) {
        return PARE_OK;
    }
    if (pare_name_table_find(importer->produced, name) != NULL) {
        return fail_proto(importer, proto,
                          "expected nodes in topological order, found input \"%.200s\" used before the node that "
                          "produces it (or a cycle)",
                          name);
    }
    return fail_proto(importer, proto, "expected input \"%.200s\" to be produced, found nothing that does", name);
}

static size_t trimmed(char *const *names, size_t count) {
    while (count > 0 && onnx_text(names[count - 1])[0] == '\0') {
        count--;
    }
    return count;
}

static pare_status check_arity(onnx_importer *importer, const Onnx__NodeProto *proto, const pare_op *op, size_t inputs,
                               size_t outputs) {
    char text[160];
    if (inputs < op->min_inputs || inputs > op->max_inputs) {
        snprintf(text, sizeof text, "expected %u to %u inputs, found %zu", op->min_inputs, op->max_inputs, inputs);
        return fail_proto(importer, proto, "%s", text);
    }
    if (outputs < op->min_outputs || outputs > op->max_outputs) {
        snprintf(text, sizeof text, "expected %u to %u outputs, found %zu", op->min_outputs, op->max_outputs, outputs);
        return fail_proto(importer, proto, "%s", text);
    }
    for (size_t i = 0; i < op->min_inputs; i++) {
        if (onnx_text(proto->input[i])[0] == '\0') {
            snprintf(text, sizeof text, "expected input %zu, found an empty name", i);
            return fail_proto(importer, proto, "%s", text);
        }
    }
    return PARE_OK;
}

static pare_status import_outputs(onnx_importer *importer, const Onnx__NodeProto *proto, size_t count,
                                  pare_value **outputs) {
    for (size_t i = 0; i < count; i++) {
        const char *name = onnx_text(proto->output[i]);
        outputs[i] = NULL;
        if (name[0] == '\0') {
            continue;
        }
        outputs[i] = pare_graph_add_value(importer->graph, name, PARE_DTYPE_NONE, NULL);
        if (outputs[i] == NULL) {
            return pare_graph_fail_memory(importer->graph, importer->error);
        }
    }
    return PARE_OK;
}

static pare_status import_node(onnx_importer *importer, const Onnx__NodeProto *proto) {
    pare_graph *graph = importer->graph;
    const pare_op *op = NULL;
    PARE_TRY(find_op(importer, proto, &op));
    size_t input_count = trimmed(proto->input, proto->n_input);
    size_t output_count = trimmed(proto->output, proto->n_output);
    PARE_TRY(check_arity(importer, proto, op, input_count, output_count));
    pare_value **values = pare_arena_alloc(&graph->arena, input_count + output_count + 1, sizeof(pare_value *));
    if (values == NULL) {
        return pare_graph_fail_memory(graph, importer->error);
    }
    for (size_t i = 0; i < input_count; i++) {
        if (onnx_text(proto->input[i])[0] != '\0') {
            PARE_TRY(find_input(importer, proto, proto->input[i], &values[i]));
        }
    }
    PARE_TRY(import_outputs(importer, proto, output_count, values + input_count));
    pare_node *node = pare_graph_insert_node(graph, NULL, op, onnx_text(proto->name), values, input_count,
                                             values + input_count, output_count);
    if (node == NULL) {
        return pare_graph_fail_memory(graph, importer->error);
    }
    node->opset = importer->opset;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        PARE_TRY(check_attr(importer, proto, i));
        PARE_TRY(import_attr(importer, node, proto->attribute[i]));
    }
    /* Half and double precision are computed as float32. */
    const pare_attr *to = pare_node_attr(node, "to");
    if (to != NULL && to->kind == PARE_ATTR_INT && to->i > 0 && to->i <= PARE_BF16) {
        pare_node_set_int(graph, node, "to", (int64_t)onnx_graph_dtype((pare_dtype)to->i));
    }
    return PARE_OK;
}

static pare_status constant_from_attr(onnx_importer *importer, const Onnx__NodeProto *proto, const char *name) {
    const Onnx__AttributeProto *attr = proto->attribute[0];
    pare_graph *graph = importer->graph;
    pare_value *value = NULL;
    pare_shape shape = {0};
    const char *kind = onnx_text(attr->name);
    if (strcmp(kind, "value") == 0 && attr->t != NULL) {
        pare_status status = onnx_import_tensor(importer, attr->t, name, true, &value);
        if (status != PARE_OK) {
            pare_error_prefix(importer->error, "node \"%.200s\" (Constant, opset %d): ", onnx_text(proto->name),
                              (int)importer->opset);
        }
        return status;
    }
    if (strcmp(kind, "value_float") == 0) {
        value = pare_graph_add_constant(graph, name, PARE_F32, &shape, &attr->f, sizeof attr->f);
    } else if (strcmp(kind, "value_int") == 0) {
        PARE_TRY(onnx_check_plain(importer, name, &attr->i, 1));
        value = pare_graph_add_constant(graph, name, PARE_S64, &shape, &attr->i, sizeof attr->i);
    } else if (strcmp(kind, "value_floats") == 0) {
        shape = (pare_shape){.rank = 1, .dims = {(int64_t)attr->n_floats}};
        value = pare_graph_add_constant(graph, name, PARE_F32, &shape, attr->floats, attr->n_floats * sizeof(float));
    } else if (strcmp(kind, "value_ints") == 0) {
        PARE_TRY(onnx_check_plain(importer, name, attr->ints, attr->n_ints));
        shape = (pare_shape){.rank = 1, .dims = {(int64_t)attr->n_ints}};
        value = pare_graph_add_constant(graph, name, PARE_S64, &shape, attr->ints, attr->n_ints * sizeof(int64_t));
    } else {
        return pare_fail(importer->error, PARE_UNSUPPORTED,
                         "node \"%.200s\" (Constant, opset %d): expected numbers, found attribute \"%.200s\"",
                         onnx_text(proto->name), (int)importer->opset, kind);
    }
    return value != NULL ? PARE_OK : pare_graph_fail_memory(graph, importer->error);
}

static pare_status import_constant(onnx_importer *importer, const Onnx__NodeProto *proto) {
    const char *name = proto->n_output == 1 ? onnx_text(proto->output[0]) : "";
    if (name[0] == '\0' || proto->n_input != 0 || proto->n_attribute != 1) {
        return fail_proto(importer, proto, "expected one output, no input and one attribute%s", "");
    }
    PARE_TRY(check_attr(importer, proto, 0));
    return constant_from_attr(importer, proto, name);
}

pare_status onnx_import_nodes(onnx_importer *importer) {
    PARE_TRY(check_operators(importer));
    for (size_t i = 0; i < importer->proto->n_node; i++) {
        const Onnx__NodeProto *proto = importer->proto->node[i];
        PARE_TRY(is_constant_node(proto) ? import_constant(importer, proto) : import_node(importer, proto));
    }
    return PARE_OK;
}
