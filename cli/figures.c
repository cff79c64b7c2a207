/* Figures of an evaluation beside the base's, as a table. */
#include "cli.h"

#include <math.h>
#include <string.h>

/* A dash where a figure is not defined. */
static void print_figure(const char *format, double value, double deviation)
{
    char text[64] = "-";
    if (!isnan(value))
        snprintf(text, sizeof text, format, value);
    if (!isnan(value) && !isnan(deviation))
        snprintf(text + strlen(text), sizeof text - strlen(text), " ± %.4f", deviation);
    int width = isnan(deviation) ? 8 : isnan(value) ? 17 : 18; /* ± is two bytes */
    printf(" %*s", width, text);
}

static void print_row(const akin_evaluation_row *row)
{
    printf("%-24s", row->name);
    print_figure("%.4f", row->base, row->base_deviation);
    print_figure("%.4f", row->value, row->deviation);
    if (!isnan(row->difference)) {
        printf("   ");
        print_figure("%+.4f", row->difference, row->difference_deviation);
    }
    if (!isnan(row->low))
        printf("   %+.4f .. %+.4f", row->low, row->high);
    putchar('\n');
}

void cli_print_figures(const akin_evaluation *e, bool repeated)
{
    int width = repeated ? 17 : 8;
    printf("%-24s %*s %*s %*s%s\n", "metric", width, "base", width, "tuned", width + 3,
           "difference", repeated ? "" : "   95 % interval");
    for (int64_t i = 0; i < e->count; i++)
        print_row(&e->rows[i]);
}
