/* Streams: what they give is what a data set gives; the shuffle buffer; batches and their labels.
   Training from one: test_stream_train.c. */
#include "data_files.h"

#include "data/stream.h"

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
    const char *path =
        write_text("p.jsonl", "{\"a\": \"q\", \"b\": \"r\", \"subgroup\": 5}\n"
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
    check_same(write_text("3.tsv", "object\tgroup\tx\nq \" r\t1\ns\tcat\tmore\tand more\n"),
               AKIN_GROUPS);
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
        akin_status status = akin_stream_open(&stream, write_text(bad[i].name, bad[i].text),
                                              AKIN_PAIRS, NULL, &error);
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
    assert_ok(
        akin_stream_open(&stream, write_text("n.csv", "x,y\nz,w\n"), AKIN_PAIRS, &by_number, told));
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
    assert_int_equal(akin_pair_loader_create(&loader, dataset, &options, &error),
                     AKIN_ERR_ARGUMENT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),           cmocka_unit_test(test_unshuffled),
        cmocka_unit_test(test_epoch_steps),     cmocka_unit_test(test_once),
        cmocka_unit_test(test_labels_of_pairs), cmocka_unit_test(test_labels_of_groups),
        cmocka_unit_test(test_files),           cmocka_unit_test(test_errors_of_files),
        cmocka_unit_test(test_cut_gz),          cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_errors_in_order), cmocka_unit_test(test_subgroup_on_some),
        cmocka_unit_test(test_misuse),          cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
