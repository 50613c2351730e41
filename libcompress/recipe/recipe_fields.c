#include "recipe/recipe_fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *recipe_field_expects(const recipe_field *field, char *text, size_t size) {
    size_t used = 0;
    char many[48];
    snprintf(many, sizeof many, field->least == field->most ? "%zu" : "%zu to %zu", field->least, field->most);
    switch (field->kind) {
    case RECIPE_WHOLE:
        snprintf(text, size, "a whole number from %.15g to %.15g", field->low, field->high);
        break;
    case RECIPE_NUMBER:
        snprintf(text, size, "a number from %.15g to %.15g", field->low, field->high);
        break;
    case RECIPE_FLAG:
        snprintf(text, size, "true or false");
        break;
    case RECIPE_CHOICE:
        used = (size_t)snprintf(text, size, "one of ");
        for (size_t i = 0; field->choices[i] != NULL && used < size; i++) {
            used += (size_t)snprintf(text + used, size - used, "%s\"%s\"", i > 0 ? ", " : "", field->choices[i]);
        }
        break;
    case RECIPE_SIZES:
        snprintf(text, size, "%sa list of %s whole numbers from %.15g to %.15g",
                 field->least == 1 ? "a whole number or " : "", many, field->low, field->high);
        break;
    case RECIPE_OBJECTS:
        snprintf(text, size, "a list of %s objects", many);
        break;
    }
    return text;
}

pare_status recipe_wrong(const recipe_reader *reader, json_t *object, const char *name, const char *expected) {
    char *found = json_dumps(json_object_get(object, name), JSON_ENCODE_ANY | JSON_COMPACT);
    pare_status status = pare_fail(reader->error, PARE_BAD_INPUT, "%s\"%s\": expected %s, found %.100s", reader->at,
                                   name, expected, found != NULL ? found : "nothing");
    free(found);
    return status;
}

static pare_status wrong_field(const recipe_reader *reader, json_t *object, const recipe_field *field) {
    char expected[400];
    return recipe_wrong(reader, object, field->name, recipe_field_expects(field, expected, sizeof expected));
}

static bool read_whole(const recipe_field *field, json_t *item, int64_t *value) {
    *value = json_integer_value(item);
    return json_is_integer(item) && (double)*value >= field->low && (double)*value <= field->high;
}

static bool read_number(const recipe_field *field, json_t *item, double *value) {
    *value = json_number_value(item);
    return json_is_number(item) && isfinite(*value) && *value >= field->low && *value <= field->high;
}

static bool read_choice(const recipe_field *field, json_t *item, int *value) {
    for (int i = 0; json_is_string(item) && field->choices[i] != NULL; i++) {
        if (strcmp(json_string_value(item), field->choices[i]) == 0) {
            *value = i;
            return true;
        }
    }
    return false;
}

/* A number by itself is a list of one. */
static bool read_sizes(const recipe_field *field, json_t *item, recipe_sizes *sizes) {
    bool single = !json_is_array(item);
    sizes->count = single ? 1 : json_array_size(item);
    if (sizes->count < field->least || sizes->count > field->most) {
        return false;
    }
    for (size_t i = 0; i < sizes->count; i++) {
        if (!read_whole(field, single ? item : json_array_get(item, i), &sizes->items[i])) {
            return false;
        }
    }
    return true;
}

static pare_status read_objects(const recipe_reader *reader, json_t *object, const recipe_field *field, json_t *list,
                                uint8_t *target) {
    size_t count = json_array_size(list); /* 0 where it is no array */
    if (!json_is_array(list) || count < field->least || count > field->most) {
        return wrong_field(reader, object, field);
    }
    for (size_t i = 0; i < count; i++) {
        char at[80];
        snprintf(at, sizeof at, "\"%s\"[%zu]: ", field->name, i);
        recipe_reader inner = {at, reader->error};
        json_t *item = json_array_get(list, i);
        if (!json_is_object(item)) {
            return pare_fail(reader->error, PARE_BAD_INPUT, "%sexpected an object, found another type", at);
        }
        PARE_TRY(recipe_read(&inner, item, field->items, NULL, target + field->offset + i * field->items->size));
    }
    memcpy(target + field->count_offset, &count, sizeof count);
    return PARE_OK;
}

static pare_status read_field(const recipe_reader *reader, json_t *object, const recipe_field *field, uint8_t *target) {
    json_t *item = json_object_get(object, field->name);
    void *value = target + field->offset;
    bool good = item != NULL || !field->required;
    if (item == NULL || !good) {
        return good ? PARE_OK : wrong_field(reader, object, field);
    }
    switch (field->kind) {
    case RECIPE_WHOLE:
        good = read_whole(field, item, value);
        break;
    case RECIPE_NUMBER:
        good = read_number(field, item, value);
        break;
    case RECIPE_FLAG:
        *(bool *)value = json_is_true(item);
        good = json_is_boolean(item);
        break;
    case RECIPE_CHOICE:
        good = read_choice(field, item, value);
        break;
    case RECIPE_SIZES:
        good = read_sizes(field, item, value);
        break;
    case RECIPE_OBJECTS:
        return read_objects(reader, object, field, item, target);
    }
    return good ? PARE_OK : wrong_field(reader, object, field);
}

static bool is_known(const char *key, const recipe_table *table, const char *const *common) {
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(key, table->fields[i].name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; common != NULL && common[i] != NULL; i++) {
        if (strcmp(key, common[i]) == 0) {
            return true;
        }
    }
    return false;
}

static pare_status check_keys(const recipe_reader *reader, json_t *object, const recipe_table *table,
                              const char *const *common) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (is_known(key, table, common)) {
            continue;
        }
        char known[600];
        size_t used = 0;
        known[0] = '\0';
        for (size_t i = 0; i < table->count && used < sizeof known; i++) {
            used +=
                (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", table->fields[i].name);
        }
        for (size_t i = 0; common != NULL && common[i] != NULL && used < sizeof known; i++) {
            used += (size_t)snprintf(known + used, sizeof known - used, ", %s", common[i]);
        }
        return pare_fail(reader->error, PARE_BAD_INPUT, "%sunknown field \"%.100s\": expected one of %s", reader->at,
                         key, known);
    }
    return PARE_OK;
}

pare_status recipe_read(const recipe_reader *reader, json_t *object, const recipe_table *table,
                        const char *const *common, void *target) {
    memcpy(target, table->defaults, table->size);
    PARE_TRY(check_keys(reader, object, table, common));
    for (size_t i = 0; i < table->count; i++) {
        PARE_TRY(read_field(reader, object, &table->fields[i], target));
    }
    return PARE_OK;
}
