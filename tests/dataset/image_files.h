/* Pictures of one brightness, and damage to them, for the tests. */
#ifndef PARE_IMAGE_FILES_H
#define PARE_IMAGE_FILES_H

#include "dataset_files.h"

#include <jpeglib.h>
#include <png.h>

/* `format` as libpng's simplified API names it; alpha is half. */
static inline void put_png(const char *name, uint32_t width, uint32_t height, uint32_t format, uint8_t value) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = format};
    size_t bytes = PNG_IMAGE_SIZE(image);
    uint8_t *pixels = malloc(bytes), colormap[3] = {value, value, value};
    assert_non_null(pixels);
    memset(pixels, value, bytes);
    if (format & PNG_FORMAT_FLAG_COLORMAP) {
        memset(pixels, 0, bytes);
        image.colormap_entries = 1;
    } else if (format == PNG_FORMAT_RGBA) {
        for (size_t i = 3; i < bytes; i += 4) {
            pixels[i] = 128;
        }
    }
    assert_int_not_equal(png_image_write_to_file(&image, test_path(name), 0, pixels, 0, colormap), 0);
    free(pixels);
}

static inline void put_jpeg(const char *name, uint32_t width, uint32_t height, J_COLOR_SPACE space, uint8_t value) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(test_path(name), "wb");
    assert_non_null(file);
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_width = width;
    info.image_height = height;
    info.input_components = space == JCS_GRAYSCALE ? 1 : space == JCS_CMYK ? 4 : 3;
    info.in_color_space = space;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 100, TRUE);
    jpeg_start_compress(&info, TRUE);
    uint8_t *row = malloc((size_t)width * 4);
    assert_non_null(row);
    for (uint32_t y = 0; y < height; y++) {
        /* A slope downwards, so that cutting the file cuts content. */
        memset(row, height > 32 ? (int)(value + 3 * y) & 255 : value, (size_t)width * 4);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(row);
    assert_int_equal(fclose(file), 0);
}

static inline void patch_file(const char *name, long at, const uint8_t *bytes, size_t count) {
    FILE *file = fopen(test_path(name), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static inline size_t load_file(const char *name, uint8_t *out, size_t room) {
    FILE *file = fopen(test_path(name), "rb");
    assert_non_null(file);
    size_t bytes = fread(out, 1, room, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static inline void cut_file(const char *name, size_t bytes) {
    uint8_t content[65536];
    assert_true(load_file(name, content, sizeof content) > bytes);
    put_file(name, content, bytes);
}

/* Flips bits of the byte that lies `back` before the end. */
static inline void flip_byte(const char *name, size_t back) {
    uint8_t content[65536];
    size_t at = load_file(name, content, sizeof content) - back;
    content[at] ^= 0x55;
    patch_file(name, (long)at, content + at, 1);
}

/* Rewrites IHDR with a right checksum. */
static inline void set_png_size(const char *name, uint32_t width, uint32_t height) {
    uint8_t content[65536];
    load_file(name, content, sizeof content);
    uint32_t sizes[2] = {width, height};
    for (int i = 0; i < 8; i++) {
        content[16 + i] = (uint8_t)(sizes[i / 4] >> (24 - 8 * (i % 4)));
    }
    uint32_t crc = (uint32_t)crc32(0, content + 12, 17);
    for (int i = 0; i < 4; i++) {
        content[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    patch_file(name, 0, content, 33);
}

/* Rewrites the baseline frame header. */
static inline void set_jpeg_size(const char *name, uint16_t width, uint16_t height) {
    uint8_t content[65536];
    size_t bytes = load_file(name, content, sizeof content), at = 0;
    while (at + 9 < bytes && !(content[at] == 0xff && content[at + 1] == 0xc0)) {
        at++;
    }
    uint8_t sizes[4] = {(uint8_t)(height >> 8), (uint8_t)height, (uint8_t)(width >> 8), (uint8_t)width};
    patch_file(name, (long)at + 5, sizes, 4);
}

#endif
