/* Streams: what they give is what a data set gives; the shuffle buffer; batches and their labels;
   training from a stream, resumed as well. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "data/stream.h"
#include "train/recipe.h"

#include <pthread.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- a stream of the user's: pairs a0 b0, a1 b1, ... ---- */

typedef struct counting {
    int64_t count, at, bad, half; /* half: from there on there is a subgroup; -1: never */
    int64_t rewinds;
} counting;

static akin_status counting_rewind(void *self, int64_t pass, akin_error *error)
{
    counting *c = self;
    (void)pass, (void)error;
    c->at = 0;
    c->rewinds++;
    return AKIN_OK;
}

static akin_status counting_next(void *self, akin_arena *arena, akin_sample *sample, bool *end,
                                 akin_error *error)
{
    counting *c = self;
    *end = c->at == c->count;
    if (*end)
        return AKIN_OK;
    if (c->at == c->bad)
        return ak_fail(error, AKIN_ERR_IO, "sample %lld is gone", (long long)c->at);
    sample->pair.a = akin_text(ak_arena_format(arena, "%lld", (long long)c->at));
    sample->pair.b = akin_text("same");
    sample->pair.subgroup = c->half >= 0 && c->at >= c->half;
    if (!sample->pair.a.data)
        return ak_fail_memory(error);
    c->at++;
    return AKIN_OK;
}

static akin_stream *make_counting(counting *c, bool once)
{
    akin_stream_class type = {.size = sizeof type,
                              .name = "numbers",
                              .kind = AKIN_PAIRS,
                              .rewind = once ? NULL : counting_rewind,
                              .next = counting_next};
    akin_stream *stream;
    assert_ok(akin_stream_create(&stream, &type, c, told));
    return stream;
}

static akin_loader *make_loader(akin_stream *stream, akin_loader_options options)
{
    akin_loader *loader;
    assert_ok(akin_stream_loader_create(&loader, stream, &options, told));
    assert_ok(ak_loader_prepare_stream(loader, NULL, NULL, NULL, told));
    assert_true(ak_loader_is_stream(loader));
    return loader;
}

/* The numbers of an epoch, batch by batch; returns how many. */
static int64_t run_epoch(akin_loader *loader, int64_t epoch, int64_t first, int64_t *order)
{
    ak_batch *batch;
    int64_t n = 0, number = first;
    assert_ok(ak_loader_start(loader, epoch, first, told));
    for (;; number++) {
        assert_ok(ak_loader_next(loader, &batch, told));
        if (!batch)
            return n;
        assert_int_equal(batch->number, number);
        for (int64_t i = 0; i < batch->count; i++) {
            char text[32] = "";
            memcpy(text, batch->objects[i].data, batch->objects[i].size);
            order[n++] = atoll(text);
        }
        ak_loader_release(loader, batch);
    }
}

static akin_loader_options options_of(int workers, int64_t buffer, int64_t steps)
{
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = 16;
    options.workers = workers;
    options.shuffle_buffer = buffer;
    options.epoch_steps = steps;
    return options;
}

/* ---- order ---- */

#define COUNT 500

static void check_permutation(const int64_t *order, int64_t buffer)
{
    static bool seen[COUNT];
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < COUNT; i++) {
        assert_in_range(order[i], 0, COUNT - 1);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        assert_true(order[i] < i + buffer); /* no earlier than the buffer can hold it */
    }
}

static void test_order(void **state)
{
    (void)state;
    static const int64_t buffers[] = {1, 7, 64, COUNT, 10 * COUNT};
    static int64_t order[COUNT], again[COUNT], next[COUNT];
    for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++)
        for (int workers = 0; workers < 4; workers++) {
            counting c = {.count = COUNT, .bad = -1, .half = -1};
            akin_stream *stream = make_counting(&c, false);
            akin_loader *loader = make_loader(stream, options_of(workers, buffers[b], 0));
            assert_int_equal(ak_loader_batches(loader), 0);
            assert_int_equal(run_epoch(loader, 1, 0, workers ? again : order), COUNT);
            assert_int_equal(run_epoch(loader, 2, 0, next), COUNT);
            assert_false(ak_loader_exhausted(loader));
            if (workers)
                assert_memory_equal(order, again, sizeof order);
            check_permutation(order, buffers[b]);
            check_permutation(next, buffers[b]);
            if (buffers[b] == 1)
                assert_memory_equal(order, next, sizeof order); /* as it came */
            else
                assert_memory_not_equal(order, next, sizeof order);
            /* Resumed: in the middle of the second epoch, by another loader. */
            akin_loader_free(loader);
            loader = make_loader(stream, options_of(workers, buffers[b], 0));
            assert_int_equal(run_epoch(loader, 2, 11, again + 11 * 16), COUNT - 11 * 16);
            assert_memory_equal(again + 11 * 16, next + 11 * 16, (COUNT - 11 * 16) * 8);
            if (workers)
                memcpy(again, order, sizeof order);
            akin_loader_free(loader);
            akin_stream_free(stream);
        }
}

static void test_unshuffled(void **state)
{
    (void)state;
    static int64_t order[COUNT];
    counting c = {.count = COUNT, .bad = -1, .half = -1};
    akin_stream *stream = make_counting(&c, false);
    akin_loader_options options = options_of(2, 100, 0);
    options.shuffle = false;
    options.drop_last = true;
    akin_loader *loader = make_loader(stream, options);
    assert_int_equal(run_epoch(loader, 1, 0, order), COUNT / 16 * 16);
    for (int64_t i = 0; i < COUNT / 16 * 16; i++)
        assert_int_equal(order[i], i);
    akin_loader_free(loader);
    akin_stream_free(stream);
}

/* An epoch of 20 batches of 16: 500 samples are 31.25 of them, passes follow each other. */
static void test_epoch_steps(void **state)
{
    (void)state;
    static int64_t order[5 * 320], again[320];
    counting c = {.count = COUNT, .bad = -1, .half = -1};
    akin_stream *stream = make_counting(&c, false);
    akin_loader *loader = make_loader(stream, options_of(2, 50, 20));
    assert_int_equal(ak_loader_batches(loader), 20);
    for (int64_t epoch = 1; epoch <= 5; epoch++)
        assert_int_equal(run_epoch(loader, epoch, 0, order + (epoch - 1) * 320), 320);
    check_permutation(order, 50);
    check_permutation(order + COUNT, 50);
    check_permutation(order + 2 * COUNT, 50);
    assert_memory_not_equal(order, order + COUNT, COUNT * 8);
    assert_int_equal(c.rewinds, 4); /* four passes: no epoch went back */
    akin_loader_free(loader);
    loader = make_loader(stream, options_of(1, 50, 20));
    assert_int_equal(run_epoch(loader, 4, 13, again), 7 * 16);
    assert_memory_equal(again, order + 3 * 320 + 13 * 16, 7 * 16 * 8);
    assert_int_equal(run_epoch(loader, 5, 0, again), 320);
    assert_memory_equal(again, order + 4 * 320, sizeof again);
    akin_loader_free(loader);
    akin_stream_free(stream);
}

/* What can be read once is one pass; there is no going back. */
static void test_once(void **state)
{
    (void)state;
    static int64_t order[COUNT];
    for (int steps = 0; steps < 2; steps++) {
        counting c = {.count = COUNT, .bad = -1, .half = -1};
        akin_stream *stream = make_counting(&c, true);
        akin_loader *loader = make_loader(stream, options_of(1, 64, steps ? 20 : 0));
        int64_t n = run_epoch(loader, 1, 0, order);
        assert_int_equal(n, steps ? 320 : COUNT);
        assert_int_equal(ak_loader_exhausted(loader), !steps);
        if (steps)
            n += run_epoch(loader, 2, 0, order + n);
        assert_int_equal(n, COUNT);
        assert_true(ak_loader_exhausted(loader));
        check_permutation(order, 64);
        akin_error error = {0};
        assert_int_equal(ak_loader_start(loader, 1, 0, &error), AKIN_ERR_UNSUPPORTED);
        assert_non_null(strstr(error.message, "numbers: can be read only once"));
        akin_loader_free(loader);
        akin_stream_free(stream);
    }
}

/* ---- labels ---- */

static void test_labels_of_pairs(void **state)
{
    (void)state;
    const char *path = write_text("p.jsonl",
                                  "{\"a\": \"q\", \"b\": \"r\", \"subgroup\": 5}\n"
                                  "{\"a\": \"q\", \"b\": \"s\", \"subgroup\": \"x\"}\n"
                                  "{\"a\": \"t\", \"b\": \"r\", \"score\": 0, \"subgroup\": 5}\n");
    static const int64_t content[] = {0, 0, 3, 1, 2, 1}, subgroup[] = {0, 1, 0};
    akin_stream *stream;
    ak_batch *batch;
    akin_loader_options options = options_of(0, 1, 0);
    options.shuffle = false;
    assert_ok(akin_stream_open(&stream, path, AKIN_PAIRS, NULL, told));
    akin_loader *loader = make_loader(stream, options);
    assert_ok(ak_loader_start(loader, 1, 0, told));
    assert_ok(ak_loader_next(loader, &batch, told));
    const akin_labels *l = &batch->labels;
    assert_int_equal(l->count, 3);
    assert_int_equal(batch->object_count, 6);
    assert_memory_equal(l->content, content, sizeof content);
    assert_memory_equal(l->subgroup, subgroup, sizeof subgroup);
    assert_true(l->score[0] == 1 && l->score[2] == 0);
    assert_int_equal(l->positive_start[1] - l->positive_start[0], 2); /* q: r and s */
    assert_int_equal(l->positives[0], 1);
    assert_int_equal(l->positives[1], 2);
    assert_int_equal(l->positive_start[4] - l->positive_start[3], 0); /* t: none */
    ak_loader_release(loader, batch);
    akin_loader_free(loader);
    akin_stream_free(stream);
}

static void test_labels_of_groups(void **state)
{
    (void)state;
    const char *path = write_text("g.csv", "object,group\nx,cat\ny,dog\nx,cat\n");
    static const int64_t content[] = {0, 1, 0};
    akin_stream *stream;
    ak_batch *batch;
    akin_loader_options options = options_of(1, 1, 0);
    options.shuffle = false;
    assert_ok(akin_stream_open(&stream, path, AKIN_GROUPS, NULL, told));
    akin_loader *loader = make_loader(stream, options);
    assert_ok(ak_loader_start(loader, 1, 0, told));
    assert_ok(ak_loader_next(loader, &batch, told));
    assert_memory_equal(batch->labels.content, content, sizeof content);
    assert_memory_equal(batch->labels.group, content, sizeof content);
    assert_int_equal(batch->labels.groups, 2);
    assert_null(batch->labels.score);
    assert_null(batch->labels.positives);
    ak_loader_release(loader, batch);
    akin_loader_free(loader);
    akin_stream_free(stream);
}

/* ---- files ---- */

/* Samples of a stream as dataset_text writes those of a data set. */
static char *stream_text(akin_stream *stream, akin_status *status, akin_error *error)
{
    ak_text text = {0};
    akin_arena *arena;
    bool end = false;
    assert_ok(ak_arena_create(&arena, told));
    for (;;) {
        akin_sample s = {0};
        s.pair.score = 1;
        ak_arena_reset(arena);
        *status = stream->type.next(stream->self, arena, &s, &end, error);
        if (*status || end)
            break;
        if (stream->type.kind == AKIN_PAIRS) {
            ak_text_add(&text, s.pair.a.data, s.pair.a.size);
            ak_text_add(&text, "|", 1);
            ak_text_add(&text, s.pair.b.data, s.pair.b.size);
            ak_text_printf(&text, "|%g|%lld\n", (double)s.pair.score, (long long)s.pair.subgroup);
        } else {
            ak_text_add(&text, s.group.object.data, s.group.object.size);
            ak_text_printf(&text, "|%lld\n", (long long)s.group.group);
        }
    }
    ak_arena_free(arena);
    if (!text.data)
        ak_text_printf(&text, "%s", "");
    return text.data;
}

/* The stream of a file is the data set of it, twice. */
static void check_same(const char *path, akin_sample_kind kind)
{
    akin_dataset *dataset;
    akin_stream *stream;
    akin_status status;
    akin_error error = {0};
    assert_ok(ak_dataset_open_file(&dataset, path, kind, NULL, NULL, told));
    assert_ok(akin_stream_open(&stream, path, kind, NULL, told));
    char *expected = dataset_text(dataset);
    for (int pass = 0; pass < 2; pass++) {
        char *found = stream_text(stream, &status, &error);
        assert_int_equal(status, AKIN_OK);
        if (strcmp(found, expected) != 0)
            fail_msg("%s: pass %d differs", path, pass);
        ak_free(found);
        assert_ok(stream->type.rewind(stream->self, pass + 1, told));
    }
    ak_free(expected);
    akin_dataset_free(dataset);
    akin_stream_free(stream);
}

static const char *write_gz(const char *name, const char *data, size_t size)
{
    const char *path = test_path(name);
    gzFile file = gzopen(path, "wb");
    assert_int_equal(gzwrite(file, data, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static void test_files(void **state)
{
    (void)state;
    check_same(write_text("1.jsonl", "\xef\xbb\xbf{\"a\": \"x\", \"b\": \"y\"}\r\n \n\n"
                                     "{\"a\": \"\xff\", \"b\": 7, \"score\": 0.5}"),
               AKIN_PAIRS);
    check_same(write_text("2.csv", "a,b,score\n\"x, \"\"y\"\"\n\nz\",b,1\n\nc,d,0\n"), AKIN_PAIRS);
    check_same(write_text("3.tsv", "object\tgroup\tx\nq \" r\t1\ns\tcat\tmore\tand more\n"), AKIN_GROUPS);
    check_same(write_text("4.csv", "text,group\nwhole,1\nrecord,2\n"), AKIN_GROUPS);
    check_same(write_text("5.txt", "__label__1 x y\n\n__label__cat z\n"), AKIN_GROUPS);
    /* Larger than the window, with records larger than it too, quoted line ends at every place. */
    ak_text csv = {0};
    ak_text_printf(&csv, "a,b\n");
    for (int i = 0; i < 9000; i++)
        ak_text_printf(&csv, "\"%d\n%*d\",\"\"\"%d,\n\"\n", i, i % 97, i, i);
    ak_text_printf(&csv, "\"%0600000d\n\",end\nlast,one\n", 1);
    check_same(write_bytes("5.csv", csv.data, csv.size), AKIN_PAIRS);
    check_same(write_gz("6.csv.gz", csv.data, csv.size), AKIN_PAIRS);
    ak_free(csv.data);
}

static void test_errors_of_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool at_open;
        int64_t line;
        const char *told;
    } bad[] = {
        {"a.jsonl", "{\"a\": 1, \"b\": 2}\n\n{\"a\": 1, \"b\": }\n", false, 3, "a.jsonl:3"},
        {"b.jsonl", "{\"a\": 1, \"b\": 2}\n{\"a\": 1}\n", false, 2, "no member \"b\""},
        {"c.jsonl", "{\"a\": 1, \"c\": 2}\n", true, 1, "no member \"b\""},
        {"d.csv", "a,b\n\"x\ny\",1\n\nz\n", false, 5, "1 field, expected 2"},
        {"e.csv", "a,c\n1,2\n", true, 1, "no column \"b\""},
        {"f.csv", "a,b\n1,2\n3,\"4\n", false, 3, "quote"},
        {"g.csv", "a,b\n", true, 0, "holds no samples"},
        {"h.jsonl", "", true, 0, "holds no samples"},
        {"i.jsonl", "\n \n", true, 0, "holds no samples"},
        {"j.data", "x\n", true, 0, "the name must end in"},
        {"k.jsonl", "{\"a\": 1, \"b\": 2}\n{\"a\": 1, \"b\": 2, \"score\": \"high\"}\n", false, 2,
         "expected a finite number"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akin_stream *stream;
        akin_error error = {0};
        akin_status status =
            akin_stream_open(&stream, write_text(bad[i].name, bad[i].text), AKIN_PAIRS, NULL, &error);
        assert_int_equal(status != AKIN_OK, bad[i].at_open);
        if (!status)
            ak_free(stream_text(stream, &status, &error));
        if (!status || error.line != bad[i].line || !strstr(error.message, bad[i].told))
            fail_msg("%s: %d, line %lld: %s", bad[i].name, (int)status, (long long)error.line,
                     error.message);
        if (!bad[i].at_open)
            akin_stream_free(stream);
    }
    akin_stream *stream;
    akin_error error = {0};
    const akin_fields by_number = {.no_header = true};
    akin_status status;
    assert_ok(akin_stream_open(&stream, write_text("n.csv", "x,y\nz,w\n"), AKIN_PAIRS, &by_number, told));
    for (int pass = 1; pass < 3; pass++) {
        char *text = stream_text(stream, &status, &error);
        assert_string_equal(text, "x|y|1|0\nz|w|1|0\n");
        ak_free(text);
        assert_ok(stream->type.rewind(stream->self, pass, told));
    }
    akin_stream_free(stream);
    assert_int_equal(akin_stream_open(&stream, test_path("none.jsonl"), AKIN_PAIRS, NULL, NULL),
                     AKIN_ERR_IO);
    assert_int_equal(akin_stream_open(&stream, NULL, AKIN_PAIRS, NULL, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(mkdir(test_path("folder.jsonl"), 0700), 0);
    assert_int_equal(akin_stream_open(&stream, test_path("folder.jsonl"), AKIN_PAIRS, NULL, &error),
                     AKIN_ERR_IO);
    assert_non_null(strstr(error.message, "is a folder"));
}

/* A .gz that was cut short gives what is whole and then says so. */
static void test_cut_gz(void **state)
{
    (void)state;
    ak_text text = {0};
    akin_stream *stream;
    akin_error error = {0};
    akin_status status;
    for (int i = 0; i < 20000; i++)
        ak_text_printf(&text, "{\"a\": \"%llx\", \"b\": 1}\n",
                       (long long)ak_random(1, 2, (uint64_t)i));
    const char *path = write_gz("cut.jsonl.gz", text.data, text.size);
    ak_free(text.data);
    assert_int_equal(truncate(path, 90000), 0);
    assert_ok(akin_stream_open(&stream, path, AKIN_PAIRS, NULL, told));
    ak_free(stream_text(stream, &status, &error));
    assert_int_equal(status, AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "ends too early"));
    akin_stream_free(stream);
}

static void *write_pipe(void *path)
{
    FILE *file = fopen(path, "w");
    for (int i = 0; file && i < 100; i++)
        fprintf(file, "{\"a\": %d, \"b\": \"y\"}\n", i);
    if (file)
        fclose(file);
    return NULL;
}

static void test_pipe(void **state)
{
    (void)state;
    static int64_t order[COUNT];
    char path[256];
    pthread_t writer;
    akin_stream *stream;
    snprintf(path, sizeof path, "%s", test_path("pipe.jsonl"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_pipe, path), 0);
    assert_ok(akin_stream_open(&stream, path, AKIN_PAIRS, NULL, told));
    assert_null(stream->type.rewind);
    akin_loader *loader = make_loader(stream, options_of(2, 10, 0));
    assert_int_equal(run_epoch(loader, 1, 0, order), 100);
    assert_true(ak_loader_exhausted(loader));
    assert_int_equal(pthread_join(writer, NULL), 0);
    akin_loader_free(loader);
    akin_stream_free(stream);
}

/* ---- errors ---- */

static void test_errors_in_order(void **state)
{
    (void)state;
    for (int workers = 0; workers < 4; workers++) {
        counting c = {.count = COUNT, .bad = 100, .half = -1};
        akin_stream *stream = make_counting(&c, false);
        akin_loader_options options = options_of(workers, 1, 0);
        akin_loader *loader = make_loader(stream, options);
        ak_batch *batch;
        akin_error error = {0};
        for (int round = 0; round < 2; round++) {
            assert_ok(ak_loader_start(loader, 1, 0, told));
            for (int i = 0; i < 6; i++) {
                assert_ok(ak_loader_next(loader, &batch, told));
                assert_int_equal(batch->count, 16);
                ak_loader_release(loader, batch);
            }
            assert_int_equal(ak_loader_next(loader, &batch, &error), AKIN_ERR_IO);
            assert_string_equal(error.message, "sample 100 is gone");
        }
        akin_loader_free(loader);
        akin_stream_free(stream);
    }
}

static void test_subgroup_on_some(void **state)
{
    (void)state;
    const char *path = write_text("some.jsonl", "{\"a\": 1, \"b\": 2, \"subgroup\": 3}\n\n"
                                                "{\"a\": 1, \"b\": 2}\n");
    counting c = {.count = 50, .bad = -1, .half = 20};
    akin_stream *streams[] = {make_counting(&c, false), NULL};
    assert_ok(akin_stream_open(&streams[1], path, AKIN_PAIRS, NULL, told));
    for (int i = 0; i < 2; i++) {
        akin_loader *loader = make_loader(streams[i], options_of(0, 100, 0));
        ak_batch *batch;
        akin_error error = {0};
        assert_ok(ak_loader_start(loader, 1, 0, told));
        assert_int_equal(ak_loader_next(loader, &batch, &error), AKIN_ERR_FORMAT);
        assert_non_null(strstr(error.message, i ? "some.jsonl:3: no subgroup, but the samples"
                                                : "numbers: sample 20: a subgroup, but"));
        akin_loader_free(loader);
        akin_stream_free(streams[i]);
    }
}

static void test_misuse(void **state)
{
    (void)state;
    counting c = {.count = 50, .bad = -1, .half = -1};
    akin_stream *stream = make_counting(&c, false), *none;
    akin_loader *loader;
    akin_loader_options options = options_of(0, 10, 0);
    akin_error error = {0};
    akin_stream_class type = {.size = sizeof type, .kind = AKIN_PAIRS};
    assert_int_equal(akin_stream_create(&none, &type, &c, NULL), AKIN_ERR_ARGUMENT);
    type.size = 1;
    assert_int_equal(akin_stream_create(&none, &type, &c, NULL), AKIN_ERR_ARGUMENT);
    assert_null(none);
    options.sampler = "no_duplicates";
    assert_int_equal(akin_stream_loader_create(&loader, stream, &options, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "needs the whole data set"));
    options.sampler = NULL;
    options.shuffle_buffer = 0;
    assert_int_equal(akin_stream_loader_create(&loader, stream, &options, NULL), AKIN_ERR_ARGUMENT);
    options.shuffle_buffer = 5;
    options.epoch_steps = -1;
    assert_int_equal(akin_stream_loader_create(&loader, stream, &options, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_stream_loader_create(&loader, NULL, NULL, NULL), AKIN_ERR_ARGUMENT);
    akin_pair pair = {akin_text("a"), akin_text("b"), 1, 0};
    akin_dataset *dataset;
    assert_ok(akin_dataset_from_pairs(&dataset, &pair, 1, told));
    options.epoch_steps = 3;
    assert_int_equal(akin_pair_loader_create(&loader, dataset, &options, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "epoch_steps is for streams"));
    akin_dataset_free(dataset);
    c.count = 0; /* a stream that gives nothing must not be asked for ever */
    ak_batch *batch;
    loader = make_loader(stream, options_of(0, 10, 5));
    assert_ok(ak_loader_start(loader, 1, 0, told));
    assert_int_equal(ak_loader_next(loader, &batch, &error), AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "holds no samples"));
    akin_loader_free(loader);
    akin_stream_free(stream);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s",
             write_text("m.csv", "a,b,subgroup\nx,y,1\n\"z\n\",x,2\nw,v,1\nu,t,3\n"));
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status; n++) {
        akin_stream *stream = NULL;
        akin_loader *loader = NULL;
        akin_error error = {0};
        akin_loader_options options = options_of(n % 3, 3, 0);
        ak_batch *batch = NULL;
        ak_memory_fail_at(n);
        status = akin_stream_open(&stream, path, AKIN_PAIRS, NULL, &error);
        if (!status)
            status = akin_stream_loader_create(&loader, stream, &options, &error);
        if (!status)
            status = ak_loader_prepare_stream(loader, NULL, NULL, NULL, &error);
        if (!status)
            status = ak_loader_start(loader, 1, 0, &error);
        if (!status)
            status = ak_loader_next(loader, &batch, &error);
        ak_memory_fail_at(0);
        if (status != AKIN_OK && (status != AKIN_ERR_MEMORY || !*error.message))
            fail_msg("allocation %lld: %d %s", (long long)n, (int)status, error.message);
        akin_loader_free(loader);
        akin_stream_free(stream);
    }
}

/* ---- training ---- */

static akin_context *context;
static volatile int interrupt;
static int64_t stop_after;

static void maybe_interrupt(void *user, akin_training *training)
{
    (void)user;
    if (akin_training_step(training) == stop_after)
        interrupt = 1;
}

static const char *const recipe_text =
    "data: {train: train.jsonl, validation: held.jsonl}\n"
    "encoders: {n: {type: numbers, dim: 6}}\n"
    "optimizer: {lr: 0.02}\n"
    "metrics: []\n"
    "cache: false\n"
    "train: {batch_size: 16, epochs: 3, early_stopping: false}\n";

enum { DIM = 6, SIGNAL = 3 }; /* three numbers that a pair shares, three that disturb */

static void write_numbers(const char *name, int count, uint64_t seed)
{
    ak_text text = {0};
    for (int i = 0; i < count; i++)
        for (int side = 0; side < 2; side++) {
            ak_text_printf(&text, side ? ", \"b\": \"" : "{\"a\": \"");
            for (int c = 0; c < DIM; c++) {
                double own = ak_random_normal(seed, 1, (uint64_t)((2 * i + side) * DIM + c));
                double shared = ak_random_normal(seed, 2, (uint64_t)(i * DIM + c));
                ak_text_printf(&text, "%.4f ", c < SIGNAL ? shared + 0.2 * own : 1.5 * own);
            }
            ak_text_printf(&text, side ? "\"}\n" : "\"");
        }
    write_bytes(name, text.data, text.size);
    ak_free(text.data);
}

/* The vector of an object, by the model of a run. */
static akin_status train(const char *const *sets, int count, bool resume, float *vector,
                         akin_fit_summary *summary, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *training, *validation;
    akin_model *model = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s", write_text("recipe.yaml", recipe_text));
    AK_TRY(akin_recipe_open(&recipe, context, path, sets, count, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    const akin_callback callback = {.size = sizeof callback, .on_step_end = maybe_interrupt};
    trainer.checkpoint = test_path("run");
    trainer.resume = resume;
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    akin_status status = akin_recipe_loaders(recipe, &training, &validation, error);
    if (!status)
        status = akin_fit(&model, context, &trainable, &trainer, training, validation, summary,
                          error);
    if (model) {
        akin_object object = akin_text("0.3 0.7 1 2 3 4");
        assert_ok(akin_model_encode(model, &object, 1, vector, told));
    }
    akin_model_free(model);
    akin_recipe_free(recipe);
    return status;
}

static int start_training(void **state)
{
    (void)state;
    interrupt = 0;
    stop_after = 0;
    write_numbers("train.jsonl", 100, 1);
    write_numbers("held.jsonl", 40, 2);
    if (akin_context_create(&context, NULL))
        return -1;
    akin_context_on_interrupt(context, &interrupt);
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int end_training(void **state)
{
    (void)state;
    akin_context_free(context);
    return 0;
}

/* Killed and resumed ends in the same bits, in epochs of a pass and of so many steps. */
static void test_resumes(void **state)
{
    (void)state;
    static const char *const sets[] = {"data.streaming=true", "data.shuffle_buffer=30",
                                       "train.epoch_steps=5"};
    for (int count = 2; count <= 3; count++) {
        float whole[DIM], parts[DIM];
        akin_fit_summary summary;
        akin_error error = {0};
        stop_after = 0;
        assert_ok(train(sets, count, false, whole, &summary, told));
        assert_int_equal(summary.steps, count == 2 ? 21 : 15);
        assert_int_equal(summary.best_epoch, 3);
        stop_after = 9;
        assert_int_equal(train(sets, count, false, parts, &summary, &error), AKIN_ERR_INTERRUPTED);
        interrupt = 0;
        stop_after = 0;
        assert_ok(train(sets, count, true, parts, &summary, told));
        assert_memory_equal(whole, parts, sizeof whole);
        const char *const other[] = {"data.streaming=true", "data.shuffle_buffer=31",
                                     "train.epoch_steps=5"};
        assert_int_equal(train(other, count, true, parts, &summary, &error), AKIN_ERR_MISMATCH);
        if (!strstr(error.message, "shuffle_buffer was 30, this run's is 31"))
            fail_msg("%s", error.message);
    }
}

/* With a buffer for all of it a stream trains as well as the data set; a step sees the same kind of
   batch. */
static void test_learns(void **state)
{
    (void)state;
    static const char *const streaming[] = {"data.streaming=true"};
    float vector[DIM];
    akin_fit_summary set, stream;
    assert_ok(train(NULL, 0, false, vector, &set, told));
    assert_ok(train(streaming, 1, false, vector, &stream, told));
    assert_true(set.best_value < set.base_value);
    assert_true(stream.base_value == set.base_value);
    double gain = (stream.base_value - stream.best_value) / (set.base_value - set.best_value);
    assert_true(gain > 0.8 && gain < 1.25);
    assert_int_equal(stream.steps, set.steps);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sets[4];
        akin_status status;
        const char *told;
    } bad[] = {
        {{"data.validation=0.1"}, AKIN_ERR_ARGUMENT, "no validation set can be drawn from a stream"},
        {{"data.train=[train.jsonl, held.jsonl]"}, AKIN_ERR_ARGUMENT, "reads one file"},
        {{"optimizer.schedule=cosine"}, AKIN_ERR_ARGUMENT, "set epoch_steps or max_steps"},
        {{"optimizer.schedule=cosine", "train.epoch_steps=4"}, AKIN_OK, ""},
        {{"optimizer.schedule=linear", "train.max_steps=8"}, AKIN_OK, ""},
        {{"train.sampler=no_duplicates"}, AKIN_ERR_ARGUMENT, "needs the whole data set"},
        {{"data.samples=groups", "data.fields={object: a, group: b}", "loss.type=cosface"},
         AKIN_ERR_UNSUPPORTED, "the groups of a stream are not known beforehand"},
        {{"data.samples=groups", "data.fields={object: a, group: b}",
          "loss={type: sum, losses: [{type: xbm, loss: supcon}]}"},
         AKIN_ERR_UNSUPPORTED, "remembers earlier batches"},
        {{"data.samples=groups", "data.fields={object: a, group: b}", "loss.type=triplet"},
         AKIN_OK, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *sets[5] = {"data.streaming=true"};
        int count = 1;
        float vector[DIM];
        akin_fit_summary summary;
        akin_error error = {0};
        for (int k = 0; k < 4 && bad[i].sets[k]; k++)
            sets[count++] = bad[i].sets[k];
        akin_status status = train(sets, count, false, vector, &summary, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].told))
            fail_msg("%s: %d %s", bad[i].sets[0], (int)status, error.message);
    }
    const char *const steps[] = {"train.epoch_steps=4"}; /* without streaming */
    float vector[DIM];
    akin_fit_summary summary;
    assert_int_equal(train(steps, 1, false, vector, &summary, NULL), AKIN_ERR_ARGUMENT);
}

#define TRAINING(test) cmocka_unit_test_setup_teardown(test, start_training, end_training)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_unshuffled),
        cmocka_unit_test(test_epoch_steps),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_labels_of_pairs),
        cmocka_unit_test(test_labels_of_groups),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_errors_of_files),
        cmocka_unit_test(test_cut_gz),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_errors_in_order),
        cmocka_unit_test(test_subgroup_on_some),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_out_of_memory),
        TRAINING(test_resumes),
        TRAINING(test_learns),
        TRAINING(test_refused),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
