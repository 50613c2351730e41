/* The data sets and options of the loader's tests. */
#ifndef PARE_LOADER_FILES_H
#define PARE_LOADER_FILES_H

#include "../dataset/dataset_files.h"
#include "train/data/loader.h"

#define RECORD 3073
#define ELEMENTS 3072
#define COUNT 50

static const pare_preprocess NORMALISED = {
    .scale = 1 / 255.0f, .mean = {0.5f, 0.4f, 0.3f}, .mean_count = 3, .std = {0.25f}, .std_count = 1};
static const pare_shape PICTURE = {3, {3, 32, 32}};

/* COUNT different pictures; sample i has class i mod 10. */
static inline pare_dataset *open_pictures(void) {
    static uint8_t file[COUNT * RECORD];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof file; i++) {
        state = state * 1664525u + 1013904223u;
        file[i] = i % RECORD == 0 ? (uint8_t)(i / RECORD % 10) : (uint8_t)(state >> 24);
    }
    put_file("pictures.bin", file, sizeof file);
    return must_open(make_spec("cifar10", "pictures.bin", NULL, ""));
}

/* float32 [rows, columns] and, where targets is not NULL, float32 [rows]. */
static inline pare_dataset *open_numbers(const float *numbers, size_t rows, size_t columns, const float *targets) {
    uint8_t file[8192];
    for (int kind = 0; kind < (targets != NULL ? 2 : 1); kind++) {
        size_t bytes = rows * (kind == 0 ? columns : 1) * sizeof(float);
        char *dict = (char *)file + 10;
        memset(file, ' ', sizeof file);
        memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
        int length = kind == 0 ? sprintf(dict, "{'descr':'<f4','fortran_order':False,'shape':(%zu,%zu)}", rows, columns)
                               : sprintf(dict, "{'descr':'<f4','fortran_order':False,'shape':(%zu,)}", rows);
        dict[length] = ' ';
        file[127] = '\n';
        memcpy(file + 128, kind == 0 ? numbers : targets, bytes);
        put_file(kind == 0 ? "x.npy" : "y.npy", file, 128 + bytes);
    }
    return must_open(make_spec("npy", "x.npy", targets != NULL ? "y.npy" : NULL, ""));
}

static inline pare_loader_options picture_options(size_t batch) {
    return (pare_loader_options){.preprocess = &NORMALISED,
                                 .input = PICTURE,
                                 .dtype = PARE_F32,
                                 .batch = batch,
                                 .seed = 77,
                                 .shuffle = true,
                                 .ranks = 1};
}

static inline pare_loader *must_create(pare_dataset *dataset, const pare_loader_options *options) {
    pare_loader *loader = NULL;
    pare_error error = {0};
    assert_ok(pare_loader_create(dataset, options, &loader, &error), &error);
    return loader;
}

static inline pare_batch must_next(pare_loader *loader) {
    pare_batch batch;
    pare_error error = {0};
    assert_ok(pare_loader_next(loader, &batch, &error), &error);
    return batch;
}

#endif
