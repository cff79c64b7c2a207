/* The door of search: the index is public (akin.h, part 10); here is what the library itself needs
   besides. */
#ifndef AK_SEARCH_SEARCH_H
#define AK_SEARCH_SEARCH_H

#include "kernels/kernels.h"


#endif
