/* A model named on a command line: ONNX or `.pare`, told apart by content. */
#ifndef PARE_MODEL_FILE_H
#define PARE_MODEL_FILE_H

#include "cli.h"
#include "pare/evaluate.h"
#include "pare/graph.h"
#include "pare/model.h"

typedef struct model_file {
    const char *path;
    size_t bytes; /* of the file (and of its external data) */
    bool is_container;
    pare_graph *graph; /* ONNX files only */
    pare_model *model; /* always, once model_file_lower was called */
    pare_preprocess preprocess;
    const char *preprocess_json; /* canonical text, arena-owned by `memory`; NULL: none found */
    pare_arena memory;
} model_file;

/* Reads the file and finds its preprocessing: the model's metadata
 * `pare.preprocess`, else --preprocess, else the sidecar file. */
pare_status model_file_open(const char *path, model_file *file, pare_error *error);
/* The same; a graph keeps its Dropout. */
pare_status model_file_open_for_training(const char *path, model_file *file, pare_error *error);
/* Lowers an ONNX graph to file->model (a container has it already). */
pare_status model_file_lower(model_file *file, pare_error *error);
/* Accepts a zeroed file. */
void model_file_close(model_file *file);

/* PARE_USAGE when no preprocessing was found though `what` needs it. */
pare_status model_file_need_preprocess(const model_file *file, pare_error *error);

/* Opens --data or --calib with --limit and --shuffle-seed applied. */
pare_status open_dataset(const char *spec, const char *option, pare_dataset **dataset, pare_error *error);

/* Refuses an output that is one of the inputs. */
pare_status check_output(const char *output, const char *const *inputs, size_t input_count, pare_error *error);

#endif
