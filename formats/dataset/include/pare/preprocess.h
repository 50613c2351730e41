/* From a data set's sample to a model's input: resize, crop, colour order,
 * scale, mean, deviation, layout. */
#ifndef PARE_PREPROCESS_H
#define PARE_PREPROCESS_H

#include "pare/dataset.h"
#include "pare/status.h"
#include "pare/tensor.h"

typedef enum pare_layout_order { PARE_ORDER_NCHW = 0, PARE_ORDER_NHWC = 1, PARE_ORDER_FLAT = 2 } pare_layout_order;
typedef enum pare_color { PARE_COLOR_KEEP = 0, PARE_COLOR_RGB = 1, PARE_COLOR_BGR = 2, PARE_COLOR_GRAY = 3 } pare_color;
typedef enum pare_task { PARE_TASK_CLASSIFICATION = 0, PARE_TASK_REGRESSION = 1, PARE_TASK_AUTOENCODER = 2 } pare_task;

/* CLI.md's preprocessing record. Zero-initialised it is the identity but for
 * `scale` and `std`, where 0 means 1. mean/std hold one number for all channels
 * or one a channel. */
typedef struct pare_preprocess {
    pare_layout_order layout;
    int32_t resize; /* short side in pixels; 0: none */
    int32_t crop;   /* centre crop; 0: none */
    pare_color color;
    float scale;
    float mean[16], std[16];
    int32_t mean_count, std_count;
    pare_task task;
    int32_t label_offset;
} pare_preprocess;

/* Scratch of a pare_preprocess_apply; zero-initialise, then free. */
typedef struct pare_preprocess_scratch {
    uint8_t *resized, *cropped;
    size_t resized_bytes, cropped_bytes;
} pare_preprocess_scratch;
void pare_preprocess_scratch_free(pare_preprocess_scratch *scratch);

/* Writes one sample as the model wants it: `shape` is the model's input without
 * its batch dimension, `dtype` F32, U8 (no scale or mean), or S64 (copied), `out` its bytes.
 * (x × scale - mean) / std per channel. PARE_BAD_INPUT names the sizes that
 * differ; NaN or infinite samples are refused too. */
pare_status pare_preprocess_apply(const pare_preprocess *preprocess, const pare_sample_info *info,
                                  const pare_sample *sample, const pare_shape *shape, pare_dtype dtype, void *out,
                                  pare_preprocess_scratch *scratch, pare_error *error);

/* Resizes interleaved u8 pixels with Pillow's antialiased bilinear: the
 * triangle filter's support grows with the reduction, horizontal pass then
 * vertical, coefficients normalised to 22-bit fixed point, rounded after each
 * pass. `out` holds out_height × out_width × channels bytes. */
pare_status pare_resize_bilinear(const uint8_t *in, int32_t height, int32_t width, int32_t channels, uint8_t *out,
                                 int32_t out_height, int32_t out_width, pare_error *error);

#endif
