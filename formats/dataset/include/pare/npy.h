/* NumPy's .npy files: what tests, tools and data sets exchange tensors in. */
#ifndef PARE_NPY_H
#define PARE_NPY_H

#include <stdint.h>

#include "pare/status.h"
#include "pare/tensor.h"

typedef struct pare_npy_header {
    pare_dtype dtype;
    pare_shape shape;
    bool big_endian;
    uint64_t data_offset; /* in the file */
} pare_npy_header;

/* Parses the header at the front of `data`; the shape × type is checked against
 * `file_bytes`. Object types are refused (never unpickled), as is fortran_order. */
pare_status pare_npy_parse(const void *data, size_t size, uint64_t file_bytes, pare_npy_header *header,
                           pare_error *error);

/* A whole array in native byte order; the caller frees *data with pare_free. */
pare_status pare_npy_read(const char *path, size_t limit, pare_npy_header *header, void **data, size_t *bytes,
                          pare_error *error);
/* Version 1.0, little-endian, C order; replaced atomically. */
pare_status pare_npy_write(const char *path, pare_dtype dtype, const pare_shape *shape, const void *data,
                           pare_error *error);

#endif
