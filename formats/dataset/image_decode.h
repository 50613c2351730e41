/* JPEG and PNG pictures to interleaved RGB bytes. */
#ifndef PARE_IMAGE_DECODE_H
#define PARE_IMAGE_DECODE_H

#include "pare/dataset.h"

#define PARE_IMAGE_SIDE_LIMIT 16384
#define PARE_IMAGE_PIXEL_LIMIT ((size_t)100000000)
#define PARE_IMAGE_FILE_LIMIT ((size_t)256 << 20)

/* Told apart by their first bytes. Gray becomes RGB, an alpha channel is dropped
 * and an EXIF rotation ignored, as Pillow's convert("RGB") does. Messages do not
 * name the file. */
pare_status pare_image_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error);

/* The two formats; `data` starts with their magic. */
pare_status pare_jpeg_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error);
pare_status pare_png_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error);

/* Checks the limits and makes room for height × width × 3 bytes. */
pare_status pare_image_reserve(pare_sample *sample, size_t height, size_t width, pare_error *error);

#endif
