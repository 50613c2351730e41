/* Numbers of the file format that reader and writer share; CONTAINER.md is the
 * definition. Private to the container library. */
#ifndef PARE_CONTAINER_H
#define PARE_CONTAINER_H

#include <stdint.h>

#define CONTAINER_MAGIC "PARE"
#define CONTAINER_VERSION 1u
#define CONTAINER_HEADER_BYTES 64u
#define CONTAINER_ENTRY_BYTES 40u
#define CONTAINER_ALIGNMENT 64u
#define CONTAINER_MOST_SECTIONS 64u
#define CONTAINER_MOST_RATIO 1100u /* decoded bytes to stored ones; zlib's own bound is 1,032 */

#define SECTION_OPTIONAL 1u /* a reader that does not know the type skips it */
#define SECTION_ZLIB 2u     /* stored as a zlib stream */
#define SECTION_KNOWN_FLAGS (SECTION_OPTIONAL | SECTION_ZLIB)

/* Flags of a quantization record. */
#define QUANT_ZERO_POINTS 1u
#define QUANT_PRODUCT 2u /* scales of two earlier records multiplied */
#define QUANT_KNOWN_FLAGS (QUANT_ZERO_POINTS | QUANT_PRODUCT)

typedef enum section_type {
    SECTION_STRINGS = 1,
    SECTION_QUANTIZATION = 2,
    SECTION_TENSORS = 3,
    SECTION_NODES = 4,
    SECTION_PORTS = 5,
    SECTION_METADATA = 6,
    SECTION_BUFFERS = 7,
    SECTION_WEIGHTS = 8,
    SECTION_END
} section_type;

#endif
