/* libpng reports errors by a callback that must not return: it jumps back. */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "image_decode.h"
#include "pare/memory.h"

#define CHUNK_BYTES_LIMIT ((png_alloc_size_t)8 << 20)
#define CHUNK_COUNT_LIMIT 100

typedef struct png_job {
    png_structp png;
    png_infop info;
    jmp_buf back;
    const uint8_t *data;
    size_t size, position;
    pare_sample *sample;
    png_bytep *rows;
    pare_error *error;
    char message[200];
} png_job;

static void on_error(png_structp png, png_const_charp message) {
    png_job *job = png_get_error_ptr(png);
    strncpy(job->message, message, sizeof job->message - 1);
    longjmp(job->back, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static png_voidp png_allocate(png_structp png, png_alloc_size_t bytes) {
    (void)png;
    return pare_alloc(bytes);
}

static void png_release(png_structp png, png_voidp block) {
    (void)png;
    pare_free(block);
}

static void read_bytes(png_structp png, png_bytep out, size_t bytes) {
    png_job *job = png_get_io_ptr(png);
    if (bytes > job->size - job->position) {
        png_error(png, "data end early: file is truncated");
    }
    memcpy(out, job->data + job->position, bytes);
    job->position += bytes;
}

/* Everything becomes 8-bit RGB without alpha. */
static void ask_for_rgb(const png_job *job) {
    png_set_expand(job->png);
    png_set_strip_16(job->png);
    png_set_gray_to_rgb(job->png);
    png_set_strip_alpha(job->png);
    png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
}

static pare_status decode(png_job *job) {
    /* Our own limits follow, with a message that names the size. */
    png_set_user_limits(job->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(job->png, CHUNK_BYTES_LIMIT);
    png_set_chunk_cache_max(job->png, CHUNK_COUNT_LIMIT);
    png_set_read_fn(job->png, job, read_bytes);
    png_read_info(job->png, job->info);
    size_t height = png_get_image_height(job->png, job->info), width = png_get_image_width(job->png, job->info);
    PARE_TRY(pare_image_reserve(job->sample, height, width, job->error));
    ask_for_rgb(job);
    if (png_get_rowbytes(job->png, job->info) != width * 3) {
        return pare_fail(job->error, PARE_UNSUPPORTED, "PNG of %zu pixels a row decodes to %zu bytes", width,
                         png_get_rowbytes(job->png, job->info));
    }
    job->rows = pare_alloc(height * sizeof *job->rows);
    if (job->rows == NULL) {
        return pare_fail_memory(job->error, height * sizeof *job->rows);
    }
    for (size_t y = 0; y < height; y++) {
        job->rows[y] = (png_bytep)job->sample->data + y * width * 3;
    }
    png_read_image(job->png, job->rows);
    png_read_end(job->png, NULL);
    return PARE_OK;
}

pare_status pare_png_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error) {
    png_job *job = pare_alloc_zero(1, sizeof *job);
    if (job == NULL) {
        return pare_fail_memory(error, sizeof *job);
    }
    job->data = data;
    job->size = size;
    job->sample = sample;
    job->error = error;
    pare_status status;
    if (setjmp(job->back) == 0) {
        job->png =
            png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, NULL, png_allocate, png_release);
        job->info = job->png != NULL ? png_create_info_struct(job->png) : NULL;
        status = job->info != NULL ? decode(job) : pare_fail_memory(error, sizeof *job);
    } else {
        bool memory = strstr(job->message, "memory") != NULL || strstr(job->message, "exceeds user limit") != NULL;
        status = pare_fail(error, memory ? PARE_LIMIT : PARE_BAD_INPUT, "PNG: %s", job->message);
    }
    if (job->png != NULL) {
        png_destroy_read_struct(&job->png, &job->info, NULL);
    }
    pare_free(job->rows);
    pare_free(job);
    return status;
}
