#include "image_decode.h"

#include <string.h>

#include "source.h"

pare_status pare_image_reserve(pare_sample *sample, size_t height, size_t width, pare_error *error) {
    if (height == 0 || width == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a picture with pixels, found %zu x %zu", width, height);
    }
    if (height > PARE_IMAGE_SIDE_LIMIT || width > PARE_IMAGE_SIDE_LIMIT || height * width > PARE_IMAGE_PIXEL_LIMIT) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d pixels a side and %zu in all, found %zu x %zu",
                         PARE_IMAGE_SIDE_LIMIT, PARE_IMAGE_PIXEL_LIMIT, width, height);
    }
    sample->shape = (pare_shape){3, {(int64_t)height, (int64_t)width, 3}};
    return pare_sample_reserve(sample, height * width * 3, error);
}

pare_status pare_image_decode(const uint8_t *data, size_t size, pare_sample *sample, pare_error *error) {
    static const uint8_t PNG[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (size >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff) {
        return pare_jpeg_decode(data, size, sample, error);
    }
    if (size >= sizeof PNG && memcmp(data, PNG, sizeof PNG) == 0) {
        return pare_png_decode(data, size, sample, error);
    }
    return pare_fail(error, PARE_BAD_INPUT, "expected a JPEG or PNG picture, found another beginning");
}
