/* pare-inspect: what a model consists of, and where a file's bytes go. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "pare/op.h"
#include "report.h"

/* One row of the listing. */
typedef struct layer_row {
    const char *name, *op;
    char shape[100];
    uint64_t parameters, macs;
    int bits;        /* of the weights; 0: none */
    double sparsity; /* share of zero weights */
    size_t bytes;    /* of constants, as stored */
} layer_row;

typedef struct summary {
    uint64_t parameters, macs;
    json_t *nodes;
} summary;

static size_t count_zeros(const void *data, size_t bytes, size_t width) {
    const uint8_t *at = data;
    size_t zeros = 0;
    for (size_t i = 0; i + width <= bytes; i += width) {
        bool zero = true;
        for (size_t b = 0; b < width; b++) {
            zero = zero && (at[i + b] == 0 || (b + 1 == width && width == 4 && at[i + b] == 0x80)); /* -0.0 too */
        }
        zeros += zero;
    }
    return zeros;
}

/* Counts a constant operand into a row: `weights` is the one that sets bits and sparsity. */
static void count_constant(layer_row *row, const void *data, size_t bytes, size_t stored, pare_dtype dtype,
                           bool weights) {
    size_t width = pare_dtype_bytes(dtype);
    size_t elements = width > 0 ? bytes / width : 0;
    row->parameters += elements;
    row->bytes += stored;
    if (weights && elements > 0) {
        row->bits = (int)(8 * width);
        row->sparsity = (double)count_zeros(data, bytes, width) / (double)elements;
    }
}

static void add_row(summary *s, const layer_row *row) {
    bool quiet = common.quiet || (common.json != NULL && strcmp(common.json, "-") == 0);
    s->parameters += row->parameters;
    s->macs += row->macs;
    if (!quiet) {
        char bits[16] = "", sparsity[16] = "";
        if (row->bits > 0) {
            snprintf(bits, sizeof bits, "%d", row->bits);
            snprintf(sparsity, sizeof sparsity, "%.1f %%", 100.0 * row->sparsity);
        }
        printf("%-32s %-16.16s %-18s %12s %14s %5s %8s %12s\n", shown(row->name, 32), row->op, row->shape,
               count_text(row->parameters), count_text(row->macs), bits, sparsity, count_text(row->bytes));
    }
    json_array_append_new(s->nodes, json_pack("{s:s,s:s,s:s,s:I,s:I,s:i,s:f,s:I}", "name", json_text(row->name), "op",
                                              row->op, "output_shape", row->shape, "parameters",
                                              (json_int_t)row->parameters, "macs", (json_int_t)row->macs, "weight_bits",
                                              row->bits, "sparsity", row->sparsity, "bytes", (json_int_t)row->bytes));
}

static void list_graph(const pare_graph *graph, summary *s) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        layer_row row = {.name = node->name, .op = node->op->name};
        if (node->output_count > 0 && node->outputs[0] != NULL) {
            pare_shape_text(&node->outputs[0]->shape, row.shape, sizeof row.shape);
        }
        for (size_t i = 0; i < node->input_count; i++) {
            const pare_value *v = node->inputs[i];
            bool weights = node->op->weight_input == (int)i;
            if (v != NULL && v->data != NULL && (v->dtype == PARE_F32 || weights)) {
                count_constant(&row, v->data, v->data_bytes, v->data_bytes,
                               v->quant != NULL ? v->quant->dtype : v->dtype, weights);
            }
        }
        row.macs = node->op->macs != NULL ? node->op->macs(node) : 0;
        add_row(s, &row);
    }
}

static void list_model(const pare_model *model, summary *s) {
    for (uint32_t n = 0; n < model->node_count; n++) {
        const pare_model_node *node = &model->nodes[n];
        layer_row row = {.name = node->name, .op = pare_opcode_find(node->opcode)->name};
        pare_shape_text(&model->tensors[node->outputs[0]].shape, row.shape, sizeof row.shape);
        for (uint32_t i = 0; i < node->input_count; i++) {
            uint32_t buffer = node->inputs[i] != PARE_NONE ? model->tensors[node->inputs[i]].buffer : PARE_NONE;
            if (buffer != PARE_NONE) {
                const pare_model_buffer *b = &model->buffers[buffer];
                count_constant(&row, b->data, b->bytes, b->stored_bytes, model->tensors[node->inputs[i]].dtype, i == 1);
            }
        }
        row.macs = pare_model_node_macs(model, node);
        add_row(s, &row);
    }
}

/* Bits that a value of one byte is worth by how often each occurs: what a coder without context needs at least. */
static double entropy_of(const uint8_t *data, size_t count) {
    size_t counts[256] = {0};
    double bits = 0;
    for (size_t i = 0; i < count; i++) {
        counts[data[i]]++;
    }
    for (int v = 0; v < 256; v++) {
        double share = (double)counts[v] / (double)count;
        bits -= counts[v] > 0 ? share * log2(share) : 0;
    }
    return bits;
}

static json_t *list_tensor(const pare_model_tensor *tensor, const pare_model_buffer *buffer, bool quiet) {
    size_t width = pare_dtype_bytes(tensor->dtype), elements = width > 0 ? buffer->bytes / width : 0;
    double bits = elements > 0 ? 8.0 * (double)buffer->stored_bytes / (double)elements : 0;
    bool coded = width == 1 && elements > 0;
    double entropy = coded ? entropy_of(buffer->data, elements) : (double)NAN;
    char shape[100], least[16] = "";
    pare_shape_text(&tensor->shape, shape, sizeof shape);
    snprintf(least, sizeof least, "%.3f", entropy);
    if (!quiet) {
        printf("%-32s %-8s %-18s %12s %12s %8.3f %8s %s\n", shown(tensor->name, 32), pare_dtype_name(tensor->dtype),
               shape, count_text(elements), count_text(buffer->stored_bytes), bits, coded ? least : "",
               pare_codec_name(buffer->codec));
    }
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:f,s:o,s:s}", "name", json_text(tensor->name), "dtype",
                     pare_dtype_name(tensor->dtype), "shape", shape, "elements", (json_int_t)elements, "bytes",
                     (json_int_t)buffer->stored_bytes, "bits_per_element", bits, "entropy", json_number(entropy),
                     "codec", pare_codec_name(buffer->codec));
}

/* The constants of a container, each buffer once, and how it is stored. */
static json_t *list_tensors(const pare_model *model, bool quiet) {
    json_t *tensors = json_array();
    bool *seen = pare_alloc_zero(model->buffer_count + 1U, sizeof *seen);
    if (!quiet) {
        printf("\n%-32s %-8s %-18s %12s %12s %8s %8s %s\n", "constant", "type", "shape", "elements", "bytes", "bits",
               "entropy", "codec");
    }
    for (uint32_t i = 0; seen != NULL && i < model->tensor_count; i++) {
        const pare_model_tensor *tensor = &model->tensors[i];
        if (tensor->buffer != PARE_NONE && !seen[tensor->buffer]) {
            seen[tensor->buffer] = true;
            json_array_append_new(tensors, list_tensor(tensor, &model->buffers[tensor->buffer], quiet));
        }
    }
    pare_free(seen);
    return tensors;
}

static json_t *print_layout(const model_file *file, pare_error *error) {
    uint8_t *data = NULL;
    size_t size;
    pare_model_layout at;
    if (pare_file_read(file->path, SIZE_MAX, &data, &size, error) != PARE_OK) {
        return NULL;
    }
    pare_status status = pare_model_file_layout(data, size, &at, error);
    pare_free(data);
    if (status != PARE_OK) {
        return NULL;
    }
    const struct {
        const char *name;
        size_t bytes;
    } parts[] = {
        {"header", at.header}, {"strings", at.strings},   {"tensors", at.tensors}, {"quantization", at.quantization},
        {"nodes", at.nodes},   {"metadata", at.metadata}, {"weights", at.weights}};
    json_t *object = json_object();
    bool quiet = common.quiet || (common.json != NULL && strcmp(common.json, "-") == 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!quiet) {
            printf("  %-16s %s, %.1f %%\n", parts[i].name, size_text(parts[i].bytes),
                   100.0 * (double)parts[i].bytes / (double)at.total);
        }
        json_object_set_new(object, parts[i].name, json_integer((json_int_t)parts[i].bytes));
    }
    return object;
}

static pare_status inspect(const model_file *file, pare_error *error) {
    summary s = {.nodes = json_array()};
    bool quiet = common.quiet || (common.json != NULL && strcmp(common.json, "-") == 0);
    if (!quiet) {
        printf("%-32s %-16s %-18s %12s %14s %5s %8s %12s\n", "node", "operator", "output", "parameters", "MACs", "bits",
               "zero", "bytes");
    }
    if (file->graph != NULL) {
        list_graph(file->graph, &s);
    } else {
        list_model(file->model, &s);
    }
    json_t *tensors = file->is_container ? list_tensors(file->model, quiet) : NULL;
    if (!quiet) {
        printf("\nparameters  %s\nMACs        %s a sample\nfile        %s\n", count_text(s.parameters),
               count_text(s.macs), size_text(file->bytes));
    }
    uint32_t skipped = file->is_container ? file->model->skipped_sections : 0;
    if (!quiet && skipped > 0) {
        printf("skipped     %u optional sections that a newer version wrote\n", skipped);
    }
    json_t *object = json_pack("{s:s,s:s,s:I,s:I,s:I,s:o}", "model", json_text(file->path), "format",
                               file->is_container ? "pare" : "onnx", "parameters", (json_int_t)s.parameters, "macs",
                               (json_int_t)s.macs, "file_bytes", (json_int_t)file->bytes, "nodes", s.nodes);
    if (file->is_container) {
        json_t *layout = print_layout(file, error);
        json_object_set_new(object, "tensors", tensors);
        if (layout == NULL) {
            json_decref(object);
            return error->code;
        }
        json_object_set_new(object, "bytes", layout);
    }
    return write_json(object, error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0};
    pare_status status = model_file_open(arguments->items[0], &file, error);
    if (status == PARE_OK) {
        status = inspect(&file, error);
    }
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {CLI_SHAPE, CLI_PREPROCESS, CLI_JSON, CLI_QUIET};
    static const cli_tool tool = {
        .name = "pare-inspect",
        .summary = "layers, shapes, parameters, MACs, bits, sparsity and bytes of a model",
        .usage = "MODEL [options]",
        .details =
            "examples:\n"
            "  pare-inspect net.onnx\n"
            "  pare-inspect net.pare          (also: each constant's bits beside its entropy, where every byte goes)\n"
            "  pare-inspect net.pare --json -\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
