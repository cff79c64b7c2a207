/* The normal forms of Unicode (UAX 15), as of its version 9, which `tokenizers` has. */
#ifndef AK_TEXT_FORMS_H
#define AK_TEXT_FORMS_H

#include "base/base.h"

typedef enum ak_form { AK_NFC, AK_NFD, AK_NFKC, AK_NFKD } ak_form;

/* Valid UTF-8 in that form, in the arena; NULL when out of memory. ASCII text is returned itself.
 */
const char *ak_form_apply(ak_form form, const char *text, size_t size, size_t *new_size,
                          akin_arena *arena);

#endif
