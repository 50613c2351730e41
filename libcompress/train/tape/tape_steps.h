/* What the files of steps share. */
#ifndef PARE_TAPE_STEPS_H
#define PARE_TAPE_STEPS_H

#include "train/tape/tape_plan.h"

/* In front of a loop over independent elements: threads where there is work for them. */
#define TAPE_PRAGMA(text) _Pragma(#text)
#define TAPE_PARALLEL(count) TAPE_PRAGMA(omp parallel for simd schedule(static) if ((count) > 16384))

/* A leaf loop that the compiler may build once more for AVX2. Multiplications and additions stay separate
 * (-ffp-contract=off), so both give the same bits. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define TAPE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TAPE_CLONES
#endif

/* The one step that reads the tensor; NULL where it has several readers or is read from outside. */
tape_step *tape_only_reader(pare_tape *tape, uint32_t tensor);
/* Nobody may overwrite the tensor. */
void tape_pin(pare_tape *tape, uint32_t tensor);
/* True where a Relu alone reads the tensor: the caller applies it, and its step does nothing forwards; backwards
 * neither, with `both_ways`. */
bool tape_absorb_relu(pare_tape *tape, uint32_t tensor, bool both_ways);
/* The Add that alone reads the tensor, where its other operand is of the same shape and lies in this layout already:
 * the caller computes the sum of the tensor and `added` into `sum`, and its step does nothing forwards. NULL: there is
 * none, or memory ran out. */
tape_step *tape_absorb_add(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *added,
                           tape_place *sum, pare_error *error);
/* The step that is oneDNN's resampling, of pare_resize_attrs; NULL in a build without. */
const tape_step_class *tape_resampling_class(void);
pare_status tape_unary_forward(pare_tape *tape, tape_step *step, pare_error *error);

/* How two operands that broadcast to y are walked: rows of y, each with a step of 0 or 1 in each operand. */
typedef struct tape_broadcast {
    size_t rows, row, step_a, step_b;
    int32_t rank; /* of the axes that `rows` counts */
    size_t dims[PARE_MAX_RANK], stride_a[PARE_MAX_RANK], stride_b[PARE_MAX_RANK];
} tape_broadcast;
/* Strides of an operand along y's axes: 0 where it broadcasts. */
void tape_broadcast_strides(const pare_shape *operand, const pare_shape *y, size_t *strides);
void tape_broadcast_plan(tape_broadcast *walk, const pare_shape *a, const pare_shape *b, const pare_shape *y);
/* Operands of the same `count` elements. */
void tape_broadcast_flat(tape_broadcast *walk, size_t count);
/* First elements of row `r` in a and b. */
void tape_broadcast_row(const tape_broadcast *walk, size_t r, size_t *at_a, size_t *at_b);

#endif
