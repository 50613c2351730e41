/* pare_model: the flat, read-only form of a network that the runtime executes
 * and that a `.pare` file stores. CONTAINER.md defines the bytes. */
#ifndef PARE_MODEL_H
#define PARE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/opcodes.h"
#include "pare/status.h"
#include "pare/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "No index": an absent optional input, a tensor without a buffer. */
#define PARE_NONE UINT32_MAX

/* How a buffer's bytes are stored in a file. */
typedef enum pare_codec {
    PARE_CODEC_RAW = 0,
    PARE_CODEC_ZLIB = 1,
    PARE_CODEC_BITPACKED = 2, /* integers of 1 to 7 bits */
    PARE_CODEC_PALETTE = 3,   /* codebook and bit-packed indices */
    PARE_CODEC_SPARSE = 4,    /* mask of non-zeros and their values */
    PARE_CODEC_ENTROPY = 5,   /* bytes by their frequencies */
    PARE_CODEC_END
} pare_codec;

/* "raw", "entropy", ...; "unknown" for another number. */
const char *pare_codec_name(pare_codec codec);

/* Affine quantization real = scale × (q - zero_point): one pair for the whole
 * tensor (axis -1, count 1) or one for each index along `axis`. */
typedef struct pare_model_quant {
    int32_t axis;
    uint32_t count;
    const float *scales;        /* > 0, finite */
    const int32_t *zero_points; /* within the tensor's type */
} pare_model_quant;

typedef struct pare_model_tensor {
    const char *name; /* unique, UTF-8 */
    pare_dtype dtype;
    pare_shape shape;              /* batch open, as pare_shape says */
    uint32_t buffer;               /* constants: index of their bytes; else PARE_NONE */
    const pare_model_quant *quant; /* NULL when not quantized */
} pare_model_tensor;

typedef struct pare_model_node {
    const char *name;
    uint32_t opcode; /* pare_opcode */
    uint32_t input_count, output_count;
    const uint32_t *inputs; /* tensor indices or PARE_NONE */
    const uint32_t *outputs;
    const void *attrs; /* the opcode's record */
} pare_model_node;

typedef struct pare_model_buffer {
    const void *data; /* 64-byte aligned, decoded; followed by 64 readable bytes */
    size_t bytes;
    pare_codec codec;    /* as stored in the file it came from; RAW when built in memory */
    size_t stored_bytes; /* in that file; 0 when built in memory */
} pare_model_buffer;

typedef struct pare_model_metadata {
    const char *key, *value;
} pare_model_metadata;

/* Immutable once built; shared by any number of sessions and threads. */
typedef struct pare_model {
    const pare_model_tensor *tensors;
    const pare_model_node *nodes; /* in execution order */
    const pare_model_buffer *buffers;
    const uint32_t *inputs, *outputs; /* tensor indices */
    const pare_model_metadata *metadata;
    uint32_t tensor_count, node_count, buffer_count, input_count, output_count, metadata_count;
    uint32_t skipped_sections; /* optional ones in the file that this version does not know */
} pare_model;

/* Documented limits of reading; 0 in a field takes the default. */
typedef struct pare_model_limits {
    size_t file_bytes;       /* default 2 GiB - 1 */
    size_t section_bytes;    /* one buffer, decoded: default 1 GiB */
    size_t total_bytes;      /* all buffers, decoded: default 4 GiB */
    uint32_t nodes;          /* default 100,000 */
    uint32_t tensors;        /* default 200,000 */
    uint32_t name_bytes;     /* default 1,024 */
    uint32_t metadata_bytes; /* default 1 MiB */
} pare_model_limits;

/* Reads and verifies a `.pare` file. The caller releases *model.
 * PARE_IO, PARE_BAD_INPUT (malformed), PARE_UNSUPPORTED (newer version, unknown
 * opcode or required section), PARE_LIMIT. `limits` may be NULL. */
pare_status pare_model_open(const char *path, const pare_model_limits *limits, pare_model **model, pare_error *error);
/* As pare_model_open, from memory that may be freed afterwards. */
pare_status pare_model_from_bytes(const void *data, size_t size, const pare_model_limits *limits, pare_model **model,
                                  pare_error *error);
/* True when the bytes begin with the container's magic. */
bool pare_model_is_container(const void *data, size_t size);

/* A model is reference counted; each session holds one reference. */
pare_model *pare_model_retain(pare_model *model);
/* Accepts NULL. */
void pare_model_release(pare_model *model);

/* Value of a metadata key, or NULL. */
const char *pare_model_metadata_find(const pare_model *model, const char *key);

/* Multiply-accumulates of a node for a batch of one; 0 for one without. */
uint64_t pare_model_node_macs(const pare_model *model, const pare_model_node *node);

/* Verifies everything that pare_model promises: indices, arities, attribute
 * ranges, definition before use, output shapes against pare_opcode_shapes.
 * Reading and building call it. */
pare_status pare_model_verify(const pare_model *model, pare_error *error);

/* --- building in memory ------------------------------------------------- */

typedef struct pare_model_builder pare_model_builder;

pare_status pare_model_builder_create(pare_model_builder **builder, pare_error *error);
/* Accepts NULL. */
void pare_model_builder_free(pare_model_builder *builder);

/* Each add copies what it is given; *index (nullable) receives the new index.
 * A tensor's quant may be NULL; `data` NULL makes an activation, else `bytes`
 * bytes of a constant are copied into a buffer of its own. A name that is taken
 * gets a numbered suffix. */
pare_status pare_model_add_tensor(pare_model_builder *builder, const char *name, pare_dtype dtype,
                                  const pare_shape *shape, const pare_model_quant *quant, const void *data,
                                  size_t bytes, uint32_t *index, pare_error *error);
/* `attrs` is the opcode's record. */
pare_status pare_model_add_node(pare_model_builder *builder, const char *name, uint32_t opcode, const uint32_t *inputs,
                                uint32_t input_count, const uint32_t *outputs, uint32_t output_count, const void *attrs,
                                uint32_t *index, pare_error *error);
pare_status pare_model_add_input(pare_model_builder *builder, uint32_t tensor, pare_error *error);
pare_status pare_model_add_output(pare_model_builder *builder, uint32_t tensor, pare_error *error);
pare_status pare_model_add_metadata(pare_model_builder *builder, const char *key, const char *value, pare_error *error);
/* Shape and dtype of a tensor added before. */
const pare_model_tensor *pare_model_builder_tensor(const pare_model_builder *builder, uint32_t index);
/* Verifies and hands over the model; the builder is freed in every case. */
pare_status pare_model_finish(pare_model_builder *builder, pare_model **model, pare_error *error);

/* Output shapes and dtype that an opcode's definition gives for its inputs
 * (`inputs[i]` NULL where absent); shapes keep open batch dimensions. For
 * RESIZE, whose size lives in its output, shapes[0] is read and checked instead;
 * for QUANTIZE, dtypes[0] (PARE_U8 or PARE_S8) is. */
pare_status pare_opcode_shapes(uint32_t opcode, const void *attrs, const pare_model_tensor *const *inputs,
                               uint32_t input_count, pare_shape *shapes, pare_dtype *dtypes, uint32_t output_count,
                               pare_error *error);

/* --- writing ------------------------------------------------------------ */

typedef struct pare_write_options {
    bool raw; /* store every buffer raw; default: the smallest lossless codec for each */
} pare_write_options;

/* The file's bytes, into a block that the caller frees with pare_free.
 * Deterministic: the same model gives the same bytes. `options` may be NULL. */
pare_status pare_model_to_bytes(const pare_model *model, const pare_write_options *options, uint8_t **data,
                                size_t *size, pare_error *error);
/* pare_model_to_bytes and pare_file_replace. */
pare_status pare_model_save(const pare_model *model, const pare_write_options *options, const char *path,
                            pare_error *error);

/* Where the bytes of a file go, for pare-inspect. */
typedef struct pare_model_layout {
    size_t header, strings, tensors, quantization, nodes, metadata; /* graph */
    size_t weights;                                                 /* stored buffers, padding included */
    size_t total;
} pare_model_layout;
pare_status pare_model_file_layout(const void *data, size_t size, pare_model_layout *layout, pare_error *error);

#ifdef __cplusplus
}
#endif
#endif
