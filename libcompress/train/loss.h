/* Losses and their gradients on plain row-major arrays.
 *
 * Each function returns the mean over `samples` as a double and, where
 * `gradient` is not NULL, adds weight × ∂loss/∂x to it. All arrays belong to
 * the caller; `gradient` overlaps none of the others. Samples, classes, widths, channels and positions are at
 * least 1. A value that is not finite makes the loss NaN. Sums run in a fixed order in double, so results do not
 * depend on the number of threads.
 *
 * A hint (FitNets, Romero et al. 2015, eq. 3) is pare_loss_mse of the projected student's and the teacher's features.
 */
#ifndef PARE_LOSS_H
#define PARE_LOSS_H

#include <stddef.h>

/* logits [samples, classes]; targets [samples, classes], each row a
 * distribution (one-hot, smoothed or mixed); importance [samples] or NULL
 * (class weights, not negative; the mean divides by their sum, as PyTorch does).
 * Where they are all 0, nothing has a label: 0, and no gradient. */
double pare_loss_cross_entropy(const float *logits, const float *targets, const float *importance, size_t samples,
                               size_t classes, float weight, float *gradient);
/* Element-wise losses of outputs and targets [samples, width]; mean over all elements. */
double pare_loss_mse(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                     float *gradient);
double pare_loss_l1(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                    float *gradient);
/* Huber 1964; d² / 2 within ±delta > 0, delta (|d| - delta / 2) outside. */
double pare_loss_huber(const float *outputs, const float *targets, size_t samples, size_t width, float delta,
                       float weight, float *gradient);
/* Of logits (before the sigmoid); targets in [0, 1]. */
double pare_loss_binary_cross_entropy(const float *logits, const float *targets, size_t samples, size_t width,
                                      float weight, float *gradient);

/* Distillation by logits (Hinton, Vinyals and Dean 2015): temperature² ×
 * KL(softmax(teacher / temperature) || softmax(student / temperature)). */
double pare_loss_distill_logits(const float *student, const float *teacher, size_t samples, size_t classes,
                                float temperature, float weight, float *gradient);
/* Decoupled knowledge distillation (Zhao et al. 2022, eq. 7): alpha × TCKD +
 * beta × NCKD, times temperature²; labels [samples] name the target class. A
 * sample whose label is not in [0, classes) is left out, also of the mean; with
 * none left, and with one class, the loss is 0. */
double pare_loss_distill_decoupled(const float *student, const float *teacher, const int *labels, size_t samples,
                                   size_t classes, float temperature, float alpha, float beta, float weight,
                                   float *gradient);
/* Attention transfer (Zagoruyko and Komodakis 2017, eq. 2, p = 2): squared
 * distance of the L2-normalized maps of channel-wise mean squares, mean over
 * samples and positions (as the authors' code; a norm counts as 1e-12 at least).
 * student [samples, student_channels, positions], teacher [samples, teacher_channels, positions]. */
double pare_loss_attention(const float *student, size_t student_channels, const float *teacher, size_t teacher_channels,
                           size_t samples, size_t positions, float weight, float *gradient);

#endif
