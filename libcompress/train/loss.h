/* Losses and their gradients on plain row-major arrays.
 *
 * Each function returns the mean over `samples` as a double and, where
 * `gradient` is not NULL, adds weight × ∂loss/∂x to it. All arrays belong to
 * the caller. Sums run in a fixed order in double, so results do not depend on
 * the number of threads. */
#ifndef PARE_LOSS_H
#define PARE_LOSS_H

#include <stddef.h>

/* logits [samples, classes]; targets [samples, classes], each row a
 * distribution (one-hot, smoothed or mixed); importance [samples] or NULL
 * (class weights; the mean divides by their sum, as PyTorch does). */
double pare_loss_cross_entropy(const float *logits, const float *targets, const float *importance, size_t samples,
                               size_t classes, float weight, float *gradient);
/* Element-wise losses of outputs and targets [samples, width]; mean over all elements. */
double pare_loss_mse(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                     float *gradient);
double pare_loss_l1(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                    float *gradient);
/* Huber 1964; quadratic within ±delta > 0. */
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
 * beta × NCKD, times temperature²; labels [samples] name the target class. */
double pare_loss_distill_decoupled(const float *student, const float *teacher, const int *labels, size_t samples,
                                   size_t classes, float temperature, float alpha, float beta, float weight,
                                   float *gradient);
/* Attention transfer (Zagoruyko and Komodakis 2017, eq. 2, p = 2): squared
 * distance of the L2-normalized maps of channel-wise mean squares, mean over samples and positions.
 * student [samples, student_channels, positions], teacher [samples, teacher_channels, positions]. */
double pare_loss_attention(const float *student, size_t student_channels, const float *teacher, size_t teacher_channels,
                           size_t samples, size_t positions, float weight, float *gradient);

#endif
