/* The sections of a report, a file each. */
#ifndef AK_EVAL_REPORT_H
#define AK_EVAL_REPORT_H

#include "eval/evaluator.h"
#include "eval/html.h"

#define AK_BLUE "#3b82f6"
#define AK_AMBER "#f59e0b"
#define AK_GREEN "#10b981"
#define AK_RED "#ef4444"

typedef struct ak_report {
    ak_page page;
    ak_evaluator evaluator; /* after its pass */
    const ak_table *table;
    ak_contents contents;
    akin_report_options options;
    const char *title;
    akin_arena *arena; /* of the report */
} ak_report;

/* report_curves.c: figures of every epoch, from the model's training record */
akin_status ak_report_curves(ak_report *r, akin_error *error);
/* report_similarities.c: of relevant candidates and of others, before and after */
akin_status ak_report_similarities(ak_report *r, akin_error *error);
/* report_map.c: principal components, before and after */
akin_status ak_report_map(ak_report *r, akin_error *error);
/* report_worst.c: the queries whose first relevant candidate is furthest down */
akin_status ak_report_worst(ak_report *r, akin_error *error);

/* ---- shared ---- */

/* The object's text on the page, `most` characters of it. */
akin_status ak_report_object(ak_report *r, int64_t content, int64_t most, akin_error *error);
/* The page as it stands, where a piece could not be added for want of memory. */
akin_status ak_report_check(const ak_report *r, akin_error *error);

#endif
