/* "Did you mean": the nearest name by edit distance with swaps of neighbours counted once (optimal
   string alignment; Damerau, 1964). Case and the choice of - or _ do not count. */
#include "base/options.h"

#include <string.h>

#define LONGEST 64

static char fold(char c)
{
    return c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Three rows of the table: that of i, of i - 1 and of i - 2 characters of `a`. */
static int distance(const char *a, const char *b)
{
    int rows[3][LONGEST + 1], lengths[2] = {(int)strlen(a), (int)strlen(b)};
    for (int j = 0; j <= lengths[1]; j++)
        rows[0][j] = j;
    for (int i = 1; i <= lengths[0]; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= lengths[1]; j++) {
            char x = fold(a[i - 1]), y = fold(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b[j - 2]) && fold(a[i - 2]) == y)
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[lengths[0] % 3][lengths[1]];
}

/* Near is: at most a third of the letters differ, one at least. */
const char *ak_nearest_name(const char *text, const char *const *names)
{
    const char *nearest = NULL;
    int length = (int)strnlen(text, LONGEST + 1);
    int limit = length < 6 ? 1 + (length > 3) : length / 3;
    if (length > LONGEST)
        return NULL;
    for (; *names; names++) {
        if (strnlen(*names, LONGEST + 1) > LONGEST)
            continue;
        int d = distance(text, *names);
        if (d <= limit && d < (int)strlen(*names)) {
            nearest = *names;
            limit = d - 1;
        }
    }
    return nearest;
}
