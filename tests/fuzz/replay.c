/* Replays a fuzz target's corpus without libFuzzer: every file of the folders
 * given, then each again truncated and with single bits flipped. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_variants(uint8_t *data, size_t size) {
    LLVMFuzzerTestOneInput(data, size);
    size_t step = size / 64 + 1;
    for (size_t cut = 0; cut < size; cut += step) {
        /* An exact-size copy, so that a read past the end is seen by ASan. */
        uint8_t *copy = malloc(cut + (cut == 0));
        memcpy(copy, data, cut);
        LLVMFuzzerTestOneInput(copy, cut);
        free(copy);
    }
    for (size_t at = 0; at < size; at += step) {
        data[at] ^= (uint8_t)(1u << (at % 8));
        LLVMFuzzerTestOneInput(data, size);
        data[at] ^= (uint8_t)(1u << (at % 8));
    }
}

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        return 1;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size + (size == 0));
    if (fread(data, 1, size, file) != size) {
        fprintf(stderr, "replay: short read of %s\n", path);
        return 1;
    }
    fclose(file);
    replay_variants(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv) {
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            fprintf(stderr, "replay: no corpus folder %s\n", argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.' && replay_file(path) != 0) {
                return 1;
            }
            count += entry->d_name[0] != '.';
        }
        closedir(folder);
    }
    printf("%zu corpus files replayed\n", count);
    return count == 0;
}
