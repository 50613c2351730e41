/* Small models that use every opcode, element type and codec, and what tests do
 * to the bytes of a `.pare` file. */
#ifndef SAMPLE_MODELS_H
#define SAMPLE_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/model.h"

/* One node of every opcode, in float where it has that form. The caller releases it. */
pare_model *sample_every_opcode(void);
/* A constant of every element type, each cast to float32. */
pare_model *sample_every_type(void);
/* Integer forms: convolutions with and without residual, functions, pooling,
 * concatenation, products; weights that suit each codec. */
pare_model *sample_integer(void);
/* x + x, the smallest useful model. */
pare_model *sample_smallest(void);

/* Recomputes the checksums of header, section table and sections, and of raw
 * buffers where their table is not packed, as far as the bytes allow. */
void fix_checksums(uint8_t *data, size_t size);
/* True when both models hold the same, element by element. */
bool models_equal(const pare_model *a, const pare_model *b);
/* Offset in the file and stored bytes of a section (1 strings … 8 weights). */
void find_section(const uint8_t *data, size_t size, uint32_t type, size_t *offset, size_t *bytes);

#endif
