#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *test_shared(void) {
    static char found[4096];
    const char *named = getenv("PARE_SHARED");
    const char *tests = getenv("PARE_TESTS");
    if (named != NULL) {
        snprintf(found, sizeof found, "%s", named);
    } else {
        snprintf(found, sizeof found, "%s/../../shared", tests != NULL ? tests : "tests");
    }
    struct stat status;
    char models[4200];
    snprintf(models, sizeof models, "%s/models", found);
    if (stat(models, &status) == 0) {
        return found;
    }
    fprintf(stderr, "skipped: no shared models and data (set PARE_SHARED)\n");
    return NULL;
}

static const char *join(const char *folder, const char *name) {
    static char paths[4][8192];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *test_shared_path(const char *relative) {
    const char *shared = test_shared();
    return shared == NULL ? NULL : join(shared, relative);
}

static char scratch[4096];
static pid_t scratch_owner;

static void remove_scratch(void) {
    if (getpid() == scratch_owner) {
        char command[4200];
        snprintf(command, sizeof command, "rm -rf '%s'", scratch);
        if (system(command) != 0) {
            fprintf(stderr, "could not remove %s\n", scratch);
        }
    }
}

const char *test_folder(void) {
    if (scratch[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(scratch, sizeof scratch, "%s/pare-test-XXXXXX", parent != NULL ? parent : "/tmp");
        if (mkdtemp(scratch) == NULL) {
            perror("mkdtemp");
            exit(1);
        }
        scratch_owner = getpid();
        atexit(remove_scratch);
    }
    return scratch;
}

const char *test_path(const char *name) {
    return join(test_folder(), name);
}

void test_assert_ok(pare_status status, const pare_error *error, const char *file, int line) {
    if (status != PARE_OK) {
        print_error("status %d (%s): %s\n", (int)status, pare_status_name(status),
                    error != NULL ? error->message : "no message");
        _fail(file, line);
    }
}

void test_assert_fails(pare_status status, pare_status expected, const pare_error *error, const char *text,
                       const char *file, int line) {
    if (status != expected || (error != NULL && strstr(error->message, text) == NULL)) {
        print_error("expected status %d and \"%s\", found %d: %s\n", (int)expected, text, (int)status,
                    status == PARE_OK ? ""
                    : error != NULL   ? error->message
                                      : "no message");
        _fail(file, line);
    }
}
