/* libjpeg reports errors by a callback that must not return: it jumps back. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "image_decode.h"
#include "pare/memory.h"

/* A progressive file may ask for each scan to touch all pixels: more than this
 * many is no picture but an attack on time. */
#define SCAN_LIMIT 200

typedef struct jpeg_job {
    struct jpeg_decompress_struct info; /* first: callbacks get its address */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    bool truncated, too_many_scans;
    pare_sample *sample;
    uint8_t *line; /* a CMYK row */
    pare_error *error;
} jpeg_job;

static void on_error(j_common_ptr info) {
    longjmp(((jpeg_job *)(void *)info)->back, 1);
}

/* Warnings are borne, as decoders do, except that data are missing: libjpeg would
 * go on to fill what a few bytes of header promise, up to the limit, with gray. */
static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
        jpeg_job *job = (jpeg_job *)(void *)info;
        job->truncated = true;
        longjmp(job->back, 1);
    }
}

static void on_progress(j_common_ptr info) {
    jpeg_job *job = (jpeg_job *)(void *)info;
    if (job->info.input_scan_number > SCAN_LIMIT) {
        job->too_many_scans = true;
        longjmp(job->back, 1);
    }
}

/* Adobe's inverted CMYK to RGB as Pillow does it: (255 - K) - C × (255 - K) / 255, rounded. */
static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, size_t pixels, bool inverted) {
    for (size_t i = 0; i < pixels; i++, in += 4, out += 3) {
        int light = inverted ? in[3] : 255 - in[3];
        for (int c = 0; c < 3; c++) {
            int ink = inverted ? 255 - in[c] : in[c];
            int product = ink * light + 128;
            int value = light - ((product + (product >> 8)) >> 8);
            out[c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static pare_status read_rows(jpeg_job *job) {
    struct jpeg_decompress_struct *info = &job->info;
    bool cmyk = info->out_color_space == JCS_CMYK;
    size_t row_bytes = (size_t)info->output_width * 3;
    PARE_TRY(pare_image_reserve(job->sample, info->output_height, info->output_width, job->error));
    if (cmyk) {
        job->line = pare_alloc((size_t)info->output_width * 4);
        if (job->line == NULL) {
            return pare_fail_memory(job->error, (size_t)info->output_width * 4);
        }
    }
    while (info->output_scanline < info->output_height) {
        uint8_t *out = (uint8_t *)job->sample->data + info->output_scanline * row_bytes;
        JSAMPROW row = cmyk ? job->line : out;
        jpeg_read_scanlines(info, &row, 1);
        if (cmyk) {
            cmyk_to_rgb(job->line, out, info->output_width, info->saw_Adobe_marker);
        }
    }
    jpeg_finish_decompress(info);
    return PARE_OK;
}

static pare_status decode(jpeg_job *job, const uint8_t *data, size_t size) {
    struct jpeg_decompress_struct *info = &job->info;
    jpeg_create_decompress(info);
    info->progress = &job->progress;
    jpeg_mem_src(info, data, (unsigned long)size);
    jpeg_read_header(info, TRUE);
    /* The limits come before libjpeg allocates what the header asks for. */
    PARE_TRY(pare_image_reserve(job->sample, info->image_height, info->image_width, job->error));
    bool cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(info);
    return read_rows(job);
}

pare_status pare_jpeg_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error) {
    jpeg_job *job = pare_alloc_zero(1, sizeof *job);
    if (job == NULL) {
        return pare_fail_memory(error, sizeof *job);
    }
    job->sample = sample;
    job->error = error;
    job->info.err = jpeg_std_error(&job->errors);
    job->errors.error_exit = on_error;
    job->errors.emit_message = on_message;
    job->progress.progress_monitor = on_progress;
    pare_status status;
    if (setjmp(job->back) == 0) {
        status = decode(job, data, size);
    } else if (job->truncated) {
        status = pare_fail(error, PARE_BAD_INPUT, "JPEG data ends early: file is truncated");
    } else if (job->too_many_scans) {
        status = pare_fail(error, PARE_LIMIT, "expected a JPEG of at most %d scans, found more", SCAN_LIMIT);
    } else {
        char text[JMSG_LENGTH_MAX];
        job->errors.format_message((j_common_ptr)&job->info, text);
        bool memory = job->errors.msg_code == JERR_OUT_OF_MEMORY;
        status = pare_fail(error, memory ? PARE_LIMIT : PARE_BAD_INPUT, "JPEG: %s", text);
    }
    jpeg_destroy_decompress(&job->info);
    pare_free(job->line);
    pare_free(job);
    return status;
}
