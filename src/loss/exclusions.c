/* Exclusions as sparse lists; see the header for the rules. */
#include "loss/exclusions.h"

#include <string.h>

/* ---- positions by value ---- */

static int64_t slot_of(const ak_value_index *index, int64_t value)
{
    uint64_t mixed = (uint64_t)value * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: Knuth, 6.4 */
    int64_t slot = (int64_t)(mixed >> 32) & (index->slots - 1);
    while (index->head[slot] >= 0 && index->values[index->head[slot]] != value)
        slot = (slot + 1) & (index->slots - 1);
    return slot;
}

akin_status ak_value_index_build(ak_value_index *index, const int64_t *values, int64_t count,
                                 akin_arena *arena, akin_error *error)
{
    *index = (ak_value_index){.values = values, .count = count, .slots = 16};
    while (index->slots < 2 * count)
        index->slots *= 2;
    index->head = ak_arena_new(arena, int32_t, index->slots);
    index->next = ak_arena_new(arena, int32_t, count);
    if (!index->head || !index->next)
        return ak_fail_memory(error);
    memset(index->head, -1, (size_t)index->slots * sizeof *index->head);
    for (int64_t i = count - 1; i >= 0; i--) { /* backwards: chains ascend */
        int64_t slot = slot_of(index, values[i]);
        index->next[i] = index->head[slot];
        index->head[slot] = (int32_t)i;
    }
    return AKIN_OK;
}

int32_t ak_value_index_find(const ak_value_index *index, int64_t value)
{
    return index->head[slot_of(index, value)];
}

akin_status ak_renumber(int32_t *numbers, const int64_t *values, int64_t count, akin_arena *arena,
                        akin_error *error)
{
    ak_value_index index;
    AK_TRY(ak_value_index_build(&index, values, count, arena, error));
    for (int64_t i = 0; i < count; i++)
        numbers[i] = ak_value_index_find(&index, values[i]);
    return AKIN_OK;
}

/* ---- lists that grow ---- */

typedef struct builder {
    ak_exclusions *out;
    akin_arena *arena;
    const akin_labels *labels;
    ak_value_index columns; /* contents of the columns */
    int64_t count, capacity;
    int32_t *mark; /* per column: row + 1 that listed it, -(row + 1) that must not */
    bool failed;   /* out of memory */
} builder;

static akin_status builder_init(builder *b, ak_exclusions *out, const akin_labels *labels,
                                int64_t rows, const int64_t *contents, int64_t columns,
                                akin_arena *arena, akin_error *error)
{
    *b = (builder){.out = out, .arena = arena, .labels = labels, .capacity = 4 * rows + 16};
    AK_TRY(ak_value_index_build(&b->columns, contents, columns, arena, error));
    out->start = ak_arena_new(arena, int64_t, rows + 1);
    out->columns = ak_arena_new(arena, int32_t, b->capacity);
    b->mark = ak_arena_new(arena, int32_t, columns);
    if (!out->start || !out->columns || !b->mark)
        return ak_fail_memory(error);
    memset(b->mark, 0, (size_t)columns * sizeof *b->mark);
    return AKIN_OK;
}

/* An arena cannot grow an array; twice the room and a copy cost a constant factor. */
static bool make_room(builder *b)
{
    if (b->count < b->capacity)
        return true;
    int32_t *wider = ak_arena_new(b->arena, int32_t, 2 * b->capacity);
    if (!wider) {
        b->failed = true;
        return false;
    }
    memcpy(wider, b->out->columns, (size_t)b->count * sizeof *wider);
    b->out->columns = wider;
    b->capacity *= 2;
    return true;
}

static void exclude(builder *b, int64_t row, int32_t column)
{
    int32_t stamp = (int32_t)row + 1;
    if (b->mark[column] == stamp || b->mark[column] == -stamp || !make_room(b))
        return;
    b->mark[column] = stamp;
    b->out->columns[b->count++] = column;
}

static void spare(builder *b, int64_t row, int32_t column)
{
    int32_t stamp = (int32_t)row + 1;
    if (b->mark[column] != stamp)
        b->mark[column] = -stamp;
}

/* A chain is always dealt with whole, so its first column (not the spared diagonal) tells whether
   it was already: a batch of one pair many times over must not cost its cube. */
static void each_equal(builder *b, int64_t row, int64_t content,
                       void (*what)(builder *, int64_t row, int32_t column))
{
    int32_t stamp = (int32_t)row + 1, j = ak_value_index_find(&b->columns, content);
    int32_t first = j == row ? b->columns.next[j] : j;
    if (first >= 0 && (b->mark[first] == stamp || b->mark[first] == -stamp))
        return;
    for (; j >= 0; j = b->columns.next[j])
        what(b, row, j);
}

static bool contains(const int64_t *ascending, int64_t count, int64_t value)
{
    int64_t low = 0;
    while (count > 0) {
        int64_t half = count / 2;
        if (ascending[low + half] < value) {
            low += half + 1;
            count -= half + 1;
        } else if (ascending[low + half] == value) {
            return true;
        } else {
            count = half;
        }
    }
    return false;
}

/* A content with more known positives than the batch has columns is looked up the other way. */
static void exclude_positives(builder *b, int64_t row, int64_t content)
{
    if (!b->labels->positive_start || !b->labels->positives)
        return;
    const int64_t *list = b->labels->positives + b->labels->positive_start[content];
    int64_t count = b->labels->positive_start[content + 1] - b->labels->positive_start[content];
    if (count <= 4 * b->columns.count) {
        for (int64_t p = 0; p < count; p++)
            each_equal(b, row, list[p], exclude);
        return;
    }
    for (int64_t j = 0; j < b->columns.count; j++)
        if (contains(list, count, b->columns.values[j]))
            exclude(b, row, (int32_t)j);
}

/* ---- the two rules ---- */

akin_status ak_exclude_objects(ak_exclusions *out, const akin_labels *labels, int64_t count,
                               bool known_positives, akin_arena *arena, akin_error *error)
{
    builder b;
    AK_TRY(builder_init(&b, out, labels, count, labels->content, count, arena, error));
    for (int64_t i = 0; i < count; i++) {
        out->start[i] = b.count;
        each_equal(&b, i, labels->content[i], exclude);
        if (known_positives)
            exclude_positives(&b, i, labels->content[i]);
    }
    out->start[count] = b.count;
    return b.failed ? ak_fail_memory(error) : AKIN_OK;
}

/* What the batch's own pairs (a_k, b_k) with a_k equal to a_i say of the b's. Positive ones go
   first: a pair that is known as a positive is none of the negatives, whatever another sample says.
 */
static void exclude_by_batch(builder *b, const ak_value_index *rows, int64_t i)
{
    int64_t n = rows->count;
    const int64_t *content_b = b->labels->content + n;
    int32_t first = ak_value_index_find(rows, rows->values[i]);
    for (int32_t k = first; k >= 0; k = rows->next[k])
        if (b->labels->score[k] > 0.5f)
            each_equal(b, i, content_b[k], exclude);
    for (int32_t k = first; k >= 0; k = rows->next[k])
        if (!(b->labels->score[k] > 0.5f))
            each_equal(b, i, content_b[k], spare);
}

/* subgroups NULL: none are given. */
static void exclude_by_pair(builder *b, const ak_value_index *rows, const ak_value_index *subgroups,
                            int64_t i)
{
    const akin_labels *labels = b->labels;
    each_equal(b, i, labels->content[i], exclude);
    exclude_positives(b, i, labels->content[i]);
    exclude_by_batch(b, rows, i);
    if (!subgroups)
        return;
    int32_t j = ak_value_index_find(subgroups, labels->subgroup[i]);
    for (; j >= 0; j = subgroups->next[j])
        exclude(b, i, j);
}

/* The b's of the batch, or of the memory. */
static akin_status exclude_pairs(builder *b, const int64_t *subgroup, bool diagonal,
                                 akin_error *error)
{
    const akin_labels *labels = b->labels;
    ak_value_index rows, subgroups;
    bool given = labels->subgroup && subgroup;
    AK_TRY(ak_value_index_build(&rows, labels->content, labels->count, b->arena, error));
    if (given)
        AK_TRY(ak_value_index_build(&subgroups, subgroup, b->columns.count, b->arena, error));
    for (int64_t i = 0; i < labels->count; i++) {
        b->out->start[i] = b->count;
        if (diagonal)
            spare(b, i, (int32_t)i);
        exclude_by_pair(b, &rows, given ? &subgroups : NULL, i);
    }
    b->out->start[labels->count] = b->count;
    return b->failed ? ak_fail_memory(error) : AKIN_OK;
}

akin_status ak_exclude_pairs(ak_exclusions *out, const akin_labels *labels, akin_arena *arena,
                             akin_error *error)
{
    builder b;
    int64_t n = labels->count;
    AK_TRY(builder_init(&b, out, labels, n, labels->content + n, n, arena, error));
    return exclude_pairs(&b, labels->subgroup, true, error);
}

akin_status ak_exclude_memory(ak_exclusions *out, const akin_labels *labels,
                              const akin_memory *memory, akin_arena *arena, akin_error *error)
{
    builder b;
    AK_TRY(builder_init(&b, out, labels, labels->count, memory->content, memory->units.rows, arena,
                        error));
    if (labels->kind == AKIN_PAIRS)
        return exclude_pairs(&b, memory->subgroup, false, error);
    for (int64_t i = 0; i < labels->count; i++) {
        out->start[i] = b.count;
        each_equal(&b, i, labels->content[i], exclude);
    }
    out->start[labels->count] = b.count;
    return b.failed ? ak_fail_memory(error) : AKIN_OK;
}
