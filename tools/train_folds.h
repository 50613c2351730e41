/* pare-train --folds K. */
#ifndef PARE_TRAIN_FOLDS_H
#define PARE_TRAIN_FOLDS_H

#include "pare/train.h"

/* Trains --folds times and reports; `distill` may be NULL. */
pare_status train_folds(const char *path, const pare_distill_options *distill, pare_error *error);

/* --- train_cli.c ---- */
/* Trains once, on the whole set (fold -1) or all but a fold; *bytes are those of the output. */
pare_status train_once(const char *path, const pare_distill_options *distill, int64_t fold, pare_train_result *result,
                       size_t *bytes, pare_error *error);

#endif
