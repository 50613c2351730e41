/* From a tape to actions on planned memory: what steps call while they plan. */
#ifndef PARE_TAPE_PLAN_H
#define PARE_TAPE_PLAN_H

#include "train/tape/tape.h"

/* Something that runs in every training step. `pointers` are those of the action's buffers, in its order. */
typedef pare_status (*tape_run)(void *context, void *const *pointers);

/* Memory that the planner places by its lifetime. */
uint32_t tape_buffer(pare_tape *tape, size_t bytes, pare_error *error, pare_status *status);
/* Memory that exists outside the plan; *address is read when the plan is finished. */
uint32_t tape_external(pare_tape *tape, void *const *address, pare_error *error, pare_status *status);
/* Zeroed memory that lives as long as the tape. */
void *tape_make(pare_tape *tape, size_t count, size_t size);
/* Calls release(object) when the tape is freed, or at once where that cannot be remembered (PARE_LIMIT). */
pare_status tape_defer(pare_tape *tape, void (*release)(void *object), void *object, pare_error *error);

/* Appends an action of the current direction. `bind` (nullable) is called once, with the final pointers. */
pare_status tape_emit(pare_tape *tape, const tape_step *step, tape_run run, tape_run bind, void *context,
                      const uint32_t *buffers, size_t count, pare_error *error);

/* --- values ----------------------------------------------------------------- */
/* The tensor's floats in this layout; converted where needed, once for all who ask. */
pare_status tape_value_as(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                          pare_error *error);
/* ... in whatever layout they have. */
pare_status tape_value(pare_tape *tape, uint32_t tensor, tape_place *place, pare_error *error);
/* Memory for a step's output, in a layout of the step's choice. */
pare_status tape_new_value(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                           pare_error *error);
/* The output shares the input's memory (an alias, or overwritten in place). */
void tape_share_value(pare_tape *tape, uint32_t tensor, const tape_place *place);
/* True where a step may write its output over this input. */
bool tape_may_overwrite(const pare_tape *tape, const tape_step *step, uint32_t tensor);

/* --- gradients --------------------------------------------------------------- */
bool tape_has_gradient(const pare_tape *tape, uint32_t tensor);
/* The sum of all contributions (emitted on the first call). */
pare_status tape_gradient(pare_tape *tape, uint32_t tensor, tape_place *place, pare_error *error);
/* True where it is a sum of two contributions of this layout: whoever reads them can add them on the way. */
bool tape_gradient_halves(const pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place halves[2]);
pare_status tape_gradient_as(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                             pare_error *error);
/* Memory for a contribution. */
pare_status tape_new_place(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                           pare_error *error);
pare_status tape_contribute(pare_tape *tape, uint32_t tensor, const tape_place *place, pare_error *error);
/* Converts between layouts into new memory. */
pare_status tape_convert(pare_tape *tape, uint32_t tensor, const tape_place *from, const tape_layout *layout,
                         tape_place *to, pare_error *error);

/* --- layouts (train/onednn/onednn_layout.c) ----------------------------------- */
/* Floats of memory that the layout takes, padding included. */
size_t tape_layout_floats(const tape_layout *layout, const pare_shape *shape);
bool tape_layout_equal(const tape_layout *a, const tape_layout *b);
/* True where there is room for more elements than the shape has. */
bool tape_layout_padded(const tape_layout *layout, const pare_shape *shape);
pare_status tape_emit_reorder(pare_tape *tape, const tape_step *step, const pare_shape *shape, const tape_place *from,
                              const tape_place *to, pare_error *error);

#endif
