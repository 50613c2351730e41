/* CLI.md's preprocessing record, from and to JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/evaluate.h"

typedef struct record_reader {
    json_t *record;
    const char *origin;
    pare_error *error;
} record_reader;

static pare_status wrong(const record_reader *r, const char *key, const char *expected) {
    char *found = json_dumps(json_object_get(r->record, key), JSON_ENCODE_ANY | JSON_COMPACT);
    pare_status status = pare_fail(r->error, PARE_BAD_INPUT, "%s: preprocessing \"%s\": expected %s, found %s",
                                   r->origin, key, expected, found != NULL ? found : "nothing");
    free(found);
    return status;
}

static pare_status read_whole(const record_reader *r, const char *key, int64_t low, int64_t high, int32_t *value) {
    json_t *item = json_object_get(r->record, key);
    if (item == NULL) {
        return PARE_OK;
    }
    if (!json_is_integer(item) || json_integer_value(item) < low || json_integer_value(item) > high) {
        return wrong(r, key, low < 0 ? "a whole number" : "a whole number of pixels, 0 to 16384");
    }
    *value = (int32_t)json_integer_value(item);
    return PARE_OK;
}

/* Index of a string among `choices` (NULL-terminated). */
static pare_status read_choice(const record_reader *r, const char *key, const char *const *choices,
                               const char *expected, int *index) {
    json_t *item = json_object_get(r->record, key);
    for (int i = 0; item != NULL && json_is_string(item) && choices[i] != NULL; i++) {
        if (strcmp(json_string_value(item), choices[i]) == 0) {
            *index = i;
            return PARE_OK;
        }
    }
    return item == NULL ? PARE_OK : wrong(r, key, expected);
}

static pare_status read_list(const record_reader *r, const char *key, bool positive, float *values, int32_t *count) {
    json_t *list = json_object_get(r->record, key);
    if (list == NULL) {
        return PARE_OK;
    }
    const char *expected = positive ? "1 to 16 numbers above 0" : "1 to 16 numbers";
    size_t size = json_is_number(list) ? 1 : json_array_size(list);
    if (size < 1 || size > 16) {
        return wrong(r, key, expected);
    }
    for (size_t i = 0; i < size; i++) {
        json_t *item = json_is_number(list) ? list : json_array_get(list, i);
        double value = json_number_value(item);
        if (!json_is_number(item) || !isfinite((float)value) || (positive && !((float)value > 0.0F))) {
            return wrong(r, key, expected);
        }
        values[i] = (float)value;
    }
    *count = (int32_t)size;
    return PARE_OK;
}

static pare_status check_keys(const record_reader *r) {
    static const char *const known[] = {"layout", "resize", "crop", "color",       "scale",
                                        "mean",   "std",    "task", "label_offset"};
    const char *key;
    json_t *value;
    json_object_foreach(r->record, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            found = found || strcmp(key, known[i]) == 0;
        }
        if (!found) {
            return pare_fail(r->error, PARE_BAD_INPUT,
                             "%s: unknown preprocessing key \"%s\"; known are layout, resize, crop, color, scale, "
                             "mean, std, task, label_offset",
                             r->origin, key);
        }
    }
    return PARE_OK;
}

static pare_status read_record(const record_reader *r, pare_preprocess *p) {
    static const char *const layouts[] = {"NCHW", "NHWC", "flat", NULL};
    static const char *const colors[] = {"RGB", "BGR", "gray", NULL};
    static const char *const tasks[] = {"classification", "regression", "autoencoder", NULL};
    int layout = 0, color = -1, task = 0;
    float scale[16] = {1.0F};
    int32_t scale_count = 0;
    PARE_TRY(check_keys(r));
    PARE_TRY(read_choice(r, "layout", layouts, "\"NCHW\", \"NHWC\" or \"flat\"", &layout));
    PARE_TRY(read_choice(r, "color", colors, "\"RGB\", \"BGR\" or \"gray\"", &color));
    PARE_TRY(read_choice(r, "task", tasks, "\"classification\", \"regression\" or \"autoencoder\"", &task));
    PARE_TRY(read_whole(r, "resize", 0, 16384, &p->resize));
    PARE_TRY(read_whole(r, "crop", 0, 16384, &p->crop));
    PARE_TRY(read_whole(r, "label_offset", -1000000, 1000000, &p->label_offset));
    PARE_TRY(read_list(r, "scale", true, scale, &scale_count));
    if (scale_count > 1) {
        return wrong(r, "scale", "one number above 0");
    }
    PARE_TRY(read_list(r, "mean", false, p->mean, &p->mean_count));
    PARE_TRY(read_list(r, "std", true, p->std, &p->std_count));
    p->scale = scale[0];
    p->layout = (pare_layout_order)layout;
    p->color = (pare_color)(color + 1); /* PARE_COLOR_KEEP comes before RGB */
    p->task = (pare_task)task;
    return PARE_OK;
}

pare_status pare_preprocess_parse(const char *json, const char *origin, pare_preprocess *preprocess,
                                  pare_error *error) {
    memset(preprocess, 0, sizeof *preprocess);
    json_error_t found;
    record_reader reader = {json_loads(json, JSON_REJECT_DUPLICATES, &found), origin, error};
    if (reader.record == NULL) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a JSON object for preprocessing: line %d: %s", origin,
                         found.line, found.text);
    }
    pare_status status = json_is_object(reader.record)
                             ? read_record(&reader, preprocess)
                             : pare_fail(error, PARE_BAD_INPUT, "%s: expected a JSON object for preprocessing", origin);
    json_decref(reader.record);
    return status;
}
