/* A recipe's JSON object, read by a table: one row a field says its name, type, range, and where the value goes. The
 * same rows are the text of --help. */
#ifndef PARE_RECIPE_FIELDS_H
#define PARE_RECIPE_FIELDS_H

#include <jansson.h>

#include "pare/status.h"

#define RECIPE_SIZES_MAX 64
#define RECIPE_TEXT_MAX 1000
#define RECIPE_JSON_MAX ((size_t)1 << 20)

typedef enum recipe_kind {
    RECIPE_WHOLE,  /* int64_t, low to high */
    RECIPE_NUMBER, /* double, low to high */
    RECIPE_FLAG,   /* bool */
    RECIPE_CHOICE, /* int: index into `choices` */
    RECIPE_SIZES,  /* recipe_sizes: least to most whole numbers, low to high each */
    RECIPE_OBJECTS /* least to most objects of `items`, stored as an array; their number in the size_t at count_offset
                    */
} recipe_kind;

typedef struct recipe_sizes {
    int64_t items[RECIPE_SIZES_MAX];
    size_t count;
} recipe_sizes;

typedef struct recipe_field {
    const char *name;
    recipe_kind kind;
    size_t offset; /* of the value in the table's struct */
    double low, high;
    size_t least, most;
    const char *const *choices; /* NULL-terminated */
    const struct recipe_table *items;
    size_t count_offset;
    bool required; /* else absent means the table's default */
    const char *help;
} recipe_field;

typedef struct recipe_table {
    const recipe_field *fields;
    size_t count;
    const void *defaults; /* a struct of `size` bytes */
    size_t size;
} recipe_table;

typedef struct recipe_reader {
    const char *at; /* where the object lies: "" or "\"blocks\"[2]: " */
    pare_error *error;
} recipe_reader;

/* Fills `target` (the table's struct) from the object's fields. `common` names the fields that are not the table's
 * business (NULL-terminated). PARE_BAD_INPUT for an unknown field, a wrong type, a number out of range or a required
 * field that is missing. */
pare_status recipe_read(const recipe_reader *reader, json_t *object, const recipe_table *table,
                        const char *const *common, void *target);
/* "expected ..., found ..." for the field `name` of the object; returns PARE_BAD_INPUT. */
pare_status recipe_wrong(const recipe_reader *reader, json_t *object, const char *name, const char *expected);

/* The JSON value of a recipe's text, to be released with json_decref. PARE_BAD_INPUT where it is none, has a key twice
 * or holds a NUL; PARE_LIMIT over RECIPE_JSON_MAX bytes. */
pare_status recipe_parse(const char *text, size_t bytes, json_t **recipe, pare_error *error);

/* What the field takes: "a whole number from 1 to 64". Writes into `text`; returns `text`. */
const char *recipe_field_expects(const recipe_field *field, char *text, size_t size);

#endif
