/* Exact top-k against a complete sort; the index and its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/safetensors.h"
#include "kernels/score.h"
#include "kernels/similarity.h"
#include "kernels/topk.h"
#include "search/search.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/akin-search-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    ak_remove_tree(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static float *random_rows(uint64_t stream, int64_t rows, int64_t dim)
{
    float *x = ak_calloc((size_t)(rows * dim + 1), sizeof *x);
    for (int64_t i = 0; i < rows * dim; i++)
        x[i] = (float)ak_random_normal(7, stream, (uint64_t)i);
    return x;
}

/* ---- similarity ---- */

static void test_similarity(void **state)
{
    (void)state;
    for (int64_t dim = 0; dim < 140; dim++) {
        float *x = random_rows(1, 2, dim), *y = x + dim;
        long double sum = 0, size = 0;
        for (int64_t i = 0; i < dim; i++) {
            sum += (long double)x[i] * y[i];
            size += fabsl((long double)x[i] * y[i]);
        }
        float similarity = ak_similarity(x, y, dim);
        assert_true(fabsl(similarity - sum) <= fabsl(sum) * 0x1p-24L + size * 0x1p-45L);
        assert_true(similarity == ak_similarity(y, x, dim));
        ak_free(x);
    }
}

static void test_unit_rows(void **state)
{
    (void)state;
    float x[4][3] = {{3, 0, 4}, {0, 0, 0}, {1e30f, 0, 0}, {NAN, 1, 0}}, y[4][3];
    ak_unit_rows(x[0], 4, 3, 3, y[0]);
    assert_true(y[0][0] == 0.6f && y[0][1] == 0 && y[0][2] == 0.8f);
    assert_true(y[1][0] == 0 && y[1][1] == 0 && y[1][2] == 0);
    assert_true(y[2][0] == 1);
    assert_true(isnan(y[3][0]) && isnan(y[3][1]));
    ak_unit_rows(x[0], 1, 2, 3, y[0]);
    assert_true(y[0][0] == 1 && y[0][1] == 0);
}

/* Fast scores stay inside the bound that everything else relies on. */
static void test_scores_keep_their_bound(void **state)
{
    (void)state;
    static const int64_t dims[] = {1, 5, 16, 31, 64, 100, 384, 1000};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        int64_t dim = dims[d], rows = AK_SCORE_ROWS - 5;
        float *x = random_rows(2, 32, dim), *base = random_rows(3, rows, dim);
        float *panel = ak_calloc((size_t)dim * 32, sizeof *panel);
        float *scores = ak_calloc(AK_SCORE_ROWS * 32, sizeof *scores);
        for (int64_t count = 1; count <= 32; count++) {
            ak_score_pack(x, count, dim, panel);
            ak_score(x, count, panel, base, rows, dim, scores);
            for (int64_t i = 0; i < count; i++) {
                for (int64_t j = 0; j < rows; j++) {
                    const float *row = base + j * dim;
                    double norm = sqrt((double)ak_similarity(row, row, dim)) * 1.000001;
                    double slack = ak_similarity_slack(x + i * dim, dim, norm);
                    double exact = ak_similarity(x + i * dim, row, dim);
                    assert_true(fabs(scores[j * 32 + i] - exact) <= slack);
                }
            }
        }
        ak_free(x);
        ak_free(base);
        ak_free(panel);
        ak_free(scores);
    }
}

/* ---- top-k ---- */

static int by_rank(const void *a, const void *b)
{
    return ak_hit_compare(*(const akin_hit *)a, *(const akin_hit *)b);
}

static void test_order_of_hits(void **state)
{
    (void)state;
    akin_hit hits[] = {{5, NAN}, {4, NAN}, {3, -INFINITY}, {2, 1},
                       {1, 2},   {0, 1},   {7, -0.0f},     {6, 0.0f}};
    const int64_t order[] = {1, 0, 2, 6, 7, 3, 4, 5};
    qsort(hits, 8, sizeof *hits, by_rank);
    for (int i = 0; i < 8; i++)
        assert_int_equal(hits[i].id, order[i]);
}

static bool same(akin_hit a, akin_hit b)
{
    return a.id == b.id && !memcmp(&a.similarity, &b.similarity, sizeof(float));
}

/* Against a sort of all similarities; and some queries alone, which takes another path. */
static void check_topk(const float *queries, int64_t q, const float *base, int64_t n, int64_t dim,
                       int64_t k, double norm)
{
    akin_hit *hits = ak_calloc((size_t)(q * k + k), sizeof *hits), *alone = hits + q * k;
    akin_hit *all = ak_calloc((size_t)n + 1, sizeof *all);
    assert_int_equal(ak_topk(hits, queries, q, base, n, dim, k, norm, NULL), AKIN_OK);
    for (int64_t i = 0; i < q; i++) {
        for (int64_t j = 0; j < n; j++)
            all[j] = (akin_hit){j, ak_similarity(queries + i * dim, base + j * dim, dim)};
        qsort(all, (size_t)n, sizeof *all, by_rank);
        bool one = i % 7 == 0;
        if (one)
            assert_int_equal(ak_topk(alone, queries + i * dim, 1, base, n, dim, k, norm, NULL),
                             AKIN_OK);
        for (int64_t r = 0; r < k; r++) {
            akin_hit expected = r < n ? all[r] : (akin_hit){-1, 0};
            if (!same(hits[i * k + r], expected) || (one && !same(alone[r], expected)))
                fail_msg("q %lld n %lld dim %lld k %lld: query %lld place %lld", (long long)q,
                         (long long)n, (long long)dim, (long long)k, (long long)i, (long long)r);
        }
    }
    ak_free(hits);
    ak_free(all);
}

static void test_topk(void **state)
{
    (void)state;
    static const struct {
        int64_t q, n, dim, k;
    } rows[] = {
        {1, 1, 1, 1},       {1, 0, 3, 2},       {3, 5, 7, 10},     {9, 113, 16, 3},
        {33, 500, 17, 10},  {40, 700, 384, 10}, {300, 250, 20, 5}, {2, 3000, 33, 40},
        {70, 130, 48, 130}, {5, 20, 8, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float *queries = random_rows(10, rows[i].q, rows[i].dim);
        float *base = random_rows(11, rows[i].n, rows[i].dim);
        ak_unit_rows(base, rows[i].n, rows[i].dim, rows[i].dim, base);
        check_topk(queries, rows[i].q, base, rows[i].n, rows[i].dim, rows[i].k, 1);
        ak_free(queries);
        ak_free(base);
    }
}

/* Rows that differ by less than a float32 product can tell, equal rows, and what is not a number.
 */
static void test_topk_hard(void **state)
{
    (void)state;
    enum { Q = 37, N = 600, DIM = 50 };
    float *queries = random_rows(12, Q, DIM), *base = random_rows(13, N, DIM);
    for (int64_t j = 0; j < N; j++)
        for (int64_t p = 0; p < DIM; p++)
            base[j * DIM + p] = queries[p] + (j % 3 ? 1e-6f * base[j * DIM + p] : 0);
    memset(base + 17 * DIM, 0, DIM * sizeof(float));
    base[18 * DIM + 3] = NAN;
    base[19 * DIM + 3] = INFINITY;
    base[20 * DIM + 4] = -INFINITY;
    base[21 * DIM] = INFINITY;
    base[21 * DIM + 1] = -INFINITY;
    memset(queries + 5 * DIM, 0, DIM * sizeof(float));
    queries[6 * DIM] = NAN;
    queries[7 * DIM] = INFINITY;
    for (int64_t p = 0; p < DIM; p++)
        queries[8 * DIM + p] = 3e38f;
    check_topk(queries, Q, base, N, DIM, 10, 100);
    check_topk(queries, Q, base, N, DIM, 599, 100);
    check_topk(queries, 3, base, N, DIM, 25, 100);
    ak_free(queries);
    ak_free(base);
}

static void test_topk_is_the_same_for_any_threads(void **state)
{
    (void)state;
    enum { Q = 50, N = 5000, DIM = 32, K = 20 };
    float *queries = random_rows(14, Q, DIM), *base = random_rows(15, N, DIM);
    ak_unit_rows(base, N, DIM, DIM, base);
    akin_hit *hits = ak_calloc(2 * Q * K, sizeof *hits);
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    assert_int_equal(ak_topk(hits, queries, Q, base, N, DIM, K, 1, NULL), AKIN_OK);
    for (int t = 2; t <= 5; t++) {
        omp_set_num_threads(t);
        assert_int_equal(ak_topk(hits + Q * K, queries, Q, base, N, DIM, K, 1, NULL), AKIN_OK);
        for (int i = 0; i < Q * K; i++)
            assert_true(same(hits[i], hits[Q * K + i]));
    }
    omp_set_num_threads(threads);
    ak_free(queries);
    ak_free(base);
    ak_free(hits);
}

/* ---- the index ---- */

enum { COUNT = 300, DIM = 24 };
static const akin_hash space = {.low = 0x0123456789abcdef, .high = 0xfedcba9876543210};

static akin_index *make_index(const float *vectors, akin_object *documents)
{
    static char texts[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], "text %d", i);
        documents[i] = akin_text(i == 7 ? "" : texts[i]);
    }
    akin_index *index;
    assert_int_equal(akin_index_create(&index, DIM, space, NULL), AKIN_OK);
    for (int64_t first = 0; first < COUNT; first += 77) {
        int64_t count = COUNT - first < 77 ? COUNT - first : 77;
        assert_int_equal(
            akin_index_add(index, vectors + first * DIM, documents + first, count, NULL), AKIN_OK);
    }
    return index;
}

static void check_document(const akin_index *index, int64_t id, const char *text)
{
    akin_object document = akin_index_document(index, id);
    assert_int_equal(document.size, strlen(text));
    assert_memory_equal(document.data, text, document.size);
}

static void check_same_search(const akin_index *a, const akin_index *b)
{
    enum { Q = 11, K = 9 };
    float *queries = random_rows(21, Q, DIM);
    akin_hit x[Q * K], y[Q * K];
    assert_int_equal(akin_index_search(a, queries, Q, K, x, NULL), AKIN_OK);
    assert_int_equal(akin_index_search(b, queries, Q, K, y, NULL), AKIN_OK);
    for (int i = 0; i < Q * K; i++)
        assert_true(same(x[i], y[i]));
    ak_free(queries);
}

static void test_index(void **state)
{
    (void)state;
    float *vectors = random_rows(20, COUNT, DIM);
    akin_object documents[COUNT];
    akin_index *index = make_index(vectors, documents);
    assert_int_equal(akin_index_count(index), COUNT);
    assert_int_equal(akin_index_dim(index), DIM);
    assert_true(ak_hash_equal(akin_index_fingerprint(index), space));
    check_document(index, 0, "text 0");
    check_document(index, 7, "");
    check_document(index, COUNT - 1, "text 299");
    assert_null(akin_index_document(index, COUNT).data);
    assert_null(akin_index_document(index, -1).data);
    akin_hit hits[3];
    assert_int_equal(akin_index_search(index, vectors + 42 * DIM, 1, 3, hits, NULL), AKIN_OK);
    assert_int_equal(hits[0].id, 42);
    assert_true(fabsf(hits[0].similarity - 1) < 1e-6f);
    akin_error error;
    assert_int_equal(akin_index_search(index, vectors, -1, 3, hits, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_index_add(index, vectors, NULL, -1, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_index_add(index, vectors, NULL, 0, NULL), AKIN_OK);
    assert_int_equal(akin_index_search(index, vectors, 0, 3, hits, NULL), AKIN_OK);
    for (int i = 0; i < 2; i++) {
        vectors[1 * DIM + 3] = i ? NAN : -INFINITY;
        assert_int_equal(akin_index_add(index, vectors, NULL, 2, &error), AKIN_ERR_ARGUMENT);
        assert_non_null(strstr(error.message, "vector 2 of 2 has a number that is not finite"));
        assert_int_equal(akin_index_search(index, vectors + DIM, 1, 3, hits, &error),
                         AKIN_ERR_ARGUMENT);
    }
    assert_int_equal(akin_index_count(index), COUNT);
    akin_index_free(index);
    akin_index_free(NULL);
    assert_int_equal(akin_index_create(&index, 0, space, &error), AKIN_ERR_ARGUMENT);
    assert_null(index);
    ak_free(vectors);
}

static void test_index_file(void **state)
{
    (void)state;
    float *vectors = random_rows(20, COUNT, DIM);
    akin_object documents[COUNT];
    akin_index *index = make_index(vectors, documents), *opened;
    const char *path = in_folder("whole.index");
    akin_error error;
    assert_int_equal(akin_index_set_model(index, "models/a", NULL), AKIN_OK);
    if (akin_index_save(index, path, false, &error))
        fail_msg("%s", error.message);
    assert_int_equal(akin_index_save(index, path, false, &error), AKIN_ERR_EXISTS);
    assert_int_equal(akin_index_save(index, path, true, NULL), AKIN_OK);
    assert_int_equal(akin_index_save(index, folder, true, &error), AKIN_ERR_EXISTS);
    if (akin_index_open(&opened, path, &error))
        fail_msg("%s", error.message);
    assert_int_equal(akin_index_count(opened), COUNT);
    assert_true(ak_hash_equal(akin_index_fingerprint(opened), space));
    assert_string_equal(akin_index_model(opened), "models/a");
    check_document(opened, 7, "");
    check_document(opened, 123, "text 123");
    check_same_search(index, opened);
    /* what is added to both is found in both; the file stays as it is */
    akin_object more[1] = {akin_text("one more")};
    assert_int_equal(akin_index_add(index, vectors, more, 1, NULL), AKIN_OK);
    assert_int_equal(akin_index_add(opened, vectors, more, 1, NULL), AKIN_OK);
    assert_int_equal(akin_index_count(opened), COUNT + 1);
    check_document(opened, COUNT, "one more");
    check_document(opened, 5, "text 5");
    check_same_search(index, opened);
    akin_index_free(opened);
    assert_int_equal(akin_index_open(&opened, path, NULL), AKIN_OK);
    assert_int_equal(akin_index_count(opened), COUNT);
    akin_index_free(opened);
    akin_index_free(index);
    ak_free(vectors);
}

static void test_empty_index(void **state)
{
    (void)state;
    akin_index *index, *opened;
    const char *path = in_folder("empty.index");
    assert_int_equal(akin_index_create(&index, 3, space, NULL), AKIN_OK);
    assert_int_equal(akin_index_save(index, path, false, NULL), AKIN_OK);
    assert_int_equal(akin_index_open(&opened, path, NULL), AKIN_OK);
    assert_int_equal(akin_index_count(opened), 0);
    assert_int_equal(akin_index_dim(opened), 3);
    assert_null(akin_index_model(opened));
    float x[3] = {1, 2, 3};
    akin_hit hits[2] = {{5, 5}, {5, 5}};
    assert_int_equal(akin_index_search(opened, x, 1, 2, hits, NULL), AKIN_OK);
    assert_true(hits[0].id == -1 && hits[1].id == -1);
    assert_int_equal(akin_index_add(opened, x, NULL, 1, NULL), AKIN_OK);
    check_document(opened, 0, "");
    assert_int_equal(akin_index_search(opened, x, 1, 2, hits, NULL), AKIN_OK);
    assert_true(hits[0].id == 0 && hits[1].id == -1);
    akin_index_free(opened);
    akin_index_free(index);
}

/* ---- files that are no index ---- */

#define FINGERPRINT "fedcba98765432100123456789abcdef"
static const float file_vectors[4] = {1, 0, 0, 1};

static const struct {
    const char *metadata[11];
    ak_dtype dtype; /* of the vectors */
    int64_t rows, dim;
    int64_t starts[3];
    const char *message;
} bad_files[] = {
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 2, 4},
     NULL},
    {{NULL}, AK_DTYPE_F32, 2, 2, {0, 2, 4}, "not an index"},
    {{"format", "pt"}, AK_DTYPE_F32, 2, 2, {0, 2, 4}, "not an index"},
    {{"format", "akin index"}, AK_DTYPE_F32, 2, 2, {0, 2, 4}, "version \"\""},
    {{"format", "akin index", "version", "2"}, AK_DTYPE_F32, 2, 2, {0, 2, 4}, "version \"2\""},
    {{"format", "akin index", "version", "1", "fingerprint", "12"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 2, 4},
     "32 hexadecimal digits"},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "3", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 2, 4},
     "\"dim\" is \"3\", but the vectors have 2"},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 2, 4},
     "\"count\" is \"\", but the vectors have 2"},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_I32,
     2,
     2,
     {0, 2, 4},
     "\"vectors\" has dtype I32, expected F32"},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "1", "count", "4"},
     AK_DTYPE_F32,
     4,
     1,
     {0, 2, 4},
     "\"document_offsets\" has shape [3], expected [5]"},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 5, 4},
     "do not cut \"documents\""},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {0, 2, 5},
     "do not cut \"documents\""},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {1, 2, 4},
     "do not cut \"documents\""},
    {{"format", "akin index", "version", "1", "fingerprint", FINGERPRINT, "dim", "2", "count", "2"},
     AK_DTYPE_F32,
     2,
     2,
     {-1, 2, 4},
     "do not cut \"documents\""},
};

static void test_bad_files(void **state)
{
    (void)state;
    const char *path = in_folder("bad.index");
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        ak_tensor tensors[3] = {
            {.name = "vectors",
             .dtype = bad_files[i].dtype,
             .rank = 2,
             .shape = {bad_files[i].rows, bad_files[i].dim},
             .data = file_vectors},
            {.name = "document_offsets",
             .dtype = AK_DTYPE_I64,
             .rank = 1,
             .shape = {3},
             .data = bad_files[i].starts},
            {.name = "documents", .dtype = AK_DTYPE_U8, .rank = 1, .shape = {4}, .data = "abcd"},
        };
        assert_int_equal(ak_safetensors_write(path, tensors, 3, bad_files[i].metadata, NULL),
                         AKIN_OK);
        akin_index *index;
        akin_error error = {0};
        akin_status status = akin_index_open(&index, path, &error);
        if (!bad_files[i].message) {
            assert_int_equal(status, AKIN_OK);
            check_document(index, 1, "cd");
            akin_index_free(index);
            continue;
        }
        if ((status != AKIN_ERR_FORMAT && status != AKIN_ERR_UNSUPPORTED) || index ||
            !strstr(error.message, bad_files[i].message) || !strstr(error.message, "bad.index"))
            fail_msg("row %zu: status %d, \"%s\"", i, status, error.message);
    }
    akin_index *index;
    assert_int_equal(akin_index_open(&index, in_folder("missing.index"), NULL), AKIN_ERR_IO);
    assert_null(index);
}

/* ---- memory ---- */

static akin_status add_save_open_search(const char *path, const float *vectors)
{
    akin_index *index = NULL, *opened = NULL;
    akin_object documents[2] = {akin_text("one"), akin_text("two")};
    akin_hit hits[4];
    akin_status status = akin_index_create(&index, DIM, space, NULL);
    if (!status)
        status = akin_index_add(index, vectors, documents, 2, NULL);
    if (!status)
        status = akin_index_add(index, vectors, documents, 1, NULL);
    if (!status)
        status = akin_index_set_model(index, "model", NULL);
    if (!status)
        status = akin_index_save(index, path, true, NULL);
    if (!status)
        status = akin_index_open(&opened, path, NULL);
    if (!status)
        status = akin_index_add(opened, vectors, documents, 1, NULL);
    if (!status)
        status = akin_index_search(opened, vectors, 2, 2, hits, NULL);
    if (!status)
        assert_true(akin_index_count(opened) == 4 && hits[0].id == 0);
    akin_index_free(opened);
    akin_index_free(index);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    float *vectors = random_rows(30, 2, DIM);
    const char *path = in_folder("memory.index");
    akin_status status = AKIN_ERR_MEMORY;
    int64_t n = 1;
    for (; status && n < 1000; n++) {
        ak_memory_fail_at(n);
        status = add_save_open_search(path, vectors);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
    }
    assert_true(n > 20 && !status);
    ak_free(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_similarity),
        cmocka_unit_test(test_unit_rows),
        cmocka_unit_test(test_scores_keep_their_bound),
        cmocka_unit_test(test_order_of_hits),
        cmocka_unit_test(test_topk),
        cmocka_unit_test(test_topk_hard),
        cmocka_unit_test(test_topk_is_the_same_for_any_threads),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_index_file),
        cmocka_unit_test(test_empty_index),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
