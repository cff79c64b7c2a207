/* Smooth inverse frequency: a frequent token says little (Arora, Liang and Ma, "A simple but
   tough-to-beat baseline for sentence embeddings", 2017): w = a / (a + p). Without a corpus the
   vocabulary's order stands for the ranks, as it does in WordPiece and BPE vocabularies of frequent
   tokens first, and p falls with 1 / (rank + 1) by Zipf's law, as in Model2Vec (Tulkens and van
   Dongen, 2024). */
#include "model/distill.h"

#include <string.h>

enum { TEXTS_BETWEEN_CHECKS = 1024 };

static void zipf(double *shares, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        shares[i] = 1 / (double)(i + 2);
}

/* How often every id stands in the corpus. */
typedef struct counting {
    const ak_token_reader *reader;
    const akin_corpus *corpus;
    akin_arena *arena;
    int64_t *counts;
} counting;

static akin_status count_text(const counting *c, int64_t number, akin_error *error)
{
    akin_object object, text;
    int32_t *ids, count;
    bool cut;
    ak_arena_reset(c->arena);
    AK_TRY(ak_corpus_get(c->corpus, number, c->arena, &object, error));
    AK_TRY(ak_field_text(c->reader->field, object, c->arena, &text, error));
    AK_TRY(ak_tokenizer_encode(c->reader->tokenizer, text.data, text.size, INT32_MAX, c->arena,
                               &ids, &count, &cut, error));
    for (int32_t i = 0; i < count; i++)
        c->counts[ids[i]]++;
    return AKIN_OK;
}

static akin_status count_tokens(const counting *c, const akin_context *context, akin_error *error)
{
    int64_t texts = akin_corpus_count(c->corpus);
    for (int64_t i = 0; i < texts; i++) {
        if (i % TEXTS_BETWEEN_CHECKS == 0) {
            AK_TRY(ak_check_interrupt(context, error));
            ak_progress(context, (double)i / (double)texts, "counting tokens: %lld of %lld texts",
                        (long long)i, (long long)texts);
        }
        AK_TRY(count_text(c, i, error));
    }
    return AKIN_OK;
}

static akin_status count_corpus(double *shares, const akin_context *context,
                                const ak_token_reader *reader, ak_token_list tokens,
                                const akin_corpus *corpus, akin_error *error)
{
    counting c = {.reader = reader, .corpus = corpus};
    size_t ids = (size_t)ak_tokenizer_vocabulary(reader->tokenizer);
    akin_status status = ak_arena_create(&c.arena, error);
    if (!status && !(c.counts = ak_calloc(ids, sizeof *c.counts)))
        status = ak_fail_memory(error);
    if (!status)
        status = count_tokens(&c, context, error);
    for (int64_t i = 0; i < tokens.count && !status; i++)
        shares[i] = (double)c.counts[tokens.ids[i]];
    ak_free(c.counts);
    ak_arena_free(c.arena);
    return status;
}

akin_status ak_distill_weights(float *weights, const akin_context *context,
                               const ak_token_reader *reader, ak_token_list tokens, double sif,
                               const akin_corpus *corpus, akin_error *error)
{
    double sum = 0, *shares = ak_calloc((size_t)tokens.count + 1, sizeof *shares);
    akin_status status = shares ? AKIN_OK : ak_fail_memory(error);
    if (!status && sif > 0 && corpus)
        status = count_corpus(shares, context, reader, tokens, corpus, error);
    else if (!status)
        zipf(shares, tokens.count);
    for (int64_t i = 0; i < tokens.count && !status; i++)
        sum += shares[i];
    if (!status && !(sum > 0))
        status = ak_fail(error, AKIN_ERR_ARGUMENT,
                         "the corpus has no token of the vocabulary, %lld texts",
                         (long long)akin_corpus_count(corpus));
    for (int64_t i = 0; i < tokens.count && !status; i++)
        weights[i] = sif > 0 ? (float)(sif / (sif + shares[i] / sum)) : 1;
    ak_free(shares);
    return status;
}
