/* Shared between the files of pare_onnx, and visible to its tests. */
#ifndef PARE_ONNX_INTERNAL_H
#define PARE_ONNX_INTERNAL_H

#include "pare/onnx.h"

/* Types that the system's onnx.proto does not name yet. */
enum {
    PARE_ONNX_STRING = 8,
    PARE_ONNX_COMPLEX64 = 14,
    PARE_ONNX_COMPLEX128 = 15,
    PARE_ONNX_UINT4 = 21,
    PARE_ONNX_INT4 = 22,
    PARE_ONNX_LAST_TYPE = 23
};

/* What a file that is no ONNX model looks like ("a PNG image", "text", …);
 * NULL when nothing is recognised. */
const char *pare_onnx_file_kind(const uint8_t *data, size_t size);

/* Limits with every 0 replaced by its default for a file of `size` bytes. */
pare_onnx_limits pare_onnx_limits_resolve(const pare_onnx_limits *limits, size_t size);

/* Packed 4-bit elements take half a byte in the file. False on overflow. */
bool pare_onnx_stored_bytes(const Onnx__TensorProto *tensor, const pare_shape *shape, pare_dtype dtype, size_t *bytes);

/* Where a tensor's external data lies. `location` points into the message. */
typedef struct pare_onnx_external {
    const char *location;
    uint64_t offset;
    uint64_t length;
    bool has_length;
} pare_onnx_external;

/* Reads and checks the keys and the location's form; opens nothing. */
pare_status pare_onnx_external_parse(const Onnx__TensorProto *tensor, pare_onnx_external *external, pare_error *error);
/* Opens a regular file beneath `folder` that has no other name; no symbolic
 * link is followed on the way. `walk` takes the way that kernels without
 * openat2 need. */
pare_status pare_onnx_external_open(const char *folder, const char *location, bool walk, int *descriptor,
                                    uint64_t *size, pare_error *error);
/* Reads exactly `stored` bytes into a block of `bytes` (>= stored), taken from
 * the arena once the file is known to hold them. */
pare_status pare_onnx_external_read(const pare_onnx_file *file, const Onnx__TensorProto *tensor, size_t stored,
                                    size_t bytes, pare_arena *arena, void **data, pare_error *error);
/* Refuses initializers whose external data overlap without being the same. */
pare_status pare_onnx_external_check_overlap(const Onnx__GraphProto *graph, pare_error *error);

#endif
