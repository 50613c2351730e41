/* `pare VERB ...` runs `pare-VERB ...`, from the folder that `pare` lies in or
 * else from the PATH. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pare/runtime.h"
#include "pare/status.h"

static const struct {
    const char *verb, *summary;
} verbs[] = {
    {"inspect", "layers, shapes, parameters, MACs, and where a file's bytes go"},
    {"eval", "metrics with intervals on a data set; --against compares two models"},
    {"quantize", "post-training quantization to QDQ ONNX"},
    {"build", "a fresh network from a recipe, to be trained"},
    {"prune", "takes out the channels that matter least, or makes weights zeros"},
    {"student", "a smaller network from a teacher's: fewer channels, fewer blocks"},
    {"train", "fine-tunes a network, or trains a fresh one"},
    {"distill", "trains a student with a teacher"},
    {"emit", "the compact .pare binary"},
    {"run", "executes a model on .npy tensors"},
    {"bench", "latency and memory on this machine"},
    {"compare", "one table: accuracy, bytes, MACs, latency of several models"},
};

static void print_help(void) {
    printf(
        "pare: shrinks trained neural networks and runs what is left\n\nusage: pare VERB ...   (the same as pare-VERB "
        "...)\n\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        printf("  %-10s %s\n", verbs[i].verb, verbs[i].summary);
    }
    printf("\npare VERB --help tells more.\n");
}

/* The folder of this program: where the system does not tell (no /proc), as it was called. */
static char *own_folder(char *path, size_t size, const char *called) {
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0 && strlen(called) < size) {
        strcpy(path, called);
        length = (ssize_t)strlen(called);
    }
    return length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return argc < 2 ? PARE_USAGE : fflush(stdout) != 0 ? PARE_IO : PARE_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pare %s (%s)\n", pare_version(), pare_backend());
        return fflush(stdout) != 0 ? PARE_IO : PARE_OK;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].verb) == 0) {
            char path[PATH_MAX + 32], name[32];
            snprintf(name, sizeof name, "pare-%s", verbs[i].verb);
            char *slash = own_folder(path, PATH_MAX, argv[0]);
            argv[1] = name;
            if (slash != NULL) {
                strcpy(slash + 1, name);
                execv(path, argv + 1);
            }
            execvp(name, argv + 1);
            fprintf(stderr, "pare: cannot run %s: %s\n", name, strerror(errno));
            return PARE_IO;
        }
    }
    fprintf(stderr, "pare: unknown verb \"%s\" (see pare --help)\n", argv[1]);
    return PARE_USAGE;
}
