/* An HTML page in pieces. Text that was not written by akin goes through ak_html_text. */
#ifndef AK_EVAL_HTML_H
#define AK_EVAL_HTML_H

#include "base/base.h"

/* A page under way, and who draws its charts. */
typedef struct ak_page {
    ak_text html;
    akin_chart_function *draw; /* NULL: nobody */
    void *draw_user;
    akin_arena *arena; /* of one chart */
} ak_page;

void ak_html_printf(ak_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The bytes with <, >, &, " and ' as entities, what is no UTF-8 and no printable character
   replaced, and "…" after `most` characters (0: all of it). */
void ak_html_text(ak_page *page, const char *text, size_t size, int64_t most);
/* A table cell with a number of `digits` digits after the point, or a dash for NaN. */
void ak_html_number(ak_page *page, double value, int digits, bool sign);

/* A figure with a caption; false where nobody could draw it. The script is gnuplot's, without the
   terminal's setting: that is added, with a size. */
bool ak_html_chart(ak_page *page, const ak_text *script, int width, int height,
                   const char *caption);

void ak_html_begin(ak_page *page, const char *title);
void ak_html_end(ak_page *page);

#endif
