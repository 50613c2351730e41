/* Standard normal numbers by the million: several times as quick as
 * pare_random_normal. Private to train/. */
#ifndef PARE_ZIGGURAT_H
#define PARE_ZIGGURAT_H

#include "pare/random.h"

#define PARE_ZIGGURAT_LAYERS 128

/* The ziggurat of Marsaglia and Tsang (2000) in double precision, as Doornik
 * (2005, ZIGNOR) draws from it: layers of one area below exp(-x²/2). */
typedef struct pare_ziggurat {
    double edge[PARE_ZIGGURAT_LAYERS + 1]; /* where a layer ends; falling to 0 */
    double inner[PARE_ZIGGURAT_LAYERS];    /* the share of a layer that lies wholly below the curve */
} pare_ziggurat;

void pare_ziggurat_init(pare_ziggurat *ziggurat);
/* Adds deviation × N(0, 1) to each of `count` numbers. */
void pare_ziggurat_add(const pare_ziggurat *ziggurat, float *values, size_t count, double deviation,
                       pare_random *random);

#endif
