/* The frequencies of the entropy codec: how they are chosen, stored and read.
 * Private to the container library; CONTAINER.md, "Entropy", is the definition. */
#ifndef PARE_ENTROPY_TABLE_H
#define PARE_ENTROPY_TABLE_H

#include "pare/bytes.h"
#include "pare/status.h"

enum { ENTROPY_SCALE_BITS = 14, ENTROPY_SCALE = 1 << ENTROPY_SCALE_BITS, ENTROPY_SYMBOLS = 256 };

/* Frequencies that sum to ENTROPY_SCALE, above 0 for each byte value that occurs, and
 * their stored form, whichever of the two forms gives fewer bytes with the data
 * that `counts` counts. `total` > 0 is the sum of the counts. */
void entropy_table_choose(const size_t *counts, size_t total, uint32_t *frequencies, pare_byte_buffer *stored);

/* Reads what entropy_table_choose stored. PARE_BAD_INPUT. */
pare_status entropy_table_read(pare_reader *reader, uint32_t *frequencies, pare_error *error);

#endif
