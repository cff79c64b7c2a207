/* The door of search: the index is public (akin.h, part 10). */
#ifndef AK_SEARCH_SEARCH_H
#define AK_SEARCH_SEARCH_H

#include "features/features.h"
#include "kernels/kernels.h"
#include "model/model.h"

#endif
