/* From words on a command line to options of training. */
#ifndef PARE_TRAIN_OPTIONS_H
#define PARE_TRAIN_OPTIONS_H

#include "pare/train.h"

/* "flip,crop=4,mixup=0.2" */
pare_status parse_augment(const char *text, pare_augment *augment, pare_error *error);
/* "0.5,0.75" into at most `capacity` numbers. */
pare_status parse_numbers(const char *option, const char *text, double *numbers, size_t capacity, size_t *count,
                          pare_error *error);
/* Of "balanced": each class's share of the samples, inverted, for as many classes as the network has; else the list
 * itself. *weights is freed with pare_free. */
pare_status parse_class_weights(const char *text, pare_dataset *data, int32_t label_offset, size_t classes_of_network,
                                float **weights, size_t *count, pare_error *error);

#endif
