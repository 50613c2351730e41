#include "train/data/ziggurat.h"

#include <math.h>

/* For 128 layers: where the tail begins, and the area of each. */
#define TAIL 3.442619855899
#define AREA 9.91256303526217e-3

static double bell(double x) {
    return exp(-x * x / 2);
}

void pare_ziggurat_init(pare_ziggurat *ziggurat) {
    double *edge = ziggurat->edge;
    edge[0] = AREA / bell(TAIL); /* of a box as large as the lowest layer with the tail */
    edge[1] = TAIL;
    for (int i = 2; i < PARE_ZIGGURAT_LAYERS; i++) {
        edge[i] = sqrt(-2 * log(AREA / edge[i - 1] + bell(edge[i - 1])));
    }
    edge[PARE_ZIGGURAT_LAYERS] = 0;
    for (int i = 0; i < PARE_ZIGGURAT_LAYERS; i++) {
        ziggurat->inner[i] = edge[i + 1] / edge[i];
    }
}

/* Beyond the last edge (Marsaglia 1964). */
static double draw_tail(pare_random *random) {
    double beyond, other;
    do {
        beyond = -log(1 - pare_random_unit(random)) / TAIL;
        other = -log(1 - pare_random_unit(random));
    } while (2 * other < beyond * beyond);
    return TAIL + beyond;
}

static double draw(const pare_ziggurat *z, pare_random *random) {
    for (;;) {
        uint64_t bits = pare_random_u64(random);
        double across = (double)(bits >> 11) * 0x1p-52 - 1; /* in [-1, 1) */
        size_t layer = bits % PARE_ZIGGURAT_LAYERS;         /* other bits than those above */
        double x = across * z->edge[layer];
        if (fabs(across) < z->inner[layer]) {
            return x;
        }
        if (layer == 0) {
            return across < 0 ? -draw_tail(random) : draw_tail(random);
        }
        double low = bell(z->edge[layer]), high = bell(z->edge[layer + 1]);
        if (low + pare_random_unit(random) * (high - low) < bell(x)) {
            return x;
        }
    }
}

void pare_ziggurat_add(const pare_ziggurat *ziggurat, float *values, size_t count, double deviation,
                       pare_random *random) {
    for (size_t i = 0; i < count; i++) {
        values[i] += (float)(deviation * draw(ziggurat, random));
    }
}
