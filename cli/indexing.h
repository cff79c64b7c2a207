/* From a corpus to an index, for the commands index and search. */
#ifndef AKIN_CLI_INDEXING_H
#define AKIN_CLI_INDEXING_H

#include "cli.h"

/* Vectors of `space`. show: the members that are kept of a record to be shown, as in
   "name,title"; NULL: the object. */
akin_status cli_build_index(akin_index **out, akin_context *context, const akin_model *model,
                            akin_space space, const char *corpus, const char *field,
                            const char *show, akin_error *error);

#endif
