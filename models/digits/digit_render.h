/* One drawn digit as gray pixels. */
#ifndef PARE_DIGIT_RENDER_H
#define PARE_DIGIT_RENDER_H

#include <stdint.h>

#include "digit_styles.h"
#include "pare/random.h"

#define DIGIT_SIDE 28

/* Draws `digit` in one of its styles, white on black: bent strokes, a random
 * affine map, an elastic distortion (Simard, Steinkraus and Platt 2003, section
 * 2), a pen whose width varies, a slight blur and noise. */
void digit_render(int digit, pare_random *random, uint8_t pixels[DIGIT_SIDE * DIGIT_SIDE]);

#endif
