/* Part of the ONNX targets' mutators. */
#ifndef PARE_ONNX_GRAFT_H
#define PARE_ONNX_GRAFT_H

#include <stddef.h>
#include <stdint.h>

/* Writes the first model with the second's first nodes behind its own, fed by its
 * values, to `out`; 0 where either is no model or there is no room. `random` gives
 * 64 bits a call. */
size_t onnx_graft(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out, size_t max_size,
                  uint64_t (*random)(void));

#endif
