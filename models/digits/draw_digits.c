/* pare-draw-digits: a labelled set of handwritten-like digits in MNIST's format,
 * drawn from a seed. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "digit_render.h"
#include "pare/file.h"

#define COUNT_LIMIT 1000000

static const char HELP[] =
    "Usage: pare-draw-digits [-o FOLDER] [options]\n"
    "\n"
    "Draws handwritten-like digits, 28 x 28 gray, with their labels, as IDX files:\n"
    "train-images.idx3-ubyte, train-labels.idx1-ubyte, test-images.idx3-ubyte and\n"
    "test-labels.idx1-ubyte. The same seed gives the same files.\n"
    "\n"
    "  -o, --output FOLDER  where the four files go; made when missing (default .)\n"
    "      --train N        training samples (default 12000)\n"
    "      --test N         test samples (default 3000)\n"
    "      --seed N         default 0\n"
    "  -q, --quiet          print nothing\n"
    "      --help, --version\n"
    "\n"
    "Example:\n"
    "  pare-draw-digits -o digits\n"
    "  pare-eval digits_cnn.onnx --data idx:digits/test-images.idx3-ubyte,digits/test-labels.idx1-ubyte\n";

typedef struct options {
    const char *folder;
    uint64_t train, test, seed;
    bool quiet;
} options;

static bool parse_number(const char *text, uint64_t limit, uint64_t *value) {
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= limit;
}

static void put_u32_be(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* Sample `index` depends on the seed, the set and itself alone, so a longer set
 * begins with a shorter one. */
static pare_status write_samples(pare_output *images, pare_output *labels, uint64_t seed, uint64_t set, uint64_t count,
                                 pare_error *error) {
    for (uint64_t index = 0; index < count; index++) {
        pare_random random;
        uint8_t pixels[DIGIT_SIDE * DIGIT_SIDE];
        pare_random_seed(&random, (seed * 2 + set) * UINT64_C(0x9e3779b97f4a7c15) + index);
        uint8_t label = (uint8_t)pare_random_below(&random, 10);
        digit_render(label, &random, pixels);
        PARE_TRY(pare_output_write(images, pixels, sizeof pixels, error));
        PARE_TRY(pare_output_write(labels, &label, 1, error));
    }
    return PARE_OK;
}

static pare_status open_file(const char *folder, const char *set, const char *rest, const uint8_t *header, size_t bytes,
                             pare_output **output, pare_error *error) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s-%s", folder, set, rest);
    if (length < 0 || (size_t)length >= sizeof path) {
        return pare_fail(error, PARE_USAGE, "expected a folder name of fewer bytes, found %zu", strlen(folder));
    }
    PARE_TRY(pare_output_open(path, output, error));
    return pare_output_write(*output, header, bytes, error);
}

static pare_status write_set(const options *o, const char *set, uint64_t number, uint64_t count, pare_error *error) {
    uint8_t image_header[16] = {0, 0, 8, 3}, label_header[8] = {0, 0, 8, 1};
    put_u32_be(image_header + 4, (uint32_t)count);
    put_u32_be(image_header + 8, DIGIT_SIDE);
    put_u32_be(image_header + 12, DIGIT_SIDE);
    put_u32_be(label_header + 4, (uint32_t)count);
    pare_output *images = NULL, *labels = NULL;
    pare_status status =
        open_file(o->folder, set, "images.idx3-ubyte", image_header, sizeof image_header, &images, error);
    if (status == PARE_OK) {
        status = open_file(o->folder, set, "labels.idx1-ubyte", label_header, sizeof label_header, &labels, error);
    }
    if (status == PARE_OK) {
        status = write_samples(images, labels, o->seed, number, count, error);
    }
    if (status == PARE_OK) {
        status = pare_output_commit(images, error);
        images = NULL;
    }
    if (status == PARE_OK) {
        status = pare_output_commit(labels, error);
        labels = NULL;
    }
    pare_output_discard(images);
    pare_output_discard(labels);
    return status;
}

/* True to go on; else *exit_code says how to end. */
static bool parse_options(int argc, char **argv, options *o, int *exit_code) {
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'}, {"train", required_argument, NULL, 't'},
        {"test", required_argument, NULL, 'e'},   {"seed", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    for (int key; (key = getopt_long(argc, argv, "o:q", names, NULL)) != -1;) {
        bool valid = true;
        switch (key) {
        case 'o':
            o->folder = optarg;
            valid = optarg[0] != '\0';
            break;
        case 't':
            valid = parse_number(optarg, COUNT_LIMIT, &o->train) && o->train > 0;
            break;
        case 'e':
            valid = parse_number(optarg, COUNT_LIMIT, &o->test) && o->test > 0;
            break;
        case 's':
            valid = parse_number(optarg, UINT32_MAX, &o->seed);
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'h':
        case 'v':
            fputs(key == 'h' ? HELP : "pare-draw-digits " PARE_VERSION "\n", stdout);
            *exit_code = fflush(stdout) == 0 ? PARE_OK : PARE_IO;
            return false;
        default:
            *exit_code = PARE_USAGE;
            return false;
        }
        if (!valid) {
            fprintf(stderr, "pare-draw-digits: expected a number within range or a folder, found \"%s\"\n", optarg);
            *exit_code = PARE_USAGE;
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "pare-draw-digits: expected options only, found \"%s\"; see --help\n", argv[optind]);
        *exit_code = PARE_USAGE;
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    options o = {.folder = ".", .train = 12000, .test = 3000};
    pare_error error = {0};
    int exit_code = PARE_OK;
    if (!parse_options(argc, argv, &o, &exit_code)) {
        return exit_code;
    }
    if (mkdir(o.folder, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "pare-draw-digits: %s: cannot make the folder: %s\n", o.folder, strerror(errno));
        return PARE_IO;
    }
    pare_status status = write_set(&o, "train", 0, o.train, &error);
    if (status == PARE_OK) {
        status = write_set(&o, "test", 1, o.test, &error);
    }
    if (status != PARE_OK) {
        fprintf(stderr, "pare-draw-digits: %s\n", error.message);
        return (int)status;
    }
    if (!o.quiet) {
        printf("%s: %llu training and %llu test digits of %d x %d pixels, seed %llu\n", o.folder,
               (unsigned long long)o.train, (unsigned long long)o.test, DIGIT_SIDE, DIGIT_SIDE,
               (unsigned long long)o.seed);
    }
    return fflush(stdout) == 0 ? PARE_OK : PARE_IO;
}
