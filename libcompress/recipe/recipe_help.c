/* The families as text, from the tables that read them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/recipe.h"
#include "recipe/recipe_family.h"

/* Counts what does not fit, so that a first pass without room measures. */
typedef struct text_writer {
    char *text;
    size_t used, size;
} text_writer;

static void append(text_writer *w, const char *format, ...) PARE_PRINTF(2, 3);
static void append(text_writer *w, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool room = w->used < w->size;
    int length = vsnprintf(room ? w->text + w->used : NULL, room ? w->size - w->used : 0, format, arguments);
    va_end(arguments);
    w->used += length > 0 ? (size_t)length : 0;
}

static void append_default(text_writer *w, const recipe_field *field, const uint8_t *defaults) {
    const uint8_t *value = defaults + field->offset;
    const recipe_sizes *sizes = (const recipe_sizes *)(const void *)value;
    switch (field->kind) {
    case RECIPE_WHOLE:
        append(w, "%" PRId64, *(const int64_t *)(const void *)value);
        break;
    case RECIPE_NUMBER:
        append(w, "%g", *(const double *)(const void *)value);
        break;
    case RECIPE_FLAG:
        append(w, "%s", *(const bool *)value ? "true" : "false");
        break;
    case RECIPE_CHOICE:
        append(w, "\"%s\"", field->choices[*(const int *)(const void *)value]);
        break;
    case RECIPE_SIZES:
        for (size_t i = 0; i < sizes->count; i++) {
            append(w, "%s%" PRId64, i == 0 ? "[" : ", ", sizes->items[i]);
        }
        append(w, "%s", sizes->count > 0 ? "]" : "[]");
        break;
    case RECIPE_OBJECTS:
        break;
    }
}

/* A default of 0 below the range means that the field is derived; its help says how. */
static bool has_default(const recipe_field *field, const uint8_t *defaults) {
    int64_t whole = 0;
    if (field->kind == RECIPE_WHOLE) {
        memcpy(&whole, defaults + field->offset, sizeof whole);
        return !field->required && (double)whole >= field->low;
    }
    return !field->required && field->kind != RECIPE_OBJECTS;
}

static void append_fields(text_writer *w, const recipe_table *table, const char *indent) {
    char expected[400];
    for (size_t i = 0; i < table->count; i++) {
        const recipe_field *field = &table->fields[i];
        append(w, "%s%-*s %s%s", indent, 20 - (int)strlen(indent), field->name, field->help,
               field->required ? " (must be given" : " (");
        if (has_default(field, table->defaults)) {
            append(w, "default ");
            append_default(w, field, table->defaults);
        }
        append(w, "%s%s)\n", field->required || has_default(field, table->defaults) ? "; " : "",
               recipe_field_expects(field, expected, sizeof expected));
        if (field->items != NULL) {
            append_fields(w, field->items, "      ");
        }
    }
}

static bool append_families(text_writer *w, const char *family) {
    bool found = false;
    for (size_t i = 0; recipe_families[i] != NULL; i++) {
        const recipe_family *f = recipe_families[i];
        if (family != NULL && strcmp(family, f->name) != 0) {
            continue;
        }
        append(w, "%s%s: %s\n", found ? "\n" : "", f->name, f->summary);
        append_fields(w, &f->table, "  ");
        append(w, "  example: %s\n", f->example);
        found = true;
    }
    return found;
}

pare_status pare_recipe_help(const char *family, char **text, pare_error *error) {
    text_writer measured = {NULL, 0, 0}, writer;
    *text = NULL;
    if (!append_families(&measured, family)) {
        return pare_fail(error, PARE_USAGE, "expected a family of recipes, found \"%.100s\"", family);
    }
    writer = (text_writer){pare_alloc(measured.used + 1), 0, measured.used + 1};
    if (writer.text == NULL) {
        return pare_fail_memory(error, measured.used + 1);
    }
    append_families(&writer, family);
    *text = writer.text;
    return PARE_OK;
}

const char *pare_recipe_family(size_t index, const char **summary) {
    size_t count = 0;
    while (recipe_families[count] != NULL) {
        count++;
    }
    if (index >= count) {
        return NULL;
    }
    *summary = recipe_families[index]->summary;
    return recipe_families[index]->name;
}
