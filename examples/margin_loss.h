/* A loss of one's own, used by own_loss.c in a program and by plugin.c in the command: a pair's
   vectors should have a dot product of at least `margin`; L = mean of max(0, margin - a.b). */
#ifndef MARGIN_LOSS_H
#define MARGIN_LOSS_H

#include <akin.h>

extern const akin_loss_class margin_loss;

#endif
