/* Whether a checkpoint is of this run; if not, in what it differs. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/runtime.h"
#include "train/checkpoint_format.h"

/* Room for the differences in a message, of which a few make the rest superfluous. */
enum { ROOM = 640, VALUE = 72, DEPTH = 4 };

typedef struct differences {
    char text[ROOM];
    size_t used, count, left_out;
} differences;

static const char *shorten(const char *text, char out[VALUE + 8]) {
    size_t bytes = strlen(text), kept = bytes > VALUE ? pare_utf8_cut(text, VALUE) : bytes;
    snprintf(out, VALUE + 8, "%.*s%s", (int)kept, text, kept < bytes ? "..." : "");
    return out;
}

static void add(differences *d, const char *name, const char *saved, const char *now) {
    char text[ROOM], field[VALUE + 8], before[VALUE + 8], after[VALUE + 8];
    int length = snprintf(text, sizeof text, "%s%s: saved %s, this run has %s", d->count > 0 ? "; " : "",
                          shorten(name, field), shorten(saved, before), shorten(now, after));
    d->count++;
    if (length < 0 || (size_t)length >= sizeof d->text - d->used) {
        d->left_out++;
        return;
    }
    memcpy(d->text + d->used, text, (size_t)length + 1);
    d->used += (size_t)length;
}

static void compare_number(differences *d, const char *name, uint64_t saved, uint64_t now) {
    char before[24], after[24];
    if (saved != now) {
        snprintf(before, sizeof before, "%" PRIu64, saved);
        snprintf(after, sizeof after, "%" PRIu64, now);
        add(d, name, before, after);
    }
}

static void compare_signed(differences *d, const char *name, int32_t saved, int32_t now) {
    char before[16], after[16];
    if (saved != now) {
        snprintf(before, sizeof before, "%" PRId32, saved);
        snprintf(after, sizeof after, "%" PRId32, now);
        add(d, name, before, after);
    }
}

/* 0 is none where `optional`. */
static void compare_hash(differences *d, const char *name, uint64_t saved, uint64_t now, int digits, bool optional) {
    char before[24], after[24];
    if (saved != now) {
        snprintf(before, sizeof before, optional && saved == 0 ? "none" : "%0*" PRIx64, digits, saved);
        snprintf(after, sizeof after, optional && now == 0 ? "none" : "%0*" PRIx64, digits, now);
        add(d, name, before, after);
    }
}

static void compare_text(differences *d, const char *name, const char *saved, const char *now) {
    if (strcmp(saved, now) != 0) {
        add(d, name, saved[0] != '\0' ? saved : "nothing", now[0] != '\0' ? now : "nothing");
    }
}

/* --- options ------------------------------------------------------------------------- */

/* As short as reads back equal. The caller frees it; NULL when out of memory. */
static char *value_text(const json_t *value) {
    if (value == NULL) {
        return strdup("nothing");
    }
    if (json_is_real(value)) {
        char text[40];
        snprintf(text, sizeof text, "%.6g", json_real_value(value));
        if (strtod(text, NULL) != json_real_value(value)) {
            snprintf(text, sizeof text, "%.17g", json_real_value(value));
        }
        return strdup(text);
    }
    return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
}

static void compare_values(differences *d, const char *name, json_t *saved, json_t *now, int depth);

/* Keys of both, then those of the saved one alone. */
static void compare_objects(differences *d, const char *name, json_t *saved, json_t *now, int depth) {
    const char *key;
    json_t *value;
    char path[2 * VALUE];
    json_object_foreach(now, key, value) {
        snprintf(path, sizeof path, "%s.%s", name, key);
        compare_values(d, path, json_object_get(saved, key), value, depth + 1);
    }
    json_object_foreach(saved, key, value) {
        if (json_object_get(now, key) == NULL) {
            snprintf(path, sizeof path, "%s.%s", name, key);
            compare_values(d, path, value, NULL, depth + 1);
        }
    }
}

static void compare_values(differences *d, const char *name, json_t *saved, json_t *now, int depth) {
    if (saved != NULL && now != NULL && json_equal(saved, now)) {
        return;
    }
    if (json_is_object(saved) && json_is_object(now) && depth < DEPTH) {
        compare_objects(d, name, saved, now, depth);
        return;
    }
    char *before = value_text(saved), *after = value_text(now);
    add(d, name, before != NULL ? before : "?", after != NULL ? after : "?");
    free(before);
    free(after);
}

/* Equal means equal text; JSON serves only to name what differs. */
static void compare_options(differences *d, const char *saved, const char *now) {
    if (strcmp(saved, now) == 0) {
        return;
    }
    size_t count = d->count;
    json_t *before = json_loads(saved, 0, NULL), *after = json_loads(now, 0, NULL);
    if (json_is_object(before) && json_is_object(after)) {
        compare_objects(d, "options", before, after, 0);
    }
    if (d->count == count) {
        compare_text(d, "options", saved, now);
    }
    json_decref(before);
    json_decref(after);
}

pare_status pare_checkpoint_compare(const char *path, const pare_checkpoint_identity *saved, const char *saved_tool,
                                    const pare_checkpoint_identity *run, pare_error *error) {
    differences d = {.count = 0};
    compare_hash(&d, "model", saved->model_hash, run->model_hash, 16, false);
    compare_hash(&d, "teacher", saved->teacher_hash, run->teacher_hash, 16, true);
    compare_hash(&d, "data set", saved->dataset_crc, run->dataset_crc, 8, false);
    compare_hash(&d, "validation set", saved->validation_crc, run->validation_crc, 8, true);
    compare_number(&d, "samples", saved->samples, run->samples);
    compare_number(&d, "seed", saved->seed, run->seed);
    compare_signed(&d, "threads", saved->threads, run->threads);
    compare_signed(&d, "ranks", saved->ranks, run->ranks);
    compare_signed(&d, "optimizer", saved->optimizer, run->optimizer);
    compare_text(&d, "version of Pare", saved_tool, pare_version());
    compare_text(&d, "backend", saved->backend, checkpoint_text(run->backend));
    compare_text(&d, "instruction set", saved->isa, checkpoint_text(run->isa));
    compare_options(&d, saved->options, checkpoint_text(run->options));
    if (d.count == 0) {
        return PARE_OK;
    }
    char rest[48] = "";
    if (d.left_out > 0) {
        snprintf(rest, sizeof rest, "; and %zu more", d.left_out);
    }
    return pare_fail(error, PARE_USAGE, "%s: expected a checkpoint of this run, found %zu difference%s: %s%s", path,
                     d.count, d.count == 1 ? "" : "s", d.text, rest);
}
