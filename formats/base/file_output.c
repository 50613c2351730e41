/* Outputs that replace a file atomically. The temporary file is locked while it
 * lives, so that a later writer can tell one that a killed process left behind
 * (and remove it) from one that another process is still writing. */
#include "pare/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pare/memory.h"

enum { NAME_BYTES = 256, KEPT_OF_NAME = 200, ATTEMPTS = 100 };
static const char suffix[] = ".pare-tmp";

struct pare_output {
    char *path;
    const char *name; /* the last component, within `path` */
    int folder, descriptor;
    bool exists; /* the temporary file */
    char temporary[NAME_BYTES];
};

static pare_status io_failure(pare_error *error, const char *path, const char *what) {
    int reason = errno;
    return pare_fail(error, PARE_IO, "%s: %s: %s", path, what, strerror(reason));
}

static pare_status open_folder(pare_output *output, pare_error *error) {
    char *slash = strrchr(output->path, '/');
    const char *folder = slash == NULL ? "." : slash == output->path ? "/" : output->path;
    output->name = slash == NULL ? output->path : slash + 1;
    if (output->name[0] == '\0' || strcmp(output->name, ".") == 0 || strcmp(output->name, "..") == 0) {
        return pare_fail(error, PARE_IO, "%s: expected the name of a file, found a folder", output->path);
    }
    if (slash != NULL) {
        *slash = '\0';
    }
    do {
        output->folder = open(slash == output->path ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (output->folder < 0 && errno == EINTR);
    int reason = errno;
    if (slash != NULL) {
        *slash = '/';
    }
    errno = reason;
    return output->folder < 0 ? io_failure(error, output->path, "cannot open the folder of the output") : PARE_OK;
}

/* Removes temporary files of this output whose writers are gone. */
static void remove_stale(const pare_output *output) {
    int listed = openat(output->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = listed < 0 ? NULL : fdopendir(listed);
    if (folder == NULL) {
        if (listed >= 0) {
            close(listed);
        }
        return;
    }
    char prefix[NAME_BYTES];
    int prefix_bytes = snprintf(prefix, sizeof prefix, ".%.*s.", KEPT_OF_NAME, output->name);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, (size_t)prefix_bytes) != 0 || length < sizeof suffix ||
            strcmp(entry->d_name + length - (sizeof suffix - 1), suffix) != 0) {
            continue;
        }
        int stale = openat(output->folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat status;
        if (stale >= 0 && fstat(stale, &status) == 0 && S_ISREG(status.st_mode) &&
            flock(stale, LOCK_EX | LOCK_NB) == 0) {
            unlinkat(output->folder, entry->d_name, 0);
        }
        if (stale >= 0) {
            close(stale);
        }
    }
    closedir(folder);
}

static void name_temporary(const pare_output *output, char name[NAME_BYTES]) {
    static atomic_uint counter;
    snprintf(name, NAME_BYTES, ".%.*s.%ld-%u%s", KEPT_OF_NAME, output->name, (long)getpid(),
             atomic_fetch_add(&counter, 1), suffix);
}

/* Creates and locks the temporary file; a name that is taken, or that a cleaner
 * removed between creation and lock, is tried again under the next number. */
static pare_status create_temporary(pare_output *output, mode_t mode, pare_error *error) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        name_temporary(output, output->temporary);
        int created = openat(output->folder, output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (created < 0 && (errno == EEXIST || errno == EINTR)) {
            continue;
        }
        if (created < 0) {
            return io_failure(error, output->path, "cannot create a file in the folder of the output");
        }
        struct stat status;
        /* Some file systems have no locks: then stale files stay, nothing worse. */
        bool lost = flock(created, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!lost && fstat(created, &status) == 0 && status.st_nlink != 0) {
            output->descriptor = created;
            output->exists = true;
            return PARE_OK;
        }
        close(created);
    }
    errno = EEXIST;
    return io_failure(error, output->path, "cannot create a temporary file");
}

pare_status pare_output_open(const char *path, pare_output **output, pare_error *error) {
    pare_status status = PARE_OK;
    size_t bytes = strlen(path) + 1;
    pare_output *opened = pare_alloc_zero(1, sizeof *opened);
    char *copy = pare_alloc(bytes);
    if (opened == NULL || copy == NULL) {
        pare_free(opened);
        pare_free(copy);
        return pare_fail_memory(error, bytes + sizeof *opened);
    }
    memcpy(copy, path, bytes);
    *opened = (pare_output){.path = copy, .folder = -1, .descriptor = -1};
    struct stat present;
    mode_t mode = 0666;
    if (stat(path, &present) == 0) {
        /* Renaming over a device would remove the device. */
        if (!S_ISREG(present.st_mode)) {
            status = pare_fail(error, PARE_IO,
                               "%s: expected a regular file or nothing at the place of the output, "
                               "found %s",
                               path, S_ISDIR(present.st_mode) ? "a folder" : "a device, FIFO or socket");
            goto done;
        }
        mode = present.st_mode & 0777;
    }
    status = open_folder(opened, error);
    if (status == PARE_OK) {
        remove_stale(opened);
        status = create_temporary(opened, mode, error);
    }
done:
    if (status != PARE_OK) {
        pare_output_discard(opened);
        opened = NULL;
    }
    *output = opened;
    return status;
}

pare_status pare_output_write(pare_output *output, const void *data, size_t bytes, pare_error *error) {
    for (size_t done = 0; done < bytes;) {
        ssize_t count = write(output->descriptor, (const char *)data + done, bytes - done);
        if (count < 0 && errno != EINTR) {
            return io_failure(error, output->path, "cannot write");
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    return PARE_OK;
}

static int sync_retried(int descriptor) {
    int result;
    do {
        result = fsync(descriptor);
    } while (result != 0 && errno == EINTR);
    return result;
}

/* Gives the file at the output's place a second, temporary name. False where there is none, or the file system has no
 * hard links, or forbids this one. */
static bool link_present(const pare_output *output, char link[NAME_BYTES]) {
    int linked, attempt = 0;
    do {
        name_temporary(output, link);
        linked = linkat(output->folder, output->name, output->folder, link, 0);
    } while (linked != 0 && errno == EEXIST && ++attempt < ATTEMPTS);
    return linked == 0;
}

static bool give_name(pare_output *output) {
    output->exists = renameat(output->folder, output->temporary, output->folder, output->name) != 0;
    return !output->exists;
}

/* The new file takes its name before the old one takes that of the one before: whatever the three hold, a whole one is
 * at one of the two names at every moment. A failure puts back what was there. */
static pare_status give_names(pare_output *output, const char *ending, pare_error *error) {
    char kept[2 * NAME_BYTES], link[NAME_BYTES];
    snprintf(kept, sizeof kept, "%s%s", output->name, ending);
    bool linked = link_present(output, link);
    bool present = linked || errno != ENOENT;
    bool moved = present && !linked && renameat(output->folder, output->name, output->folder, kept) == 0;
    bool placed = (!present || linked || moved) && give_name(output);
    bool good = placed && (!linked || renameat(output->folder, link, output->folder, kept) == 0);
    if (good) {
        return PARE_OK;
    }
    pare_status status = io_failure(error, output->path, "cannot put the new file here and keep the one before");
    if (moved) {
        renameat(output->folder, kept, output->folder, output->name);
    } else if (linked && (!placed || renameat(output->folder, link, output->folder, output->name) != 0)) {
        unlinkat(output->folder, link, 0);
    }
    return status;
}

/* `ending` as in pare_output_commit_keeping, or NULL. */
static pare_status commit(pare_output *output, const char *ending, pare_error *error) {
    pare_status status = PARE_OK;
    /* A second descriptor keeps the lock until the file has its name. */
    int lock = fcntl(output->descriptor, F_DUPFD_CLOEXEC, 0);
    if (sync_retried(output->descriptor) != 0) {
        status = io_failure(error, output->path, "cannot write to the disk");
        goto done;
    }
    /* After EINTR the descriptor is gone on Linux; fsync has succeeded already. */
    int closed = close(output->descriptor);
    output->descriptor = -1;
    if (closed != 0 && errno != EINTR) {
        status = io_failure(error, output->path, "cannot close");
        goto done;
    }
    if (ending != NULL) {
        status = give_names(output, ending, error);
    } else if (!give_name(output)) {
        status = io_failure(error, output->path, "cannot rename the temporary file");
    }
    if (status != PARE_OK) {
        goto done;
    }
    /* Some file systems cannot sync a folder and say EINVAL. */
    if (sync_retried(output->folder) != 0 && errno != EINVAL && errno != EROFS) {
        status = io_failure(error, output->path, "cannot write the folder to the disk");
    }
done:
    if (lock >= 0) {
        close(lock);
    }
    pare_output_discard(output);
    return status;
}

pare_status pare_output_commit(pare_output *output, pare_error *error) {
    return commit(output, NULL, error);
}

pare_status pare_output_commit_keeping(pare_output *output, const char *ending, pare_error *error) {
    return commit(output, ending, error);
}

void pare_output_discard(pare_output *output) {
    if (output == NULL) {
        return;
    }
    if (output->exists) {
        unlinkat(output->folder, output->temporary, 0);
    }
    if (output->descriptor >= 0) {
        close(output->descriptor);
    }
    if (output->folder >= 0) {
        close(output->folder);
    }
    pare_free(output->path);
    pare_free(output);
}

pare_status pare_file_replace(const char *path, const void *data, size_t bytes, pare_error *error) {
    pare_output *output;
    PARE_TRY(pare_output_open(path, &output, error));
    pare_status status = pare_output_write(output, data, bytes, error);
    if (status != PARE_OK) {
        pare_output_discard(output);
        return status;
    }
    return pare_output_commit(output, error);
}
