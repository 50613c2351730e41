/* images:DIR: one folder a class (classes numbered in byte order of their names),
 * or one folder of pictures and a table file,label; without either, pictures
 * alone. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

#include "csv_rows.h"
#include "image_decode.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "pare/memory.h"

#define NAME_BYTES_LIMIT ((size_t)1 << 30)

typedef struct image_entry {
    const char *name; /* below the folder */
    int64_t label;
} image_entry;

typedef struct image_state {
    const char *folder; /* in the arena */
    pare_arena names;
    image_entry *entries;
    size_t count, capacity;
    bool labelled;
    pare_blob table;
} image_state;

static char *join(image_state *s, const char *a, const char *b) {
    size_t first = strlen(a), second = strlen(b);
    char *path = pare_arena_alloc(&s->names, first + second + 2, 1);
    if (path != NULL) {
        memcpy(path, a, first);
        path[first] = '/';
        memcpy(path + first + 1, b, second + 1);
    }
    return path;
}

static pare_status add_entry(image_state *s, const char *name, int64_t label, pare_error *error) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 256 : s->capacity * 2;
        image_entry *grown = pare_realloc(s->entries, capacity * sizeof *grown);
        if (grown == NULL) {
            return pare_fail_memory(error, capacity * sizeof *grown);
        }
        s->entries = grown;
        s->capacity = capacity;
    }
    if (name == NULL) {
        return pare_fail_memory(error, NAME_BYTES_LIMIT);
    }
    s->entries[s->count++] = (image_entry){name, label};
    return PARE_OK;
}

static bool is_picture(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && name[0] != '.' &&
           (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 || strcasecmp(dot, ".png") == 0);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const image_entry *)a)->name, ((const image_entry *)b)->name);
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Appends the folder's pictures, or its sub-folders, in byte order. `below`, when
 * given, stands in front of the names. */
static pare_status list_folder(image_state *s, const char *path, const char *below, bool folders, int64_t label,
                               pare_error *error) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return pare_fail(error, PARE_IO, "%s: cannot open the folder: %s", path, strerror(errno));
    }
    pare_status status = PARE_OK;
    size_t first = s->count;
    while (status == PARE_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            status = errno == 0 ? PARE_OK
                                : pare_fail(error, PARE_IO, "%s: cannot list the folder: %s", path, strerror(errno));
            break;
        }
        if (entry->d_name[0] == '.' || (!folders && !is_picture(entry->d_name))) {
            continue;
        }
        char *full = join(s, path, entry->d_name);
        if (full == NULL) {
            status = pare_fail_memory(error, NAME_BYTES_LIMIT);
        } else if (is_folder(full) == folders) {
            const char *name = below != NULL ? join(s, below, entry->d_name) : full + strlen(path) + 1;
            status = add_entry(s, name, label, error);
        }
    }
    closedir(folder);
    if (status == PARE_OK && s->count > first) {
        qsort(s->entries + first, s->count - first, sizeof *s->entries, by_name);
    }
    return status;
}

/* DIR/<class>/…; `*found` tells whether there were sub-folders. */
static pare_status list_classes(image_state *s, bool *found, pare_error *error) {
    PARE_TRY(list_folder(s, s->folder, NULL, true, 0, error));
    size_t classes = s->count;
    *found = classes > 0;
    if (!*found) {
        return PARE_OK;
    }
    image_entry *folders = s->entries;
    s->entries = NULL;
    s->count = s->capacity = 0;
    pare_status status = PARE_OK;
    for (size_t i = 0; status == PARE_OK && i < classes; i++) {
        const char *path = join(s, s->folder, folders[i].name);
        size_t before = s->count;
        status = path == NULL ? pare_fail_memory(error, NAME_BYTES_LIMIT)
                              : list_folder(s, path, folders[i].name, false, (int64_t)i, error);
        if (status == PARE_OK && s->count == before) {
            status = pare_fail(error, PARE_BAD_INPUT, "%s: class \"%s\" has no .jpg or .png picture", s->folder,
                               folders[i].name);
        }
    }
    pare_free(folders);
    return status;
}

/* Names in a table stay below the folder. */
static bool stays_below(const char *name) {
    if (name[0] == '/' || name[0] == '\0') {
        return false;
    }
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static bool parse_label(const char *text, int64_t *label) {
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length > 9 || text[length] != '\0') {
        return false;
    }
    *label = strtol(text, NULL, 10);
    return true;
}

static pare_status add_row(image_state *s, pare_csv_rows *rows, const size_t columns[2], size_t count,
                           pare_error *error) {
    char *fields[64];
    const char *table = s->table.path;
    size_t found = pare_csv_split(rows->row, rows->length, fields, 64);
    if (found != count) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: row %zu: expected %zu fields, found %zu", table, rows->number,
                         count, found);
    }
    const char *name = fields[columns[0]], *text = fields[columns[1]];
    int64_t label = 0;
    if (!stays_below(name)) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: row %zu: expected a file below the folder, found \"%.100s\"",
                         table, rows->number, name);
    }
    if (!parse_label(text, &label)) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "%s: row %zu: expected a label (an integer of 0 or more), found \"%.60s\"", table,
                         rows->number, text);
    }
    return add_entry(s, pare_arena_copy_string(&s->names, name), label, error);
}

static pare_status find_columns(const image_state *s, pare_csv_rows *rows, size_t columns[2], size_t *count,
                                pare_error *error) {
    char *fields[64];
    bool more = false, have_file = false, have_label = false;
    PARE_TRY(pare_csv_next(rows, &more, error));
    *count = more ? pare_csv_split(rows->row, rows->length, fields, 64) : 0;
    for (size_t i = 0; i < *count && *count <= 64; i++) {
        if (strcmp(fields[i], "file") == 0) {
            columns[0] = i;
            have_file = true;
        } else if (strcmp(fields[i], "label") == 0) {
            columns[1] = i;
            have_label = true;
        }
    }
    return have_file && have_label
               ? PARE_OK
               : pare_fail(error, PARE_BAD_INPUT, "%s: expected a header row with the columns file and label",
                           s->table.path);
}

static pare_status read_table(image_state *s, const char *path, pare_error *error) {
    PARE_TRY(pare_blob_open(&s->table, path, error));
    PARE_TRY(pare_blob_load(&s->table, PARE_GZIP_LIMIT, error));
    pare_csv_rows rows = {.blob = &s->table};
    size_t columns[2] = {0, 0}, count = 0;
    bool more = true;
    pare_status status = find_columns(s, &rows, columns, &count, error);
    while (status == PARE_OK) {
        status = pare_csv_next(&rows, &more, error);
        if (status != PARE_OK || !more) {
            break;
        }
        status = add_row(s, &rows, columns, count, error);
    }
    pare_csv_rows_free(&rows);
    s->labelled = true;
    return status;
}

/* FOLDER/NAME of an entry; the caller frees it. NULL without memory. */
static char *entry_path(const image_state *s, size_t index) {
    size_t folder = strlen(s->folder), name = strlen(s->entries[index].name);
    char *path = pare_alloc(folder + name + 2);
    if (path != NULL) {
        memcpy(path, s->folder, folder);
        path[folder] = '/';
        memcpy(path + folder + 1, s->entries[index].name, name + 1);
    }
    return path;
}

static pare_status images_read_targets(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const image_state *s = state;
    (void)error;
    if (s->labelled) {
        sample->classes[0] = s->entries[index].label;
    }
    return PARE_OK;
}

static pare_status images_read(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const image_state *s = state;
    size_t size = 0;
    uint8_t *file = NULL;
    char *path = entry_path(s, index);
    if (path == NULL) {
        return pare_fail_memory(error, strlen(s->folder));
    }
    pare_status status = pare_file_read(path, PARE_IMAGE_FILE_LIMIT, &file, &size, error);
    if (status == PARE_OK) {
        status = pare_image_decode(file, size, sample, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "%s: ", path);
        }
    }
    pare_free(file);
    pare_free(path);
    return status == PARE_OK ? images_read_targets(s, index, sample, error) : status;
}

static const char *images_name(const void *state, size_t index) {
    return ((const image_state *)state)->entries[index].name;
}

static pare_status picture_checksum(const image_state *s, size_t index, uint32_t *crc, pare_error *error) {
    const char *name = s->entries[index].name;
    char *path = entry_path(s, index);
    if (path == NULL) {
        return pare_fail_memory(error, strlen(s->folder));
    }
    /* The name counts too: it decides a picture's class. */
    *crc = (uint32_t)crc32(*crc, (const Bytef *)name, (uInt)strlen(name) + 1);
    pare_blob file = {0};
    pare_status status = pare_blob_open(&file, path, error);
    if (status == PARE_OK) {
        status = pare_blob_checksum(&file, crc, error);
    }
    pare_blob_close(&file);
    pare_free(path);
    return status;
}

static pare_status images_checksum(const void *state, uint32_t *crc, pare_error *error) {
    const image_state *s = state;
    pare_status status = s->table.open ? pare_blob_checksum(&s->table, crc, error) : PARE_OK;
    for (size_t i = 0; status == PARE_OK && i < s->count; i++) {
        status = picture_checksum(s, i, crc, error);
    }
    return status;
}

static void images_close(void *state) {
    image_state *s = state;
    pare_blob_close(&s->table);
    pare_arena_free(&s->names);
    pare_free(s->entries);
    pare_free(s);
}

static bool exists(const char *path) {
    struct stat status;
    return path != NULL && stat(path, &status) == 0;
}

/* The table that was named (as a path, else below the folder), else labels.csv,
 * else NULL. */
static const char *choose_table(image_state *s, const char *named) {
    if (named != NULL) {
        const char *below = join(s, s->folder, named);
        return !exists(named) && exists(below) ? below : named;
    }
    const char *usual = join(s, s->folder, "labels.csv");
    return exists(usual) ? usual : NULL;
}

static pare_status list_pictures(image_state *s, const char *named, pare_error *error) {
    const char *table = choose_table(s, named);
    if (table != NULL) {
        return read_table(s, table, error);
    }
    PARE_TRY(list_classes(s, &s->labelled, error));
    return s->labelled ? PARE_OK : list_folder(s, s->folder, NULL, false, 0, error);
}

pare_status pare_images_open(char *arguments, pare_source *source, pare_error *error) {
    char *named = strstr(arguments, "?labels=");
    if (named != NULL) {
        *named = '\0';
        named += strlen("?labels=");
    }
    image_state *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    pare_arena_init(&s->names, NAME_BYTES_LIMIT);
    source->state = s;
    source->close = images_close;
    source->read = images_read;
    source->read_targets = images_read_targets;
    source->name = images_name;
    source->checksum = images_checksum;
    if (!is_folder(arguments)) {
        return pare_fail(error, PARE_IO, "%s: expected a folder of pictures", arguments);
    }
    s->folder = pare_arena_copy_string(&s->names, arguments);
    if (s->folder == NULL) {
        return pare_fail_memory(error, strlen(arguments));
    }
    PARE_TRY(list_pictures(s, named, error));
    source->count = s->count;
    source->info = (pare_sample_info){.image = true,
                                      .dtype = PARE_U8,
                                      .shape = {3, {0, 0, 3}},
                                      .target = s->labelled ? PARE_TARGET_CLASS : PARE_TARGET_NONE,
                                      .target_count = s->labelled ? 1 : 0};
    return PARE_OK;
}
