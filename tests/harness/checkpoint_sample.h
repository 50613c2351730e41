/* A small checkpoint, and what tests do to the bytes of one. */
#ifndef PARE_CHECKPOINT_SAMPLE_H
#define PARE_CHECKPOINT_SAMPLE_H

#include "train/checkpoint.h"

enum { SAMPLE_ARRAYS = 3, SAMPLE_WEIGHTS = 5, SAMPLE_MOMENTS = 3, SAMPLE_FLOATS = SAMPLE_WEIGHTS + SAMPLE_MOMENTS };

typedef struct checkpoint_sample {
    pare_checkpoint_identity identity;
    pare_checkpoint_progress progress;
    float elements[SAMPLE_FLOATS];
    pare_checkpoint_array arrays[SAMPLE_ARRAYS]; /* weights, none (without elements), moments: in `elements` */
} checkpoint_sample;

/* Step 70 of 100; elements with every kind of float. The arrays point into `sample`. */
void make_checkpoint_sample(checkpoint_sample *sample);
/* As the sample, but with nothing in it that a checkpoint brings. */
void make_blank_sample(checkpoint_sample *sample);
pare_status save_sample(const char *path, const checkpoint_sample *sample, pare_error *error);
pare_status load_sample(const char *path, checkpoint_sample *sample, pare_error *error);
/* Entries of a folder. */
size_t count_folder(const char *path);

/* Offset in the file and bytes of a section (1 identity … 4 data); zeros where the bytes have none. */
void find_checkpoint_section(const uint8_t *data, size_t size, uint32_t type, size_t *offset, size_t *bytes);
/* Puts this build's version of Pare in (where it is as long as the one there), then recomputes the checksums of
 * sections, section table and header, as far as the bytes allow. */
void fix_checkpoint(uint8_t *data, size_t size);

#endif
