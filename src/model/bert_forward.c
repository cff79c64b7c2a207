/* BERT's forward pass over packed sequences.

       x = LayerNorm(word + position + type)
       per layer: a = attention(x Wq, x Wk, x Wv), x = LayerNorm(x + a Wm),
                  x = LayerNorm(x + GELU(x Wu) Wd)

   The code of a chunk (some texts end to end) is written for a team: thread `part` of `parts`
   computes its share of the columns of every product, of the heads, of the rows of every norm, and
   meets the others at barriers. Many texts: teams of one, each thread takes chunks until none is
   left and nothing is ever waited for. Few: all threads are one team. No kernel's bits depend on
   the rows or shares around, so neither do the vectors. */
#include "model/bert_internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    CHUNK = 128, /* tokens of a chunk of several texts: its activations fit the 2nd level cache */
    TEAM_TOKENS = 48, /* per thread: with fewer, all threads work on one chunk */
    PAD = 16,         /* columns after a row, so that rows do not share their cache sets */
};

/* Texts first .. first + count, t tokens. */
typedef struct chunk {
    int64_t first, count, tokens;
} chunk;

/* One team's memory for chunks of up to `tokens` tokens. */
typedef struct buffers {
    float *x;       /* t x hidden */
    float *qkv;     /* t x (3 hidden + PAD); then t x hidden, what is added to x */
    float *mixed;   /* t x hidden: attention's result */
    float *wide;    /* t x (intermediate + PAD) */
    uint16_t *half; /* t x (widest + PAD) in bfloat16: the input of a product */
    float *scratch; /* attention's, `scratch_size` floats for each thread of the team */
} buffers;

struct ak_bert_workspace {
    size_t size; /* bytes, this struct included */
    int64_t tokens, longest;
    int teams, members; /* threads of a team */
    _Alignas(64) float memory[];
};

typedef struct forward_job {
    const ak_bert *bert;
    const ak_tokens *tokens;
    int pooling;
    akin_matrix y;
    ak_bert_workspace *workspace;
    int64_t next; /* the first text that no thread has taken */
} forward_job;

/* ---- memory ---- */

static int64_t aligned(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

static int64_t scratch_size(const ak_bert *bert, int64_t longest)
{
    return aligned(ak_attention_scratch(longest, bert->config.hidden / bert->config.heads));
}

static int64_t half_stride(const ak_bert_config *c)
{
    return (c->hidden > c->intermediate ? c->hidden : c->intermediate) + PAD;
}

/* Lays the buffers of team `team` out, or only counts (memory NULL): floats of one team. */
static int64_t lay_out(const ak_bert *bert, int64_t tokens, int64_t longest, int members,
                       float *memory, buffers *out)
{
    const ak_bert_config *c = &bert->config;
    int64_t narrow = bert->precision == AKIN_BF16 ? (tokens * half_stride(c) + 1) / 2 : 0;
    const int64_t sizes[] = {
        aligned(tokens * c->hidden),
        aligned(tokens * (3 * c->hidden + PAD)),
        aligned(tokens * c->hidden),
        aligned(tokens * (c->intermediate + PAD)),
        aligned(narrow),
        members * scratch_size(bert, longest),
    };
    int64_t offset[7] = {0};
    for (int i = 0; i < 6; i++)
        offset[i + 1] = offset[i] + sizes[i];
    if (memory)
        *out = (buffers){
            .x = memory,
            .qkv = memory + offset[1],
            .mixed = memory + offset[2],
            .wide = memory + offset[3],
            .half = (uint16_t *)(memory + offset[4]),
            .scratch = memory + offset[5],
        };
    return offset[6];
}

/* The memory of the last forward if it is large enough, else fresh. */
static akin_status take_workspace(ak_bert_workspace **out, const ak_bert *bert, int64_t tokens,
                                  int64_t longest, int teams, int members, akin_error *error)
{
    ak_bert_workspace *w = atomic_exchange(&((ak_bert *)bert)->spare, NULL);
    int64_t floats = teams * lay_out(bert, tokens, longest, members, NULL, NULL);
    size_t size = sizeof *w + (size_t)floats * sizeof(float);
    if (!w || w->size < size) {
        ak_free(w);
        w = ak_alloc_large(size);
        if (!w)
            return ak_fail_memory(error);
        w->size = size;
    }
    w->tokens = tokens;
    w->longest = longest;
    w->teams = teams;
    w->members = members;
    *out = w;
    return AKIN_OK;
}

static void give_workspace_back(const ak_bert *bert, ak_bert_workspace *workspace)
{
    ak_free(atomic_exchange(&((ak_bert *)bert)->spare, workspace));
}

static buffers team_buffers(const forward_job *job, int team)
{
    const ak_bert_workspace *w = job->workspace;
    int64_t floats = lay_out(job->bert, w->tokens, w->longest, w->members, NULL, NULL);
    buffers b;
    lay_out(job->bert, w->tokens, w->longest, w->members, job->workspace->memory + team * floats,
            &b);
    return b;
}

/* ---- one chunk ---- */

typedef struct team {
    const forward_job *job;
    const ak_bert *bert;
    chunk chunk;
    buffers b;
    int part, parts;
} team;

static void meet(const team *m)
{
    if (m->parts > 1) {
#pragma omp barrier
    }
}

/* This thread's rows of the chunk: first .. last. */
static void share_of_rows(const team *m, int64_t *first, int64_t *last)
{
    *first = m->chunk.tokens * m->part / m->parts;
    *last = m->chunk.tokens * (m->part + 1) / m->parts;
}

/* Rows as a product wants them: as they are, or rounded into `half`, which everyone waits for. */
static const void *product_input(const team *m, const float *x, int64_t columns, int64_t *stride)
{
    if (m->bert->precision == AKIN_F32)
        return x;
    int64_t first, last, narrow = half_stride(&m->bert->config);
    share_of_rows(m, &first, &last);
    meet(m); /* nobody reads the previous product's input any more */
    for (int64_t i = first; i < last; i++) {
        ak_bf16_from(x + i * *stride, m->b.half + i * narrow, columns);
        m->b.half[i * narrow + columns] = 0;
    }
    meet(m);
    *stride = narrow;
    return m->b.half;
}

static void multiply(const team *m, const ak_packed *packed, const void *x, int64_t ldx, float *y,
                     int64_t ldy)
{
    ak_packed_run(packed, x, ldx, m->chunk.tokens, y, ldy, m->part, m->parts);
}

/* x = LayerNorm(x + added) for this thread's rows; `added` lies where q, k and v were. */
static void add_and_norm(const team *m, const ak_bert_norm *norm)
{
    int64_t first, last, d = m->bert->config.hidden;
    share_of_rows(m, &first, &last);
    float *x = m->b.x + first * d;
    meet(m);
    ak_layer_norm(m->b.qkv + first * d, x, norm->gain, norm->shift,
                  (float)m->bert->config.layer_norm_epsilon, last - first, d, x);
    meet(m);
}

/* mixed = attention of every (text, head) of this thread's share. */
static void attend(const team *m)
{
    const ak_bert_config *c = &m->bert->config;
    const int64_t *start = m->job->tokens->start + m->chunk.first;
    int64_t d = c->hidden, dim = d / c->heads, stride = 3 * d + PAD;
    float *scratch = m->b.scratch + m->part * scratch_size(m->bert, m->job->workspace->longest);
    float scale = 1.0f / sqrtf((float)dim);
    int64_t work = m->chunk.count * c->heads;
    meet(m);
    for (int64_t i = work * m->part / m->parts; i < work * (m->part + 1) / m->parts; i++) {
        int64_t text = i / c->heads, head = i % c->heads, row = start[text] - start[0];
        const float *q = m->b.qkv + row * stride + head * dim;
        ak_attention(q, q + d, q + 2 * d, stride, start[text + 1] - start[text], dim, scale,
                     ak_bert_head_positions(m->bert->distances, c, head),
                     m->b.mixed + row * d + head * dim, d, scratch);
    }
    meet(m);
}

static void run_layer(const team *m, const ak_bert_layer *layer)
{
    int64_t d = m->bert->config.hidden, columns = m->bert->config.intermediate;
    int64_t ldx = d, wide = columns + PAD, qkv = 3 * d + PAD;
    const void *x = product_input(m, m->b.x, d, &ldx);
    multiply(m, layer->query, x, ldx, m->b.qkv, qkv);
    multiply(m, layer->key, x, ldx, m->b.qkv + d, qkv);
    multiply(m, layer->value, x, ldx, m->b.qkv + 2 * d, qkv);
    attend(m);
    x = product_input(m, m->b.mixed, d, (ldx = d, &ldx));
    multiply(m, layer->mix, x, ldx, m->b.qkv, d);
    add_and_norm(m, &layer->mix_norm);
    x = product_input(m, m->b.x, d, (ldx = d, &ldx));
    multiply(m, layer->up, x, ldx, m->b.wide, wide);
    meet(m);
    x = product_input(m, m->b.wide, columns, (ldx = wide, &ldx));
    multiply(m, layer->down, x, ldx, m->b.qkv, d);
    add_and_norm(m, &layer->down_norm);
}

/* Rows first .. last of the chunk, which begin and end anywhere in its texts. */
static void embed_rows(const team *m, int64_t first, int64_t last)
{
    const ak_bert *bert = m->bert;
    const ak_tokens *tokens = m->job->tokens;
    const int64_t *start = tokens->start + m->chunk.first;
    int64_t d = bert->config.hidden;
    for (int64_t text = 0; text < m->chunk.count; text++) {
        int64_t from = start[text] - start[0], to = start[text + 1] - start[0];
        int64_t begin = from > first ? from : first, end = to < last ? to : last;
        if (begin < end)
            ak_embed_rows(bert->words, tokens->ids + start[0] + begin,
                          bert->places + (bert->config.first_position + begin - from) * d, NULL,
                          bert->types, end - begin, d, m->b.x + begin * d);
    }
    float *x = m->b.x + first * d;
    ak_layer_norm(x, NULL, bert->norm.gain, bert->norm.shift,
                  (float)bert->config.layer_norm_epsilon, last - first, d, x);
}

static void pool_text(const team *m, int64_t text)
{
    const ak_tokens *tokens = m->job->tokens;
    int64_t d = m->bert->config.hidden, skip = tokens->skip ? tokens->skip[text] : 0;
    int64_t row = tokens->start[text] - tokens->start[m->chunk.first];
    int64_t n = tokens->start[text + 1] - tokens->start[text];
    ak_bert_pool(m->job->pooling, m->b.x + row * d, n, skip, d,
                 m->job->y.data + text * m->job->y.stride);
}

static void run_chunk(const team *m)
{
    int64_t first, last;
    share_of_rows(m, &first, &last);
    embed_rows(m, first, last);
    meet(m);
    for (int i = 0; i < m->bert->config.layers; i++)
        run_layer(m, &m->bert->layers[i]);
    for (int64_t i = m->part; i < m->chunk.count; i += m->parts)
        pool_text(m, m->chunk.first + i);
}

/* ---- all chunks ---- */

/* The next texts, at least one; smaller chunks towards the end keep all threads busy until then. */
static chunk take_chunk(forward_job *job, int threads)
{
    const int64_t *start = job->tokens->start;
    chunk taken = {0};
#pragma omp critical(ak_bert_take)
    {
        int64_t left = start[job->tokens->texts] - start[job->next], most = left / (2 * threads);
        most = most > CHUNK ? CHUNK : most;
        taken.first = job->next;
        while (
            job->next < job->tokens->texts &&
            (taken.count == 0 || taken.tokens + start[job->next + 1] - start[job->next] <= most)) {
            taken.tokens += start[job->next + 1] - start[job->next];
            taken.count++;
            job->next++;
        }
    }
    return taken;
}

static void run_alone(forward_job *job, int thread, int threads)
{
    team m = {.job = job, .bert = job->bert, .b = team_buffers(job, thread), .parts = 1};
    while ((m.chunk = take_chunk(job, threads)).count > 0)
        run_chunk(&m);
}

static void run_together(forward_job *job, int thread, int threads)
{
    const ak_tokens *tokens = job->tokens;
    team m = {
        .job = job,
        .bert = job->bert,
        .b = team_buffers(job, 0),
        .chunk = {0, tokens->texts, tokens->start[tokens->texts] - tokens->start[0]},
        .part = thread,
        .parts = threads,
    };
    run_chunk(&m);
}

akin_status ak_bert_check_tokens(const ak_bert_config *config, const ak_tokens *tokens,
                                 int64_t *longest, akin_error *error)
{
    *longest = 0;
    for (int64_t i = 0; i < tokens->texts; i++) {
        int64_t length = tokens->start[i + 1] - tokens->start[i];
        int64_t skip = tokens->skip ? tokens->skip[i] : 0;
        if (length <= skip || skip < 0 || length > config->positions)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "text %lld has %lld tokens, of which %lld are a prompt; the model takes "
                           "1 to %lld",
                           (long long)i, (long long)length, (long long)skip,
                           (long long)config->positions);
        *longest = length > *longest ? length : *longest;
    }
    return AKIN_OK;
}

akin_status ak_bert_forward(const ak_bert *bert, const ak_tokens *tokens, int pooling,
                            akin_matrix y, akin_error *error)
{
    int64_t longest;
    AK_TRY(ak_bert_check_tokens(&bert->config, tokens, &longest, error));
    if (tokens->texts == 0)
        return AKIN_OK;
    int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    int64_t total = tokens->start[tokens->texts] - tokens->start[0];
    bool together = threads > 1 && total <= (int64_t)TEAM_TOKENS * threads;
    int64_t most = longest > CHUNK ? longest : CHUNK;
    if (together || total < most)
        most = total;
    forward_job job = {.bert = bert, .tokens = tokens, .pooling = pooling, .y = y};
    AK_TRY(take_workspace(&job.workspace, bert, most, longest, together ? 1 : threads,
                          together ? threads : 1, error));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        int thread = omp_get_thread_num(), team_size = omp_get_num_threads();
        if (together)
            run_together(&job, thread, team_size);
        else
            run_alone(&job, thread, team_size);
    }
    give_workspace_back(bert, job.workspace);
    return AKIN_OK;
}
