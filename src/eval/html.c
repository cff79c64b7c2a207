/* One self-contained page: its style is in it, its charts are SVG in it, nothing is fetched and
   nothing runs. Colours follow the reader's choice of light or dark; what gnuplot draws in black is
   drawn in the text's colour. */
#include "eval/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ak_html_printf(ak_page *page, const char *format, ...)
{
    char piece[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof piece)
        page->html.failed = true;
    else
        ak_text_add(&page->html, piece, (size_t)length);
}

/* ---- text ---- */

static const char *entity(uint32_t point)
{
    switch (point) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return " ";
    default: /* other control characters have no place in HTML */
        return point < 0x20 || (point >= 0x7f && point < 0xa0) ? "\uFFFD" : NULL;
    }
}

void ak_html_text(ak_page *page, const char *text, size_t size, int64_t most)
{
    int64_t count = 0;
    for (size_t i = 0; i < size; count++) {
        uint32_t point;
        if (most && count == most) {
            ak_html_printf(page, "…");
            return;
        }
        int length = ak_utf8_decode(text + i, size - i, &point);
        const char *instead = length ? entity(point) : "\uFFFD";
        length = length ? length : 1;
        if (instead)
            ak_text_add(&page->html, instead, strlen(instead));
        else
            ak_text_add(&page->html, text + i, (size_t)length);
        i += (size_t)length;
    }
}

/* By whole numbers: printf would write the locale's comma. */
void ak_html_number(ak_page *page, double value, int digits, bool sign)
{
    double scale = pow(10, digits);
    if (!(fabs(value) < 1e15 / scale)) { /* NaN too */
        ak_html_printf(page, "<td class=n>–</td>");
        return;
    }
    long long scaled = llround(fabs(value) * scale), one = (long long)scale;
    const char *minus = value < 0 && scaled ? "−" : sign && scaled ? "+" : "";
    ak_html_printf(page, "<td class=n>%s%lld", minus, scaled / one);
    if (digits)
        ak_html_printf(page, ".%0*lld", digits, scaled % one);
    ak_html_printf(page, "</td>");
}

/* ---- charts ---- */

/* From <svg on, without the title that browsers show as a tip. */
static void add_svg(ak_page *page, const char *svg, size_t size)
{
    const char *end = svg + size, *start = memmem(svg, size, "<svg", 4);
    if (!start)
        return;
    const char *title = memmem(start, (size_t)(end - start), "<title>", 7);
    const char *after = title ? memmem(title, (size_t)(end - title), "</desc>", 7) : NULL;
    if (after) {
        ak_text_add(&page->html, start, (size_t)(title - start));
        start = after + strlen("</desc>");
    }
    ak_text_add(&page->html, start, (size_t)(end - start));
}

bool ak_html_chart(ak_page *page, const ak_text *script, int width, int height, const char *caption)
{
    static const char svg_start[] = "<svg";
    akin_object svg = {NULL, 0};
    if (!page->draw || script->failed)
        return false;
    ak_arena_reset(page->arena);
    const char *whole =
        ak_arena_format(page->arena,
                        "set terminal svg size %d,%d noenhanced font 'sans-serif,13'\n"
                        "set border 3 lw 0.6\nset tics nomirror\n%s",
                        width, height, script->data);
    if (!whole || !page->draw(page->draw_user, whole, page->arena, &svg) || !svg.data ||
        !memmem(svg.data, svg.size, svg_start, strlen(svg_start)))
        return false;
    ak_html_printf(page, "<figure>");
    add_svg(page, svg.data, svg.size);
    ak_html_printf(page, "<figcaption>");
    ak_html_text(page, caption, strlen(caption), 0);
    ak_html_printf(page, "</figcaption></figure>\n");
    return true;
}

/* ---- the page ---- */

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1c2430;--soft:#5b6675;--line:#d8dee6;"
    "--shade:#f4f6f9;--good:#0a7d4f;--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14181f;--ink:#e4e8ee;--soft:#9aa5b4;"
    "--line:#333c49;--shade:#1c222b;--good:#4ccb92;--bad:#ff8a80}}\n"
    "body{margin:0 auto;padding:2rem 1.2rem 4rem;max-width:68rem;background:var(--paper);"
    "color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.7rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.6rem 0 .6rem;"
    "border-bottom:1px solid var(--line);padding-bottom:.3rem}\n"
    "p{margin:.5rem 0;max-width:46rem}.soft,figcaption,summary{color:var(--soft)}"
    ".good{color:var(--good)}.bad{color:var(--bad)}\n"
    "table{border-collapse:collapse;margin:.6rem 0;font-size:.92rem}"
    "th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line)}\n"
    "th{font-weight:600;color:var(--soft)}.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}td.t{overflow-wrap:anywhere}\n"
    ".row{display:grid;grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));gap:1rem}"
    "@media(max-width:30rem){.row{grid-template-columns:1fr}"
    "table{display:block;overflow-x:auto}}\n"
    "figure{margin:.6rem 0}figure svg{max-width:100%;height:auto}figcaption{font-size:.88rem}\n"
    "svg g[color=black]{color:var(--ink)}svg [stroke=black]{stroke:var(--ink)}"
    "svg [fill=black]{fill:var(--ink)}svg .gridline{stroke:var(--line);stroke-dasharray:none}\n"
    "pre{overflow-x:auto;font-size:.85rem;line-height:1.35}details{margin:.6rem "
    "0}summary{cursor:pointer}"
    ".query{background:var(--shade);border:1px solid var(--line);border-radius:.5rem;"
    "padding:.7rem 1rem;margin:.7rem 0}.query p{max-width:none;margin:.1rem "
    "0;overflow-wrap:anywhere}\n"
    ".query table{margin:.4rem 0 0;width:100%}.query tr:last-child td{border:0}"
    ".dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}\n";

void ak_html_begin(ak_page *page, const char *title)
{
    ak_html_printf(page, "<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n"
                         "<meta name=viewport content=\"width=device-width\">\n<title>");
    ak_html_text(page, title, strlen(title), 0);
    ak_html_printf(page, "</title>\n<style>\n");
    ak_text_add(&page->html, style, sizeof style - 1);
    ak_html_printf(page, "</style>\n<body>\n");
}

void ak_html_end(ak_page *page)
{
    ak_html_printf(page, "<p class=soft>Made by akin %s.</p>\n</body>\n</html>\n", AKIN_VERSION);
}
