/* Reading whole regular files and replacing files atomically. */
#ifndef PARE_FILE_H
#define PARE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pare/status.h"

/* Reads a regular file of at most `limit` bytes into a block that the caller
 * frees with pare_free. Opens without blocking and refuses directories, FIFOs,
 * sockets and devices (PARE_BAD_INPUT), a file over the limit (PARE_LIMIT) and
 * one whose size changes while it is read (PARE_BAD_INPUT). */
pare_status pare_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, pare_error *error);

/* Opens a regular file for reading under the same rules; the caller closes the
 * descriptor. `size` receives its bytes. */
pare_status pare_file_open(const char *path, int *descriptor, uint64_t *size, pare_error *error);

/* Reads exactly `bytes` bytes at `offset` (EINTR and short reads retried). */
pare_status pare_file_read_at(int descriptor, const char *path, uint64_t offset, void *data, size_t bytes,
                              pare_error *error);

/* An output that becomes visible only when it is whole: written to a temporary
 * file in the same folder, fsynced, renamed over `path`, and the folder
 * fsynced. */
typedef struct pare_output pare_output;

/* PARE_IO when the folder cannot be written. */
pare_status pare_output_open(const char *path, pare_output **output, pare_error *error);
pare_status pare_output_write(pare_output *output, const void *data, size_t bytes, pare_error *error);
/* Makes the file visible and frees `output`, also when it fails. */
pare_status pare_output_commit(pare_output *output, pare_error *error);
/* As pare_output_commit; a file that was at `path` is kept as `path` + `ending`, in
 * place of the one there. At every moment `path` names a whole file, the old or the
 * new one (on file systems without hard links: it or the kept one does). */
pare_status pare_output_commit_keeping(pare_output *output, const char *ending, pare_error *error);
/* Drops the temporary file and frees `output`. Accepts NULL. */
void pare_output_discard(pare_output *output);

/* pare_output_open + write + commit. */
pare_status pare_file_replace(const char *path, const void *data, size_t bytes, pare_error *error);

/* True when both paths name the same existing file (device and inode). */
bool pare_file_same(const char *a, const char *b);

#endif
