/* The state of a lowering. Private to libcompress/ir. */
#ifndef PARE_LOWER_INTERNAL_H
#define PARE_LOWER_INTERNAL_H

#include "pare/lower.h"

/* Where a value lives in the model. */
typedef struct pare_lower_slot {
    const pare_value *value;
    uint32_t native;  /* as the value is: integers where it is quantized */
    uint32_t real;    /* a quantized value dequantized, once someone asked */
    uint32_t pending; /* what the operator being lowered writes where that is not `native` yet */
    bool listed;      /* among the model's outputs */
} pare_lower_slot;

struct pare_lower_state {
    pare_lower_slot *slots; /* sorted by value */
    size_t slot_count;
};

pare_lower_slot *pare_lower_slot_of(pare_lowering *lowering, const pare_value *value);
/* Adds the integer tensor of a quantized value, named after it and `suffix`. */
pare_status pare_lower_add_quantized(pare_lowering *lowering, const pare_value *value, const char *suffix,
                                     uint32_t *tensor, pare_error *error);
/* The tensor of a value; constants and dequantized forms are added when first asked for. */
pare_status pare_lower_value(pare_lowering *lowering, const pare_value *value, bool integer, uint32_t *tensor,
                             pare_error *error);
/* A table from one u8 grid to another. */
pare_status pare_lower_requantize(pare_lowering *lowering, const pare_node *node, uint32_t from, uint32_t to,
                                  pare_error *error);

#endif
