/* A recipe's text: parsed, and changed by settings. */
#include <stdlib.h>
#include <string.h>

#include "pare/file.h"
#include "pare/memory.h"
#include "pare/recipe.h"
#include "recipe/recipe_fields.h"

pare_status recipe_parse(const char *text, size_t bytes, json_t **recipe, pare_error *error) {
    json_error_t found;
    *recipe = NULL;
    if (bytes > RECIPE_JSON_MAX) {
        return pare_fail(error, PARE_LIMIT, "expected a recipe of at most %zu bytes, found more", RECIPE_JSON_MAX);
    }
    *recipe = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &found);
    return *recipe != NULL ? PARE_OK
                           : pare_fail(error, PARE_BAD_INPUT, "expected a recipe in JSON: line %d, column %d: %s",
                                       found.line, found.column, found.text);
}

/* The part of a setting before its '='; PARE_USAGE where there is none, or a setting before says it too. */
static pare_status find_name(const char *const *settings, size_t index, size_t *length, pare_error *error) {
    const char *setting = settings[index], *equals = strchr(setting, '=');
    if (equals == NULL || equals == setting) {
        return pare_fail(error, PARE_USAGE, "expected a setting NAME=VALUE, found \"%.100s\"", setting);
    }
    *length = (size_t)(equals - setting);
    for (size_t i = 0; i < index; i++) {
        if (strncmp(settings[i], setting, *length + 1) == 0) {
            return pare_fail(error, PARE_USAGE, "expected \"%.*s\" to be set once, found it twice",
                             (int)(*length < 100 ? *length : 100), setting);
        }
    }
    return PARE_OK;
}

/* What is no JSON is a text: relu6 needs no quotes. */
static pare_status apply_setting(json_t *recipe, const char *setting, size_t length, pare_error *error) {
    const char *text = setting + length + 1;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    value = value != NULL ? value : json_string(text);
    if (value == NULL || json_object_setn_new(recipe, setting, length, value) != 0) {
        return pare_fail(error, PARE_USAGE, "expected a setting in UTF-8, found \"%.100s\"", setting);
    }
    return PARE_OK;
}

static pare_status apply_settings(json_t *recipe, const char *const *settings, size_t count, pare_error *error) {
    if (!json_is_object(recipe)) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a JSON object with a \"family\"");
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        PARE_TRY(find_name(settings, i, &length, error));
        PARE_TRY(apply_setting(recipe, settings[i], length, error));
    }
    return PARE_OK;
}

static pare_status print(json_t *recipe, char **json, pare_error *error) {
    size_t bytes = json_dumpb(recipe, NULL, 0, JSON_COMPACT);
    char *text = bytes > 0 ? pare_alloc(bytes + 1) : NULL;
    if (text == NULL) {
        return pare_fail_memory(error, bytes);
    }
    text[json_dumpb(recipe, text, bytes, JSON_COMPACT)] = '\0';
    *json = text;
    return PARE_OK;
}

pare_status pare_recipe_load(const char *path, const char *const *settings, size_t count, char **json,
                             pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    json_t *recipe = NULL;
    *json = NULL;
    PARE_TRY(pare_file_read(path, RECIPE_JSON_MAX, &data, &size, error));
    pare_status status = recipe_parse((const char *)data, size, &recipe, error);
    pare_free(data);
    if (status == PARE_OK) {
        status = apply_settings(recipe, settings, count, error);
    }
    if (status == PARE_OK) {
        status = print(recipe, json, error);
    }
    json_decref(recipe);
    if (status != PARE_OK && status != PARE_USAGE) {
        pare_error_prefix(error, "%s: ", path);
    }
    return status;
}
