#include "train_options.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/split.h"

#define MOST_CLASSES 100000

static bool read_number(const char *text, size_t length, double *number) {
    char copy[40], *end = NULL;
    if (length == 0 || length >= sizeof copy || strspn(text, "0123456789+-.eE") < length) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *number = strtod(copy, &end);
    return *end == '\0' && isfinite(*number);
}

/* One word of --augment; false where it is unknown or its number is missing. */
static bool apply_word(const char *word, size_t length, pare_augment *a) {
    const struct {
        const char *name;
        bool *flag;
        int32_t *whole;
        double *number;
    } words[] = {
        {"flip", &a->flip_horizontal, NULL, NULL},  {"flip-vertical", &a->flip_vertical, NULL, NULL},
        {"crop", NULL, &a->crop_padding, NULL},     {"shift", NULL, &a->shift, NULL},
        {"cutout", NULL, &a->cutout, NULL},         {"rotate", NULL, NULL, &a->rotation},
        {"brightness", NULL, NULL, &a->brightness}, {"contrast", NULL, NULL, &a->contrast},
        {"noise", NULL, NULL, &a->noise},           {"mixup", NULL, NULL, &a->mixup},
    };
    const char *equals = memchr(word, '=', length);
    size_t name = equals != NULL ? (size_t)(equals - word) : length;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) != name || strncmp(words[i].name, word, name) != 0) {
            continue;
        }
        double value = 0;
        if (words[i].flag != NULL) {
            *words[i].flag = true;
            return equals == NULL;
        }
        if (equals == NULL || !read_number(equals + 1, length - name - 1, &value)) {
            return false;
        }
        if (words[i].whole != NULL) {
            bool whole = fabs(value) < 1e6 && value == floor(value);
            *words[i].whole = whole ? (int32_t)value : 0;
            return whole;
        }
        *words[i].number = value;
        return true;
    }
    return false;
}

pare_status parse_augment(const char *text, pare_augment *augment, pare_error *error) {
    *augment = (pare_augment){0};
    for (const char *word = text; text != NULL; word++) {
        size_t length = strcspn(word, ",");
        if (!apply_word(word, length, augment)) {
            return pare_fail(error, PARE_USAGE,
                             "option --augment: expected flip, flip-vertical, crop=N, shift=N, rotate=X, brightness=X, "
                             "contrast=X, cutout=N, noise=X or mixup=X, found \"%.*s\"",
                             (int)(length < 60 ? length : 60), word);
        }
        word += length;
        if (*word == '\0') {
            break;
        }
    }
    return pare_augment_check(augment, error);
}

pare_status parse_numbers(const char *option, const char *text, double *numbers, size_t capacity, size_t *count,
                          pare_error *error) {
    *count = 0;
    for (const char *word = text;; word++) {
        size_t length = strcspn(word, ",");
        if (*count == capacity || !read_number(word, length, &numbers[*count])) {
            return pare_fail(error, PARE_USAGE, "option --%s: expected at most %zu numbers with commas, found \"%s\"",
                             option, capacity, text);
        }
        (*count)++;
        word += length;
        if (*word == '\0') {
            return PARE_OK;
        }
    }
}

/* A class's share of the samples, inverted: of `count` classes that are equally frequent each weighs 1. Labels outside
 * them and classes without samples are the trainer's to refuse; the latter weigh nothing. */
static void balance(const int64_t *classes, size_t samples, int32_t label_offset, double *weights, size_t count) {
    size_t present = 0, labelled = 0;
    for (size_t i = 0; i < samples; i++) {
        int64_t class = classes[i] < 0 || classes[i] > MOST_CLASSES ? -1 : classes[i] + label_offset;
        if (class >= 0 && class < (int64_t)count) {
            present += weights[class] == 0;
            labelled++;
            weights[class] += 1;
        }
    }
    for (size_t c = 0; c < count; c++) {
        weights[c] = weights[c] > 0 ? (double)labelled / ((double)present * weights[c]) : 0.0;
    }
}

static pare_status copy_weights(const double *numbers, size_t count, float *weights, pare_error *error) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(numbers[i] >= 0 && numbers[i] <= (double)FLT_MAX)) {
            return pare_fail(error, PARE_USAGE, "option --class-weights: expected weights of at least 0, found %g",
                             numbers[i]);
        }
        weights[i] = (float)numbers[i];
        most = numbers[i] > most ? numbers[i] : most;
    }
    return most > 0 || count == 0
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "option --class-weights: expected a weight above 0, found none");
}

pare_status parse_class_weights(const char *text, pare_dataset *data, int32_t label_offset, size_t classes_of_network,
                                float **weights, size_t *count, pare_error *error) {
    double *numbers = pare_alloc_zero(MOST_CLASSES, sizeof *numbers);
    int64_t *classes = NULL;
    pare_status status = numbers != NULL ? PARE_OK : pare_fail_memory(error, MOST_CLASSES * sizeof *numbers);
    if (status == PARE_OK && strcmp(text, "balanced") == 0) {
        status = pare_dataset_classes(data, &classes, error);
        if (status == PARE_OK && classes == NULL) {
            status = pare_fail(error, PARE_USAGE, "option --class-weights balanced: expected class labels in --data");
        }
        if (status == PARE_OK && classes_of_network > MOST_CLASSES) {
            status =
                pare_fail(error, PARE_LIMIT, "option --class-weights balanced: expected at most %d classes, found %zu",
                          MOST_CLASSES, classes_of_network);
        }
        if (status == PARE_OK) {
            *count = classes_of_network;
            balance(classes, pare_dataset_count(data), label_offset, numbers, *count);
        }
    } else if (status == PARE_OK) {
        status = parse_numbers("class-weights", text, numbers, MOST_CLASSES, count, error);
    }
    if (status == PARE_OK && (*weights = pare_alloc((*count + 1) * sizeof **weights)) == NULL) {
        status = pare_fail_memory(error, *count * sizeof **weights);
    }
    if (status == PARE_OK) {
        status = copy_weights(numbers, *count, *weights, error);
    }
    pare_free(classes);
    pare_free(numbers);
    return status;
}
