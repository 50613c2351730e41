/* A teacher beside the student: its outputs for each batch. */
#ifndef PARE_TEACHER_H
#define PARE_TEACHER_H

#include "pare/train.h"
#include "train/data/loader.h"
#include "train/tape/tape.h"

typedef struct pare_teacher pare_teacher;

/* Plans the teacher of options->distill for batches of `batch` samples of this input (without its batch dimension).
 * PARE_USAGE for options out of range, values that hints name and the teacher does not have, or an input that is not
 * the student's. */
pare_status teacher_create(const pare_train_options *options, pare_dataset *data, const pare_shape *input, size_t batch,
                           pare_teacher **teacher, pare_error *error);
/* Accepts NULL. */
void teacher_free(pare_teacher *teacher);
/* The tape's input that receives the teacher's answers [rows, classes], as what the student's loss of this kind works
 * on (logits, for the cross-entropies). PARE_USAGE where it has others. */
pare_status teacher_bind(pare_teacher *teacher, uint32_t tensor, pare_loss_kind kind, size_t rows, size_t classes,
                         pare_error *error);
/* Hint `index`: *target becomes the tape's input that receives the teacher's value; where the channels differ, *student
 * becomes a learned projection of it. */
pare_status teacher_hint(pare_teacher *teacher, pare_tape *tape, size_t index, const pare_hint *hint, uint32_t *student,
                         uint32_t *target, pare_error *error);
/* What a hint names: a value that is computed, by its own name or by that of the node whose first output it is; else
 * NULL. */
pare_value *teacher_find_value(const pare_graph *graph, const char *name);
/* Fills them. */
pare_status teacher_feed(pare_teacher *teacher, pare_tape *tape, const pare_batch *batch, pare_error *error);

#endif
