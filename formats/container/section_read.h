/* The outer layer of a `.pare` file: header, section table, checksums, packed
 * sections. Private to the container library. */
#ifndef PARE_SECTION_READ_H
#define PARE_SECTION_READ_H

#include "container.h"
#include "model_storage.h"
#include "pare/bytes.h"

/* A section's bytes, unpacked where they were packed. */
typedef struct section_view {
    bool present;
    uint64_t stored, offset;
    pare_reader reader;
    uint8_t *unpacked;
} section_view;

typedef struct parser {
    pare_reader file;
    pare_model_limits limits;
    section_view sections[SECTION_END];
    model_storage *storage;
    pare_model_quant *quants;
    uint32_t quant_count;
    uint64_t stored_scales, product_scales;
    uint32_t skipped; /* optional sections of unknown type */
    pare_error *error;
} parser;

extern const char *const section_names[SECTION_END];

/* Finds and checks every section; the caller frees them with sections_free, also
 * after a failure. */
pare_status sections_read(parser *p);
void sections_free(parser *p);

/* PARE_BAD_INPUT: the section ended too early. */
pare_status section_truncated(const parser *p, section_type type);

/* Fills in the defaults of limits that are 0; `given` may be NULL. */
void limits_resolve(pare_model_limits *out, const pare_model_limits *given);

#endif
