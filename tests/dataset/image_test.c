#include "dataset_files.h"

#include <sys/stat.h>

#include "image_files.h"

static void mkdir_at(const char *name) {
    assert_int_equal(mkdir(test_path(name), 0700), 0);
}

/* Opens, reads sample 0 and expects this failure. */
static void read_refuses(const char *spec, pare_status expected, const char *text) {
    pare_dataset *d = must_open(spec);
    pare_sample sample = {0};
    pare_error error = {0};
    assert_fails(pare_dataset_read(d, 0, &sample, &error), expected, &error, text);
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void folders_are_classes_in_byte_order(void **state) {
    (void)state;
    mkdir_at("set");
    mkdir_at("set/b's");
    mkdir_at("set/B");
    mkdir_at("set/.hidden");
    put_png("set/b's/two.PNG", 3, 2, PNG_FORMAT_RGB, 20);
    put_png("set/b's/one.png", 3, 2, PNG_FORMAT_RGB, 10);
    put_jpeg("set/B/x, y.jpeg", 16, 8, JCS_RGB, 200);
    put_text("set/B/notes.txt", "no picture");
    pare_dataset *d = must_open(make_spec("images", "set", NULL, ""));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_int_equal(pare_dataset_count(d), 3);
    assert_string_equal(pare_dataset_sample_name(d, 0), "B/x, y.jpeg");
    assert_string_equal(pare_dataset_sample_name(d, 1), "b's/one.png");
    assert_null(pare_dataset_sample_name(d, 3));
    pare_sample_info info = pare_dataset_info(d);
    assert_true(info.image && info.shape.dims[0] == 0 && info.shape.dims[2] == 3);
    assert_ok(pare_dataset_read(d, 0, &sample, &error), &error);
    assert_int_equal(sample.classes[0], 0);
    assert_int_equal(sample.shape.dims[0] * 100 + sample.shape.dims[1], 816);
    assert_in_range(((uint8_t *)sample.data)[0], 198, 202);
    assert_ok(pare_dataset_read(d, 2, &sample, &error), &error);
    assert_int_equal(sample.classes[0], 1);
    assert_int_equal(((uint8_t *)sample.data)[0], 20);
    uint32_t crc = 0;
    assert_ok(pare_dataset_checksum(d, &crc, &error), &error);
    assert_int_not_equal(crc, 0);
    pare_sample_free(&sample);
    pare_dataset_close(d);
    mkdir_at("set/empty");
    refuses(make_spec("images", "set", NULL, ""), PARE_BAD_INPUT, "class \"empty\" has no");
}

static void a_table_names_files_and_labels(void **state) {
    (void)state;
    mkdir_at("table");
    put_png("table/jack-o'-lantern.png", 2, 2, PNG_FORMAT_RGB, 1);
    put_png("table/a,b.png", 2, 2, PNG_FORMAT_RGB, 2);
    put_text("table/labels.csv", "label,file\n607,jack-o'-lantern.png\n3,\"a,b.png\"\n");
    put_text("table/other.csv", "file,label\n\"a,b.png\",9\n");
    pare_dataset *d = must_open(make_spec("images", "table", NULL, "#1:2"));
    pare_sample sample = {0};
    assert_ok(pare_dataset_read(d, 0, &sample, NULL), NULL);
    assert_int_equal(sample.classes[0], 3);
    assert_string_equal(pare_dataset_sample_name(d, 0), "a,b.png");
    pare_dataset_close(d);
    d = must_open(make_spec("images", "table", NULL, "?labels=other.csv"));
    assert_int_equal(pare_dataset_count(d), 1);
    pare_dataset_close(d);
    pare_sample_free(&sample);
}

static void table_refuses(const char *text, pare_status expected, const char *message) {
    put_text("plain/labels.csv", text);
    refuses(make_spec("images", "plain", NULL, ""), expected, message);
}

static void tables_stay_below_the_folder(void **state) {
    (void)state;
    mkdir_at("plain");
    table_refuses("file,label\n../x.png,1\n", PARE_BAD_INPUT, "below the folder, found \"../x.png\"");
    table_refuses("file,label\na/../../x.png,1\n", PARE_BAD_INPUT, "below the folder");
    table_refuses("file,label\n/etc/passwd,1\n", PARE_BAD_INPUT, "below the folder");
    table_refuses("file,label\n,1\n", PARE_BAD_INPUT, "below the folder");
    table_refuses("file,label\nx.png,-1\n", PARE_BAD_INPUT, "row 2: expected a label");
    table_refuses("file,label\nx.png,cat\n", PARE_BAD_INPUT, "found \"cat\"");
    table_refuses("file,label\nx.png\n", PARE_BAD_INPUT, "expected 2 fields, found 1");
    table_refuses("name,label\nx.png,1\n", PARE_BAD_INPUT, "columns file and label");
    table_refuses("file,label\n", PARE_BAD_INPUT, "empty set");
    put_text("plain/labels.csv", "file,label\ngone.png,1\n");
    read_refuses(make_spec("images", "plain", NULL, ""), PARE_IO, "gone.png");
    refuses(make_spec("images", "plain", NULL, "?labels=none.csv"), PARE_IO, "none.csv");
    refuses(make_spec("images", "nowhere", NULL, ""), PARE_IO, "folder of pictures");
    mkdir_at("bare");
    refuses(make_spec("images", "bare", NULL, ""), PARE_BAD_INPUT, "empty set");
}

static void expect_pixel(const char *name, const char *kind, uint8_t r, uint8_t g, uint8_t b) {
    pare_dataset *d = must_open(make_spec("images", "kinds", NULL, ""));
    pare_sample sample = {0};
    pare_error error = {0};
    for (size_t i = 0; i < pare_dataset_count(d); i++) {
        if (strcmp(pare_dataset_sample_name(d, i), name) == 0) {
            assert_ok(pare_dataset_read(d, i, &sample, &error), &error);
            const uint8_t *p = sample.data;
            if (p[0] != r || p[1] != g || p[2] != b) {
                fail_msg("%s: expected %u %u %u, found %u %u %u", kind, r, g, b, p[0], p[1], p[2]);
            }
            pare_sample_free(&sample);
            pare_dataset_close(d);
            return;
        }
    }
    fail_msg("%s is not listed", name);
}

static void gray_and_alpha_become_rgb(void **state) {
    (void)state;
    mkdir_at("kinds");
    put_png("kinds/gray.png", 4, 4, PNG_FORMAT_GRAY, 77);
    put_png("kinds/alpha.png", 4, 4, PNG_FORMAT_RGBA, 40);
    put_png("kinds/palette.png", 4, 4, PNG_FORMAT_RGB_COLORMAP, 90);
    put_png("kinds/deep.png", 4, 4, PNG_FORMAT_LINEAR_Y, 0);
    put_jpeg("kinds/gray.jpg", 8, 8, JCS_GRAYSCALE, 128);
    put_jpeg("kinds/ink.jpg", 8, 8, JCS_CMYK, 128);
    expect_pixel("gray.png", "gray", 77, 77, 77);
    expect_pixel("alpha.png", "alpha is dropped, not blended", 40, 40, 40);
    expect_pixel("palette.png", "palette", 90, 90, 90);
    expect_pixel("deep.png", "16 bits", 0, 0, 0);
    expect_pixel("gray.jpg", "gray JPEG", 128, 128, 128);
    /* C = M = Y = K = 128, stored inverted: 128 - 127 × 128 / 255, rounded. */
    expect_pixel("ink.jpg", "CMYK JPEG", 64, 64, 64);
}

static void row_75_short_and_damaged_pictures(void **state) {
    (void)state;
    mkdir_at("bad");
    put_png("bad/x.png", 30, 30, PNG_FORMAT_RGB, 9);
    cut_file("bad/x.png", 60);
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "x.png: PNG: ");
    put_png("bad/x.png", 30, 30, PNG_FORMAT_RGB, 9);
    flip_byte("bad/x.png", 14); /* the checksum of the pixels: IEND takes 12 bytes */
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "PNG: ");
    put_jpeg("bad/x.png", 64, 64, JCS_RGB, 9); /* content decides, not the name */
    cut_file("bad/x.png", 640);
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "truncated");
    cut_file("bad/x.png", 30);
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "x.png: ");
    put_text("bad/x.png", "GIF89a");
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "JPEG or PNG");
    put_text("bad/x.png", "");
    read_refuses(make_spec("images", "bad", NULL, ""), PARE_BAD_INPUT, "JPEG or PNG");
}

static void row_75_huge_pictures_before_memory_is_taken(void **state) {
    (void)state;
    mkdir_at("huge");
    put_png("huge/x.png", 4, 4, PNG_FORMAT_RGB, 9);
    set_png_size("huge/x.png", 16384, 16384);
    size_t peak = pare_memory_peak();
    read_refuses(make_spec("images", "huge", NULL, ""), PARE_LIMIT, "found 16384 x 16384");
    set_png_size("huge/x.png", 20000, 1);
    read_refuses(make_spec("images", "huge", NULL, ""), PARE_LIMIT, "found 20000 x 1");
    set_png_size("huge/x.png", 0, 4);
    read_refuses(make_spec("images", "huge", NULL, ""), PARE_BAD_INPUT, "PNG: ");
    put_jpeg("huge/x.png", 64, 64, JCS_RGB, 9);
    set_jpeg_size("huge/x.png", 65500, 65500);
    read_refuses(make_spec("images", "huge", NULL, ""), PARE_LIMIT, "found 65500 x 65500");
    assert_true(pare_memory_peak() < peak + ((size_t)4 << 20));
}

static void ppm_refuses(const char *header) {
    put_text("ppm/x.png", header);
    read_refuses(make_spec("images", "ppm", NULL, ""), PARE_BAD_INPUT, "expected a JPEG or PNG picture");
}

/* PPM is not a format that Pare reads: each spelling is refused, by content. */
static void row_75_ppm_is_refused(void **state) {
    (void)state;
    mkdir_at("ppm");
    ppm_refuses("P6\n1 1\n255\nabc");
    ppm_refuses("P6\n0 0\n255\n");
    ppm_refuses("P6\n4000000000 4000000000\n255\n");
    ppm_refuses("P6\n1 1\n0\nabc");
    ppm_refuses("P6\n1 1\n65536\nabc");
    ppm_refuses("P5\n# a comment\n1 1\n255\na");
    ppm_refuses("P6\n2 2\n255\nabc");
    mkdir_at("only");
    put_text("only/x.ppm", "P6\n1 1\n255\nabc"); /* a name that is no picture's */
    refuses(make_spec("images", "only", NULL, ""), PARE_BAD_INPUT, "empty set");
}

static void row_75_pictures_without_pixels(void **state) {
    (void)state;
    mkdir_at("nothing");
    for (int side = 0; side < 2; side++) {
        put_png("nothing/x.png", 4, 4, PNG_FORMAT_RGB, 9);
        set_png_size("nothing/x.png", side == 0 ? 0 : 4, side == 0 ? 4 : 0);
        read_refuses(make_spec("images", "nothing", NULL, ""), PARE_BAD_INPUT, "x.png: PNG: ");
        put_jpeg("nothing/x.png", 64, 64, JCS_RGB, 9);
        set_jpeg_size("nothing/x.png", side == 0 ? 0 : 64, side == 0 ? 64 : 0);
        read_refuses(make_spec("images", "nothing", NULL, ""), PARE_BAD_INPUT, "x.png: ");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_classes_in_byte_order),
        cmocka_unit_test(a_table_names_files_and_labels),
        cmocka_unit_test(tables_stay_below_the_folder),
        cmocka_unit_test(gray_and_alpha_become_rgb),
        cmocka_unit_test(row_75_short_and_damaged_pictures),
        cmocka_unit_test(row_75_huge_pictures_before_memory_is_taken),
        cmocka_unit_test(row_75_ppm_is_refused),
        cmocka_unit_test(row_75_pictures_without_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
