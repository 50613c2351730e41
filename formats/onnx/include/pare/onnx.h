/* ONNX files: scanned, unpacked, packed. Turning them into a graph and back is
 * libcompress's part (pare/onnx_graph.h). */
#ifndef PARE_ONNX_H
#define PARE_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h" /* generated from Debian's onnx.proto at build time */
#include "pare/memory.h"
#include "pare/status.h"
#include "pare/tensor.h"

/* Documented limits; 0 in a field takes the default. */
typedef struct pare_onnx_limits {
    size_t file_bytes;       /* default 2 GiB - 1 */
    uint32_t depth;          /* nested messages: default 64 */
    uint32_t nodes;          /* default 100,000 */
    uint32_t tensors;        /* default 200,000 */
    uint32_t name_bytes;     /* default 1,024 */
    uint32_t metadata_bytes; /* default 1 MiB */
    uint32_t unknown_fields; /* default 200,000 */
    size_t unpack_bytes;     /* default 4 × file + 64 MiB */
} pare_onnx_limits;

/* An unpacked file. Weights stay in `proto`'s raw_data or typed fields, or in
 * the external file, until pare_onnx_tensor_data asks. */
typedef struct pare_onnx_file {
    Onnx__ModelProto *proto;
    char *folder; /* that external data must lie in */
    size_t file_bytes;
    /* The allocator of `proto` and its memory. */
    ProtobufCAllocator allocator;
    struct pare_onnx_memory *memory;
} pare_onnx_file;

/* Walks the wire bytes without building anything: nesting, counts, sizes, wire
 * types. Everything that pare_onnx_open accepts has passed it. `limits` may be
 * NULL. PARE_BAD_INPUT with the byte offset, PARE_LIMIT. */
pare_status pare_onnx_scan(const uint8_t *data, size_t size, const pare_onnx_limits *limits, pare_error *error);

/* Reads, scans and unpacks. Checks what belongs to the file as a whole
 * (ir_version 3 to 10, opset imports, a graph); the graph's meaning is checked
 * by pare_graph_from_onnx. Messages begin with the path. Close with
 * pare_onnx_close; after a failure there is nothing to close. */
pare_status pare_onnx_open(const char *path, const pare_onnx_limits *limits, pare_onnx_file *file, pare_error *error);
/* From memory, which is not needed afterwards; external data is refused when
 * `folder` is NULL. */
pare_status pare_onnx_from_bytes(const uint8_t *data, size_t size, const char *folder, const pare_onnx_limits *limits,
                                 pare_onnx_file *file, pare_error *error);
/* Accepts a zeroed file. */
void pare_onnx_close(pare_onnx_file *file);

/* True where the bytes could be an ONNX file (a plausible first field). */
bool pare_onnx_is_plausible(const uint8_t *data, size_t size);

/* Shape and type of an initializer or tensor attribute, checked (rank ≤ 8, dims
 * ≥ 0, product without overflow). */
pare_status pare_onnx_tensor_shape(const Onnx__TensorProto *tensor, pare_shape *shape, pare_dtype *dtype,
                                   pare_error *error);
/* The elements in native layout of their own dtype, from raw_data, the typed
 * field or external data (opened beneath the model's folder only). *data is
 * arena-allocated; *bytes is shape × type. int4 arrives as S8, uint4 as U8. */
pare_status pare_onnx_tensor_data(const pare_onnx_file *file, const Onnx__TensorProto *tensor, pare_arena *arena,
                                  void **data, size_t *bytes, pare_error *error);

/* Writes a model atomically. Where it would pass 2 GiB - 1 (or `external_over`
 * bytes, if not 0), initializers of 1 KiB and more move to `path`.data beside
 * it. Initializers must hold their data themselves (PARE_USAGE otherwise). */
pare_status pare_onnx_save(const Onnx__ModelProto *model, const char *path, size_t external_over, pare_error *error);

#endif
