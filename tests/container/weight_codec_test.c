/* Each codec: what it encodes returns, and streams that it did not write (row 61
 * for zlib, row 65 for the others) are refused. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "container/codec.h"
#include "pare/memory.h"
#include "pare/random.h"
#include "test.h"

typedef void fill(pare_random *random, uint8_t *data, size_t bytes);

static void any_bytes(pare_random *random, uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)pare_random_u64(random);
    }
}

static void small_range(pare_random *random, uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(pare_random_below(random, 16) - 8);
    }
}

static void mostly_zero(pare_random *random, uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(pare_random_below(random, 20) == 0 ? pare_random_u64(random) : 0);
    }
}

static void one_value(pare_random *random, uint8_t *data, size_t bytes) {
    (void)random;
    memset(data, 0x85, bytes);
}

static void few_floats(pare_random *random, uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes / 4; i++) {
        float value = (float)pare_random_below(random, 200) * 0.37F;
        memcpy(data + 4 * i, &value, 4);
    }
    memset(data + bytes / 4 * 4, 1, bytes % 4);
}

static bool returns(uint32_t number, const uint8_t *data, size_t bytes, size_t width) {
    const pare_weight_codec *codec = pare_weight_codec_find(number);
    pare_byte_buffer stored = {0};
    pare_error error = {0};
    bool applies = codec->encode(data, bytes, width, &stored);
    assert_false(stored.failed);
    if (applies) {
        uint8_t *decoded = malloc(bytes + 1);
        /* An exact-size copy, so that ASan sees a read past its end. */
        uint8_t *exact = malloc(stored.size + (stored.size == 0));
        assert_true(decoded != NULL && exact != NULL);
        if (stored.size != 0) {
            memcpy(exact, stored.data, stored.size);
        }
        assert_ok(codec->decode(exact, stored.size, decoded, bytes, &error), &error);
        assert_memory_equal(decoded, data, bytes);
        /* Every shorter stream, and one that goes on, is refused or (never) equal. */
        for (size_t cut = 0; cut < stored.size && stored.size < 3000; cut += 1 + stored.size / 97) {
            assert_int_equal(codec->decode(exact, cut, decoded, bytes, &error), PARE_BAD_INPUT);
        }
        pare_put_u8(&stored, 0);
        assert_int_equal(codec->decode(stored.data, stored.size, decoded, bytes, &error), PARE_BAD_INPUT);
        assert_true(error.message[0] != '\0');
        free(decoded);
        free(exact);
    }
    pare_byte_buffer_free(&stored);
    return applies;
}

static void every_codec_returns(void **state) {
    (void)state;
    static fill *const fills[] = {any_bytes, small_range, mostly_zero, one_value, few_floats};
    static const size_t sizes[] = {8, 1, 3, 17, 64, 1000, 4096, 66000};
    bool applied[PARE_CODEC_END] = {false};
    pare_random random;
    pare_random_seed(&random, 11);
    uint8_t *data = malloc(66000 * 8);
    assert_non_null(data);
    for (size_t f = 0; f < 5; f++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (size_t width = 1; width <= 8; width *= 2) {
                fills[f](&random, data, sizes[s] * width);
                for (uint32_t codec = 0; codec < PARE_CODEC_END; codec++) {
                    applied[codec] = returns(codec, data, sizes[s] * width, width) || applied[codec];
                }
            }
        }
    }
    for (uint32_t codec = 0; codec < PARE_CODEC_END; codec++) {
        assert_true(applied[codec]);
    }
    assert_null(pare_weight_codec_find(PARE_CODEC_END));
    free(data);
}

static void entropy_is_near_the_entropy(void **state) {
    (void)state;
    pare_random random;
    pare_byte_buffer entropy = {0}, packed = {0};
    uint8_t data[40000];
    pare_random_seed(&random, 3);
    mostly_zero(&random, data, sizeof data); /* 0.69 bits each, by Shannon */
    assert_true(pare_weight_codec_find(PARE_CODEC_ENTROPY)->encode(data, sizeof data, 1, &entropy));
    assert_true(pare_weight_codec_find(PARE_CODEC_ZLIB)->encode(data, sizeof data, 1, &packed));
    assert_true(entropy.size < 4100);
    assert_true(entropy.size < packed.size);
    pare_byte_buffer_free(&entropy);
    pare_byte_buffer_free(&packed);
}

/* Any bytes at all: an answer or a message, never a read or write outside. */
static void random_streams(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 5);
    for (int round = 0; round < 3000; round++) {
        size_t stored_bytes = (size_t)pare_random_below(&random, 80), bytes = (size_t)pare_random_below(&random, 200);
        uint8_t *stored = malloc(stored_bytes + (stored_bytes == 0)), *data = malloc(bytes + (bytes == 0));
        assert_true(stored != NULL && data != NULL);
        any_bytes(&random, stored, stored_bytes);
        if (stored_bytes > 0) {
            stored[0] = (uint8_t)(stored[0] % 9);
        }
        for (uint32_t codec = 0; codec < PARE_CODEC_END; codec++) {
            pare_error error = {0};
            pare_status status = pare_weight_codec_find(codec)->decode(stored, stored_bytes, data, bytes, &error);
            assert_true(status == PARE_OK || (status == PARE_BAD_INPUT && error.message[0] != '\0'));
        }
        free(stored);
        free(data);
    }
}

static void zlib_refuses(const uint8_t *stored, size_t stored_bytes, size_t bytes, const char *text) {
    pare_error error = {0};
    uint8_t *data = malloc(bytes + (bytes == 0));
    assert_non_null(data);
    assert_fails(pare_zlib_unpack(stored, stored_bytes, data, bytes, &error), PARE_BAD_INPUT, &error, text);
    free(data);
}

static void row_61_zlib(void **state) {
    (void)state;
    uint8_t text[500], stored[800];
    uLongf size = sizeof stored;
    memset(text, 'a', sizeof text);
    assert_int_equal(compress2(stored, &size, text, sizeof text, 9), Z_OK);
    zlib_refuses(stored, 0, 500, "zlib");
    zlib_refuses(stored, size - 1, 500, "zlib");
    zlib_refuses(stored, size - 5, 500, "zlib");
    zlib_refuses(stored, size, 499, "zlib"); /* the stream gives more than declared */
    zlib_refuses(stored, size, 501, "zlib"); /* and less */
    zlib_refuses(stored, size, 0, "zlib");
    stored[size] = 0;
    zlib_refuses(stored, size + 1, 500, "1 more stored");
    stored[size - 1] ^= 1;
    zlib_refuses(stored, size, 500, "incorrect data check");
    stored[size - 1] ^= 1;
    stored[0] = 0;
    zlib_refuses(stored, size, 500, "header");
}

static void row_61_zlib_dictionary(void **state) {
    (void)state;
    uint8_t stored[100];
    z_stream stream = {0};
    assert_int_equal(deflateInit(&stream, 9), Z_OK);
    assert_int_equal(deflateSetDictionary(&stream, (const Bytef *)"hello", 5), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t) "hello hello";
    stream.avail_in = 11;
    stream.next_out = stored;
    stream.avail_out = sizeof stored;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    zlib_refuses(stored, stream.total_out, 11, "dictionary");
    deflateEnd(&stream);
}

static void row_61_zlib_bomb(void **state) {
    (void)state;
    size_t bytes = (size_t)16 << 20;
    uint8_t *zeros = calloc(1, bytes), *stored = malloc(compressBound(bytes));
    uLongf size = compressBound(bytes);
    assert_true(zeros != NULL && stored != NULL);
    assert_int_equal(compress2(stored, &size, zeros, bytes, 9), Z_OK);
    size_t before = pare_memory_peak();
    zlib_refuses(stored, size, 1000, "zlib");
    assert_true(pare_memory_peak() - before < 1 << 20);
    free(zeros);
    free(stored);
}

static void refuses(uint32_t codec, const uint8_t *stored, size_t stored_bytes, size_t bytes) {
    pare_error error = {0};
    uint8_t data[64];
    assert_true(bytes <= sizeof data);
    assert_int_equal(pare_weight_codec_find(codec)->decode(stored, stored_bytes, data, bytes, &error), PARE_BAD_INPUT);
    assert_true(error.message[0] != '\0');
}

static void row_65_streams(void **state) {
    (void)state;
    refuses(PARE_CODEC_BITPACKED, (uint8_t[]){0, 0, 1}, 3, 1);          /* no bits */
    refuses(PARE_CODEC_BITPACKED, (uint8_t[]){8, 0, 1}, 3, 1);          /* nine are not packed */
    refuses(PARE_CODEC_BITPACKED, (uint8_t[]){4, 0, 1}, 3, 3);          /* two of three elements */
    refuses(PARE_CODEC_PALETTE, (uint8_t[]){1, 2, 5, 6, 7, 3}, 6, 1);   /* index 3 of 3 */
    refuses(PARE_CODEC_PALETTE, (uint8_t[]){3, 0, 5, 6, 7, 0}, 6, 3);   /* width 3 */
    refuses(PARE_CODEC_PALETTE, (uint8_t[]){4, 255, 5, 6, 7, 0}, 6, 4); /* 256 entries in 4 bytes */
    refuses(PARE_CODEC_PALETTE, (uint8_t[]){2, 0, 5, 6, 0}, 5, 3);      /* half an element */
    refuses(PARE_CODEC_SPARSE, (uint8_t[]){1, 3, 9}, 3, 8);             /* two marked, one value */
    refuses(PARE_CODEC_SPARSE, (uint8_t[]){1, 1, 0}, 3, 8);             /* a zero that is marked */
    refuses(PARE_CODEC_SPARSE, (uint8_t[]){1, 1, 9, 9}, 4, 8);          /* one marked, two values */
    refuses(PARE_CODEC_SPARSE, (uint8_t[]){1, 8, 9}, 3, 3);             /* element 3 of 3 */
    refuses(PARE_CODEC_SPARSE, (uint8_t[]){8, 1, 9}, 3, 8);             /* width 8 */
    refuses(PARE_CODEC_ZLIB, (uint8_t[]){3, 1, 9}, 3, 9);               /* width 3 */
    uint8_t empty[36] = {0};
    refuses(PARE_CODEC_ENTROPY, empty, sizeof empty, 4);          /* no frequencies */
    uint8_t heavy[] = {3, [32] = 255, 127, 255, 127, 0, 0, 1, 0}; /* they sum to 2^15 */
    refuses(PARE_CODEC_ENTROPY, heavy, sizeof heavy, 4);
    uint8_t low[] = {1, [32] = 255, 127, 255, 255, 0, 0}; /* state below 2^16 */
    refuses(PARE_CODEC_ENTROPY, low, sizeof low, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_returns),    cmocka_unit_test(entropy_is_near_the_entropy),
        cmocka_unit_test(random_streams),         cmocka_unit_test(row_61_zlib),
        cmocka_unit_test(row_61_zlib_dictionary), cmocka_unit_test(row_61_zlib_bomb),
        cmocka_unit_test(row_65_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
