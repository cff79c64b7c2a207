/* The normalizers of tokenizer.json but BERT's, which has a table of its own (normalizer.h): steps
   that are taken one after the other. */
#ifndef AK_TEXT_STEPS_H
#define AK_TEXT_STEPS_H

#include "text/charsmap.h"
#include "text/forms.h"

typedef enum ak_step_kind {
    AK_STEP_FORM,
    AK_STEP_CHARSMAP,
    AK_STEP_LOWERCASE,
    AK_STEP_STRIP,       /* spaces of all kinds at the ends */
    AK_STEP_REPLACE,     /* every `from` becomes `to` */
    AK_STEP_JOIN_SPACES, /* two ' ' or more become one `to` */
} ak_step_kind;

typedef struct ak_step ak_step;
struct ak_step {
    ak_step_kind kind;
    ak_form form;
    const ak_charsmap *charsmap;
    bool left, right; /* where to strip */
    const char *from, *to;
    ak_step *next;
};

/* Valid UTF-8 after all steps, in the arena or `text` itself; NULL when out of memory. */
const char *ak_steps_apply(const ak_step *first, const char *text, size_t size, size_t *new_size,
                           akin_arena *arena);
ak_hash ak_steps_hash(const ak_step *first);

#endif
