/* ONNX file -> graph: the order of the steps. */
#include <stdio.h>
#include <string.h>

#include "ir/onnx_import.h"
#include "pare/passes.h"

#define OLDEST_OPSET 7
#define NEWEST_OPSET 22
#define GRAPH_OPSET 13 /* what the graph speaks at least */

static pare_status check_model(onnx_importer *importer) {
    const Onnx__ModelProto *model = importer->model;
    pare_error *error = importer->error;
    if (model->graph == NULL) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a graph, found none");
    }
    if (model->n_functions != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected no model-local functions, found %zu (first: \"%.100s\")",
                         model->n_functions, onnx_text(model->functions[0]->name));
    }
    if (model->n_training_info != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected an inference model, found training_info");
    }
    if (model->graph->n_sparse_initializer != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected dense initializers, found %zu sparse_initializer entries",
                         model->graph->n_sparse_initializer);
    }
    int64_t opset = -1;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = onnx_text(model->opset_import[i]->domain);
        if (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0) {
            opset = model->opset_import[i]->version;
        }
    }
    if (opset < 1) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an opset_import of the ONNX domain of 1 or more, found %s",
                         opset == -1 ? "none" : "another number");
    }
    if (opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected opset %d to %d, found %lld", OLDEST_OPSET, NEWEST_OPSET,
                         (long long)opset);
    }
    importer->opset = (int32_t)opset;
    return PARE_OK;
}

static pare_status describe_graph(onnx_importer *importer) {
    pare_graph *graph = importer->graph;
    const Onnx__ModelProto *model = importer->model;
    graph->name = pare_arena_copy_string(&graph->arena, onnx_text(model->graph->name));
    graph->producer = pare_arena_copy_string(&graph->arena, onnx_text(model->producer_name));
    graph->doc = pare_arena_copy_string(&graph->arena, onnx_text(model->doc_string));
    graph->ir_version = model->ir_version;
    graph->opset = importer->opset > GRAPH_OPSET ? importer->opset : GRAPH_OPSET;
    bool stored = graph->name != NULL && graph->producer != NULL && graph->doc != NULL;
    for (size_t i = 0; stored && i < model->n_metadata_props; i++) {
        stored = pare_graph_set_metadata(graph, onnx_text(model->metadata_props[i]->key),
                                         onnx_text(model->metadata_props[i]->value));
    }
    return stored ? PARE_OK : pare_graph_fail_memory(graph, importer->error);
}

/* Names of all node outputs: so that "nothing produces it" and "a later node
 * produces it" can be told apart. */
static pare_status collect_outputs(onnx_importer *importer) {
    const Onnx__GraphProto *proto = importer->proto;
    if (proto->n_node == 0) {
        return pare_fail(importer->error, PARE_BAD_INPUT, "expected a graph with nodes, found none");
    }
    importer->produced = pare_name_table_create(&importer->graph->arena);
    if (importer->produced == NULL) {
        return pare_graph_fail_memory(importer->graph, importer->error);
    }
    for (size_t n = 0; n < proto->n_node; n++) {
        Onnx__NodeProto *node = proto->node[n];
        for (size_t i = 0; i < node->n_output; i++) {
            const char *name = onnx_text(node->output[i]);
            const Onnx__NodeProto *first = name[0] != '\0' ? pare_name_table_find(importer->produced, name) : NULL;
            if (first != NULL) {
                return pare_fail(importer->error, PARE_BAD_INPUT,
                                 "node \"%.200s\" (%.64s, opset %d): expected unique value names, found output "
                                 "\"%.200s\" twice",
                                 onnx_text(node->name), onnx_text(node->op_type), (int)importer->opset, name);
            }
            if (name[0] != '\0' && !pare_name_table_put(importer->produced, name, node)) {
                return pare_graph_fail_memory(importer->graph, importer->error);
            }
        }
    }
    return PARE_OK;
}

static pare_status import_steps(onnx_importer *importer, bool simplify) {
    PARE_TRY(describe_graph(importer));
    PARE_TRY(collect_outputs(importer));
    PARE_TRY(onnx_import_values(importer));
    PARE_TRY(onnx_import_nodes(importer));
    PARE_TRY(onnx_import_outputs(importer));
    PARE_TRY(onnx_upgrade(importer->graph, importer->error));
    PARE_TRY(onnx_absorb_quantization(importer->graph, importer->error));
    pare_graph_drop_unused_values(importer->graph);
    if (simplify) {
        return pare_simplify(importer->graph, importer->error);
    }
    return pare_infer_and_fold(importer->graph, importer->error);
}

pare_status pare_graph_from_onnx(const pare_onnx_file *file, const pare_import_options *options, pare_graph **graph,
                                 pare_error *error) {
    *graph = NULL;
    onnx_importer importer = {.file = file, .model = file->proto, .error = error};
    if (file->proto == NULL) {
        return pare_fail(error, PARE_USAGE, "expected an open ONNX file, found a closed one");
    }
    if (options != NULL) {
        importer.bindings = options->bindings;
        importer.binding_count = options->binding_count;
    }
    importer.proto = file->proto->graph;
    PARE_TRY(check_model(&importer));
    PARE_TRY(pare_graph_create(0, &importer.graph, error));
    importer.graph->for_training = options != NULL && options->for_training;
    pare_status status = import_steps(&importer, options == NULL || !options->no_simplify);
    if (status == PARE_OK) {
        status = pare_graph_check(importer.graph, error);
    }
    if (status != PARE_OK) {
        pare_graph_free(importer.graph);
        return status;
    }
    *graph = importer.graph;
    return PARE_OK;
}

pare_status pare_graph_load(const char *path, const pare_import_options *options, pare_graph **graph,
                            pare_error *error) {
    pare_onnx_file file = {0};
    *graph = NULL;
    PARE_TRY(pare_onnx_open(path, NULL, &file, error));
    pare_status status = pare_graph_from_onnx(&file, options, graph, error);
    pare_onnx_close(&file);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", path);
    }
    return status;
}
