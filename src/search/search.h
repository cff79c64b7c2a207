/* The door of search: the index is public (akin.h, part 10); here is what the library itself needs
   besides. */
#ifndef AK_SEARCH_SEARCH_H
#define AK_SEARCH_SEARCH_H

#include "kernels/kernels.h"

/* Where the model is whose vectors the index holds; NULL: not known. The text is copied. */
akin_status ak_index_set_model(akin_index *index, const char *path, akin_error *error);
const char *ak_index_model(const akin_index *index);

#endif
