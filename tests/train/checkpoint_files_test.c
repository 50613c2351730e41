/* The files of checkpoints: the last two are kept, whatever happens while one is saved (rows
 * 80 and 91 of the bad inputs; F5, F6, F8, F9 of the fault tests). */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint_sample.h"
#include "pare/file.h"
#include "pare/memory.h"

static uint8_t *read_file(const char *path, size_t *size) {
    pare_error error = {0};
    uint8_t *data = NULL;
    assert_ok(pare_file_read(path, SIZE_MAX, &data, size, &error), &error);
    return data;
}

static void assert_same_bytes(const char *path, const uint8_t *data, size_t size) {
    size_t found_size;
    uint8_t *found = read_file(path, &found_size);
    assert_int_equal(found_size, size);
    assert_memory_equal(found, data, size);
    pare_free(found);
}

static const char *new_folder(const char *name) {
    const char *folder = test_path(name);
    assert_int_equal(mkdir(folder, 0700), 0);
    return folder;
}

static void put_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void the_last_two_are_kept(void **state) {
    (void)state;
    checkpoint_sample sample, read;
    pare_error error = {0};
    const char *folder = new_folder("two");
    char path[4200], previous[4300];
    snprintf(path, sizeof path, "%s/run.ckpt", folder);
    snprintf(previous, sizeof previous, "%s.previous", path);
    make_checkpoint_sample(&sample);
    for (uint64_t step = 51; step <= 55; step++) {
        sample.progress.step = step;
        assert_ok(save_sample(path, &sample, &error), &error);
        assert_int_equal(count_folder(folder), step == 51 ? 1 : 2);
        assert_ok(load_sample(path, &read, (make_checkpoint_sample(&read), &error)), &error);
        assert_int_equal(read.progress.step, step);
        if (step > 51) {
            assert_ok(load_sample(previous, &read, &error), &error);
            assert_int_equal(read.progress.step, step - 1);
        }
    }
    /* A damaged or missing one says that the one before can be used. */
    assert_int_equal(truncate(path, 100), 0);
    assert_fails(load_sample(path, &read, &error), PARE_BAD_INPUT, &error,
                 "run.ckpt.previous is whole (step 54) and can be used instead");
    /* It is kept until a whole one has its place. */
    sample.progress.step = 56;
    assert_int_equal(unlink(path), 0);
    assert_fails(load_sample(path, &read, &error), PARE_IO, &error, "(step 54) and can be used instead");
    assert_ok(save_sample(path, &sample, &error), &error);
    assert_ok(load_sample(previous, &read, &error), &error);
    assert_int_equal(read.progress.step, 54);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(truncate(previous, 50), 0);
    assert_fails(load_sample(path, &read, &error), PARE_BAD_INPUT, &error, "nor can the file before it be used: ");
    assert_int_equal(unlink(previous), 0);
    assert_fails(load_sample(path, &read, &error), PARE_BAD_INPUT, &error, "there is no ");
}

/* Files may be so large, and no larger: as a disk that fills up at each byte. */
static void row_80_a_full_disk_leaves_both_files(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    const char *folder = new_folder("full");
    char path[4200], previous[4300];
    size_t size, previous_size;
    snprintf(path, sizeof path, "%s/run", folder);
    snprintf(previous, sizeof previous, "%s.previous", path);
    make_checkpoint_sample(&sample);
    for (sample.progress.step = 60; sample.progress.step < 62; sample.progress.step++) {
        assert_ok(save_sample(path, &sample, &error), &error);
    }
    uint8_t *data = read_file(path, &size), *previous_data = read_file(previous, &previous_size);
    struct rlimit limit, full;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t room = 0; room < size; room++) {
        full = (struct rlimit){room, limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        pare_status status = save_sample(path, &sample, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_fails(status, PARE_IO, &error, "run: cannot write: File too large");
        assert_int_equal(count_folder(folder), 2);
    }
    signal(SIGXFSZ, SIG_DFL);
    assert_same_bytes(path, data, size);
    assert_same_bytes(previous, previous_data, previous_size);
    pare_free(data);
    pare_free(previous_data);
}

static void places_that_cannot_be_written(void **state) {
    (void)state;
    checkpoint_sample sample, read;
    pare_error error = {0};
    char path[4300], name[300];
    make_checkpoint_sample(&sample);
    make_checkpoint_sample(&read);
    snprintf(path, sizeof path, "%s/missing/run", test_folder());
    assert_fails(save_sample(path, &sample, &error), PARE_IO, &error, "No such file or directory");
    assert_fails(load_sample(path, &read, &error), PARE_IO, &error, "cannot open: No such file or directory");
    assert_fails(save_sample("/dev/full", &sample, &error), PARE_IO, &error, "expected a regular file");
    assert_fails(load_sample("/dev/null", &read, &error), PARE_BAD_INPUT, &error, "expected a regular file");
    memset(name, 'n', 247);
    name[247] = '\0';
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    assert_fails(save_sample(path, &sample, &error), PARE_IO, &error, "which leaves room for .previous");
    /* A folder where the one before should go: both places stay as they are. */
    const char *folder = new_folder("taken");
    snprintf(path, sizeof path, "%s/run", folder);
    sample.progress.step = 60;
    assert_ok(save_sample(path, &sample, &error), &error);
    snprintf(path, sizeof path, "%s/run.previous", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/run", folder);
    sample.progress.step = 61;
    assert_fails(save_sample(path, &sample, &error), PARE_IO, &error, "Is a directory");
    assert_ok(load_sample(path, &read, &error), &error);
    assert_int_equal(read.progress.step, 60);
    assert_int_equal(count_folder(folder), 2);
}

/* What a killed writer left is removed by the next one. */
static void row_91_a_stale_temporary_file(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    const char *folder = new_folder("stale");
    char path[4200], stale[4300];
    snprintf(path, sizeof path, "%s/run", folder);
    snprintf(stale, sizeof stale, "%s/.run.123-0.pare-tmp", folder);
    make_checkpoint_sample(&sample);
    put_file(stale, (const uint8_t *)"half", 4);
    assert_ok(save_sample(path, &sample, &error), &error);
    assert_int_equal(count_folder(folder), 1);
}

/* --- a process that is killed, or whose calls fail, at each system call ---------------- */

enum { SAVED_OLDER = 60, SAVED_OLD = 61, SAVED_NEW = 62, REFUSED = 99 };

typedef struct scene {
    char folder[4200], path[4300], previous[4400];
} scene;

static void save_step(const char *path, uint64_t step) {
    checkpoint_sample sample;
    pare_error error = {0};
    make_checkpoint_sample(&sample);
    sample.progress.step = step;
    assert_ok(save_sample(path, &sample, &error), &error);
}

static void set_scene(scene *s, const char *name) {
    snprintf(s->folder, sizeof s->folder, "%s", new_folder(name));
    snprintf(s->path, sizeof s->path, "%s/run", s->folder);
    snprintf(s->previous, sizeof s->previous, "%s.previous", s->path);
    save_step(s->path, SAVED_OLDER);
    save_step(s->path, SAVED_OLD);
}

/* Step of the checkpoint at `path`; 0 where it cannot be read. */
static uint64_t step_of(const char *path) {
    checkpoint_sample sample;
    make_checkpoint_sample(&sample);
    return load_sample(path, &sample, NULL) == PARE_OK ? sample.progress.step : 0;
}

/* A child that waits to be traced, saves, and exits with the status of that. */
static pid_t start_saving(const scene *s) {
    checkpoint_sample sample;
    make_checkpoint_sample(&sample);
    sample.progress.step = SAVED_NEW;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(REFUSED);
        }
        raise(SIGSTOP);
        _exit((int)save_sample(s->path, &sample, NULL));
    }
    int status;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), REFUSED);
        return 0; /* tracing is forbidden here */
    }
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)), 0);
    return child;
}

/* Goes on to the next entry to or return from a system call; false at the end of the process. */
static bool next_stop(pid_t child, int *status) {
    do {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, status, 0), child);
    } while (WIFSTOPPED(*status) && WSTOPSIG(*status) != (SIGTRAP | 0x80));
    return WIFSTOPPED(*status);
}

/* Kills a save at its n-th stop; false where it had ended before. */
static bool kill_at(const scene *s, int n, bool *refused) {
    int status;
    pid_t child = start_saving(s);
    *refused = child == 0;
    for (int i = 0; i < n && !*refused; i++) {
        if (!next_stop(child, &status)) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == PARE_OK);
            return false;
        }
    }
    if (!*refused) {
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    return true;
}

static void fault_9_killed_at_each_system_call(void **state) {
    (void)state;
    int killed = 0, seen_old = 0, seen_new = 0;
    bool refused = false;
    scene s;
    set_scene(&s, "killed");
    while (kill_at(&s, killed + 1, &refused)) {
        if (refused) {
            skip();
        }
        uint64_t now = step_of(s.path), before = step_of(s.previous);
        assert_true((now == SAVED_OLD && before == SAVED_OLDER) ||
                    (now == SAVED_NEW && (before == SAVED_OLDER || before == SAVED_OLD)));
        seen_old += now == SAVED_OLD;
        seen_new += now == SAVED_NEW;
        /* The next saves work and clean up. */
        save_step(s.path, SAVED_OLDER);
        save_step(s.path, SAVED_OLD);
        assert_int_equal(count_folder(s.folder), 2);
        killed++;
    }
    assert_true(seen_old > 10 && seen_new > 2);
    assert_int_equal(step_of(s.path), SAVED_NEW);
    assert_int_equal(step_of(s.previous), SAVED_OLD);
}

#if defined(__x86_64__)
/* Lets the n-th of the calls that write fail with `reason`. Returns the status of the save, or -1 where there were
 * fewer calls. */
static int fail_call(const scene *s, int n, int reason, long *number) {
    static const long calls[] = {SYS_openat, SYS_write, SYS_fsync,    SYS_close,
                                 SYS_linkat, SYS_link,  SYS_renameat, SYS_renameat2};
    struct user_regs_struct registers;
    int status, seen = 0;
    pid_t child = start_saving(s);
    while (child != 0 && next_stop(child, &status)) {
        assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
        long call = (long)registers.orig_rax;
        bool counts = false;
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            counts = counts || call == calls[i];
        }
        seen += counts;
        bool chosen = counts && seen == n;
        if (chosen) {
            *number = call;
            registers.orig_rax = (unsigned long long)-1; /* no such call: it returns at once */
            assert_int_equal(ptrace(PTRACE_SETREGS, child, NULL, &registers), 0);
        }
        if (!next_stop(child, &status)) {
            break;
        }
        if (chosen) {
            assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
            registers.rax = (unsigned long long)-reason;
            assert_int_equal(ptrace(PTRACE_SETREGS, child, NULL, &registers), 0);
        }
    }
    if (child == 0) {
        return REFUSED;
    }
    assert_true(WIFEXITED(status));
    return seen < n ? -1 : WEXITSTATUS(status);
}

static void fault_6_each_call_that_writes_fails(void **state) {
    (void)state;
    static const int reasons[] = {ENOSPC, EINTR};
    scene s;
    int refusals = 0, links = 0;
    set_scene(&s, "failing");
    for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++) {
        for (int n = 1;; n++) {
            long number = 0;
            save_step(s.path, SAVED_OLDER);
            save_step(s.path, SAVED_OLD);
            int status = fail_call(&s, n, reasons[r], &number);
            if (status == REFUSED) {
                skip();
            }
            if (status == -1) {
                assert_true(n > 8);
                break;
            }
            uint64_t now = step_of(s.path), before = step_of(s.previous);
            bool untouched = now == SAVED_OLD && before == SAVED_OLDER;
            bool replaced = now == SAVED_NEW && before == SAVED_OLD;
            /* Only where the folder itself could not be synced the names are the new ones already. */
            assert_true(status == PARE_OK ? replaced
                                          : status == PARE_IO && (untouched || (number == SYS_fsync && replaced)));
            assert_true(reasons[r] != EINTR || number == SYS_linkat || number == SYS_renameat || status == PARE_OK);
            assert_int_equal(count_folder(s.folder), 2);
            refusals += status == PARE_IO;
            links += number == SYS_linkat && status == PARE_OK; /* no hard links: the old file is moved */
        }
    }
    assert_true(refusals >= 6);
    assert_int_equal(links, sizeof reasons / sizeof *reasons);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_two_are_kept),
        cmocka_unit_test(row_80_a_full_disk_leaves_both_files),
        cmocka_unit_test(places_that_cannot_be_written),
        cmocka_unit_test(row_91_a_stale_temporary_file),
        cmocka_unit_test(fault_9_killed_at_each_system_call),
#if defined(__x86_64__)
        cmocka_unit_test(fault_6_each_call_that_writes_fails),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
