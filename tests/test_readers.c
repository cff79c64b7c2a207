/* The readers of JSONL, CSV and TSV: what they give, and what they say of bad files. */
#include "data_files.h"

#define RECORD_A "{\"object\": \"x\", \"group\": 1}\n"

/* ---- what is read ---- */

typedef struct good_case {
    const char *name, *file, *content, *expected;
    akin_sample_kind kind;
    akin_fields fields;
} good_case;

static const good_case good_cases[] = {
    {"jsonl pairs", "f.jsonl",
     "{\"a\": \"x\", \"b\": \"y\"}\n"
     "{\"b\": \"w\", \"a\": \"z\", \"score\": 0.25, \"subgroup\": 7, \"more\": [1, {}]}\n",
     "x|y|1|0\nz|w|0.25|7\n", AKIN_PAIRS},
    {"jsonl null is absent", "f.jsonl",
     "{\"a\": \"x\", \"b\": \"y\", \"score\": null, \"subgroup\": null}\n", "x|y|1|0\n",
     AKIN_PAIRS},
    {"jsonl score kinds", "f.jsonl",
     "{\"a\": \"\", \"b\": \"\", \"score\": 1}\n{\"a\": \"\", \"b\": \"\", \"score\": false}\n"
     "{\"a\": \"\", \"b\": \"\", \"score\": -2.5e0}\n",
     "||1|0\n||0|0\n||-2.5|0\n", AKIN_PAIRS},
    {"jsonl objects of other types", "f.jsonl",
     "{\"a\": 12, \"b\": true}\n{\"a\": 0.5, \"b\": {\"t\": \"u\"}}\n",
     "12|true|1|0\n0.5|{\"t\":\"u\"}|1|0\n", AKIN_PAIRS},
    {"jsonl mapped",
     "f.jsonl",
     "{\"q\": \"x\", \"r\": \"y\", \"s\": 0, \"a\": 1, \"score\": 9}\n",
     "x|y|0|0\n",
     AKIN_PAIRS,
     {.a = "q", .b = "r", .score = "s"}},
    {"jsonl mark, line ends, blanks, no last line end", "f.jsonl",
     "\xef\xbb\xbf{\"a\": \"x\", \"b\": \"y\"}\r\n\r\n \t\n\n{\"a\": \"z\", \"b\": \"\"}",
     "x|y|1|0\nz||1|0\n", AKIN_PAIRS},
    {"jsonl repaired", "f.jsonl", "{\"a\": \"x\xff\", \"b\": \"\xe2\x82\"}\n",
     "x\xef\xbf\xbd|\xef\xbf\xbd|1|0\n", AKIN_PAIRS},
    {"jsonl subgroup 0 is not given", "f.jsonl",
     "{\"a\": \"\", \"b\": \"\", \"subgroup\": 0}\n{\"a\": \"\", \"b\": \"\", \"subgroup\": \"\"}\n"
     "{\"a\": \"\", \"b\": \"\", \"subgroup\": \"0\"}\n",
     "||1|0\n||1|0\n||1|0\n", AKIN_PAIRS},
    {"jsonl groups", "f.jsonl",
     "{\"object\": \"x\", \"group\": 3}\n{\"object\": \"y\", \"group\": \"3\"}\n"
     "{\"object\": \"z\", \"group\": 3.0}\n{\"object\": \"\", \"group\": -4}\n",
     "x|3\ny|3\nz|3\n|-4\n", AKIN_GROUPS},
    {"jsonl whole record", "f.jsonl", "{\"text\":  \"x\", \"group\": 3}  \n",
     "{\"text\":  \"x\", \"group\": 3}  |3\n", AKIN_GROUPS},
    {"csv pairs", "f.csv", "a,b,score,subgroup\nx,y,0.5,2\nz,w,,\n", "x|y|0.5|2\nz|w|1|0\n",
     AKIN_PAIRS},
    {"csv quotes", "f.csv",
     "b,a\n\"one, \"\"two\"\"\", \"\n\"line\nline\r\nline\",\"\"\n5\" disk,a\"b\"\n",
     " \"|one, \"two\"|1|0\n|line\nline\r\nline|1|0\na\"b\"|5\" disk|1|0\n", AKIN_PAIRS},
    {"csv mark, line ends, blanks, no last line end", "f.csv",
     "\xef\xbb\xbf\"a\",b\r\n\r\n\nx,\"y\"\r\n,", "x|y|1|0\n||1|0\n", AKIN_PAIRS},
    {"csv mapped", "f.csv", "q,r,a\nx,y,z\n", "x|y|1|0\n", AKIN_PAIRS, {.a = "q", .b = "r"}},
    {"csv whole record", "f.csv", "t\"\"x,group\n\"a\"\"\\\n\",7\n",
     "{\"t\\\"\\\"x\": \"a\\\"\\\\\\u000a\", \"group\": \"7\"}|7\n", AKIN_GROUPS},
    {"csv repaired", "f.csv", "object,group\nx\xff,1\n", "x\xef\xbf\xbd|1\n", AKIN_GROUPS},
    {"tsv pairs", "f.tsv", "score\ta\tb\n.5\t\"x\ty, \"z\"\n\t\t\n\n1e-1\tx\ty\tmore\tfields\n",
     "\"x|y, \"z\"|0.5|0\n||1|0\nx|y|0.1|0\n", AKIN_PAIRS},
    {"tsv short record", "f.tsv", "a\tb\tscore\nx\ty\n", "x|y|1|0\n", AKIN_PAIRS},
    {"tsv whole record", "f.tsv", "t\tgroup\nx\t7\n", "{\"t\": \"x\", \"group\": \"7\"}|7\n",
     AKIN_GROUPS},
    {"csv without a header",
     "f.csv",
     "x,\"y\"\n\nz,w\n",
     "x|y|1|0\nz|w|1|0\n",
     AKIN_PAIRS,
     {.no_header = true}},
    {"tsv without a header",
     "f.tsv",
     "0.5\tx\ty\t7\n1\tz\tw\t8\n",
     "x|y|0.5|7\nz|w|1|8\n",
     AKIN_PAIRS,
     {.a = "2", .b = "3", .score = "1", .subgroup = "4", .no_header = true}},
    {"groups without a header",
     "f.tsv",
     "1\tx y\n2\tz\n1\tw\n",
     "x y|1\nz|2\nw|1\n",
     AKIN_GROUPS,
     {.object = "2", .group = "1", .no_header = true}},
    {"fasttext", "f.txt", "__label__7 x y\n\n  __label__-2\tz __label \n__label__3",
     "x y|7\nz __label |-2\n|3\n", AKIN_GROUPS},
    {"tsv unused columns of one name", "f.tsv", "a\tb\tx\tx\n1\t2\t3\t4\n", "1|2|1|0\n",
     AKIN_PAIRS},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_cases / sizeof *good_cases; i++) {
        const good_case *c = &good_cases[i];
        akin_dataset *dataset;
        akin_error error = {0};
        const char *path = write_text(c->file, c->content);
        if (ak_dataset_open_file(&dataset, path, c->kind, &c->fields, NULL, &error))
            fail_msg("%s: %s", c->name, error.message);
        char *text = dataset_text(dataset);
        if (strcmp(text, c->expected))
            fail_msg("%s: expected\n%s\ngot\n%s", c->name, c->expected, text);
        ak_free(text);
        akin_dataset_free(dataset);
    }
}

static void test_nul_bytes(void **state)
{
    (void)state;
    static const char csv[] = "a,b\nx\0y,\"\0\"\n", tsv[] = "a\tb\n\0\tx\0y\n";
    static const char *const names[] = {"f.csv", "f.tsv"};
    static const char *const expected[] = {"x~y|~|1|0\n", "~|x~y|1|0\n"};
    for (int i = 0; i < 2; i++) {
        akin_dataset *dataset;
        const char *path = write_bytes(names[i], i ? tsv : csv, (i ? sizeof tsv : sizeof csv) - 1);
        assert_ok(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, told));
        char *text = dataset_text(dataset);
        assert_string_equal(text, expected[i]);
        ak_free(text);
        akin_dataset_free(dataset);
    }
}

static void test_large_text(void **state)
{
    (void)state;
    static const char *const names[] = {"f.jsonl", "f.csv", "f.tsv"};
    static const char *const before[] = {"{\"object\": \"", "object,group\n\"", "object\tgroup\n"};
    static const char *const after[] = {"\", \"group\": 1}\n", "\",1\n", "\t1\n"};
    const size_t size = 1 << 20;
    for (int i = 0; i < 3; i++) {
        akin_dataset *dataset;
        akin_sample sample;
        akin_arena *arena;
        ak_text text = {0};
        ak_text_printf(&text, "%s", before[i]);
        for (size_t n = 0; n < size; n++)
            ak_text_add(&text, "x", 1);
        ak_text_printf(&text, "%s", after[i]);
        const char *path = write_bytes(names[i], text.data, text.size);
        assert_ok(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, told));
        assert_ok(ak_arena_create(&arena, told));
        assert_ok(akin_dataset_get(dataset, 0, arena, &sample, told));
        assert_int_equal(sample.group.object.size, size);
        ak_arena_free(arena);
        akin_dataset_free(dataset);
        ak_free(text.data);
    }
}

/* Labels are texts: canonical whole numbers are themselves, and other texts are told apart. */
static void test_labels(void **state)
{
    (void)state;
    static const char *const labels[] = {"1",
                                         "\"01\"",
                                         "\"1\"",
                                         "true",
                                         "\"true\"",
                                         "false",
                                         "0.5",
                                         "\"0.5\"",
                                         "\"x\"",
                                         "\"y\"",
                                         "1.0",
                                         "\"+1\"",
                                         "\"-0\"",
                                         "0",
                                         "1e300",
                                         "9223372036854775807",
                                         "\"9223372036854775807\""};
    /* The first label that is the same one. */
    static const int same[] = {0, 1, 0, 3, 3, 5, 6, 6, 8, 9, 0, 11, 12, 13, 14, 15, 15};
    enum { N = sizeof labels / sizeof *labels };
    int64_t got[N];
    ak_text text = {0};
    for (int i = 0; i < N; i++)
        ak_text_printf(&text, "{\"group\": %s}\n", labels[i]);
    akin_dataset *dataset;
    const char *path = write_text("f.jsonl", text.data);
    ak_free(text.data);
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, told));
    akin_arena *arena;
    assert_ok(ak_arena_create(&arena, told));
    for (int i = 0; i < N; i++) {
        akin_sample sample;
        assert_ok(akin_dataset_get(dataset, i, arena, &sample, told));
        got[i] = sample.group.group;
        int first = 0;
        while (got[first] != got[i])
            first++;
        assert_int_equal(first, same[i]);
    }
    assert_int_equal(got[0], 1);
    assert_true(got[15] == INT64_MAX);
    ak_arena_free(arena);
    akin_dataset_free(dataset);
}

/* ---- what is refused ---- */

typedef struct bad_case {
    const char *name, *file, *content;
    akin_status status;
    int64_t line;
    const char *message; /* a part of it */
    akin_sample_kind kind;
    akin_fields fields;
} bad_case;

#define PAIR "{\"a\": \"x\", \"b\": \"y\"}\n"

static const bad_case bad_cases[] = {
    {"unknown suffix", "f.json", PAIR, AKIN_ERR_UNSUPPORTED, 0, ".jsonl, .csv, .tsv or .txt"},
    {"no suffix before .gz", "f.gz", PAIR, AKIN_ERR_UNSUPPORTED, 0, ".jsonl, .csv, .tsv or .txt"},
    {"empty", "f.jsonl", "", AKIN_ERR_FORMAT, 0, "f.jsonl: holds no samples"},
    {"blank", "f.jsonl", "\xef\xbb\xbf \n\n\r\n", AKIN_ERR_FORMAT, 0, "holds no samples"},
    {"csv empty", "f.csv", "", AKIN_ERR_FORMAT, 0, "holds no samples"},
    {"csv header only", "f.csv", "a,b\n\n", AKIN_ERR_FORMAT, 0, "holds no samples, only a header"},
    {"tsv header only", "f.tsv", "a\tb", AKIN_ERR_FORMAT, 0, "holds no samples, only a header"},

    {"not json", "f.jsonl", PAIR "\n{\"a\": \n" PAIR, AKIN_ERR_FORMAT, 3, "f.jsonl:3"},
    {"not an object", "f.jsonl", PAIR "[1]\n", AKIN_ERR_FORMAT, 2, "f.jsonl:2"},
    {"two objects on a line", "f.jsonl", PAIR "{\"a\": \"\", \"b\": \"\"} {}\n", AKIN_ERR_FORMAT, 2,
     "f.jsonl:2"},
    {"member twice", "f.jsonl", PAIR "{\"a\": \"\", \"b\": \"\", \"a\": \"\"}\n", AKIN_ERR_FORMAT,
     2, "f.jsonl:2"},
    {"nan", "f.jsonl", PAIR PAIR "{\"a\": \"x\", \"b\": \"y\", \"score\": NaN}\n", AKIN_ERR_FORMAT,
     3, "f.jsonl:3"},
    {"beyond float32", "f.jsonl", "{\"a\": \"x\", \"b\": \"y\", \"score\": 1e39}\n",
     AKIN_ERR_FORMAT, 1, "\"score\" is \"1e+39\", expected a finite number"},
    {"text score", "f.jsonl", PAIR "{\"a\": \"x\", \"b\": \"y\", \"score\": \"0.5\"}\n",
     AKIN_ERR_FORMAT, 2, "\"score\" is \"0.5\", expected a finite number"},
    {"member missing", "f.jsonl", PAIR "{\"a\": \"x\", \"B\": \"y\"}\n", AKIN_ERR_FORMAT, 2,
     "no member \"b\""},
    {"member missing, what there is",
     "f.jsonl",
     "{\"questoin\": 1, \"answer\": 2}\n",
     AKIN_ERR_FORMAT,
     1,
     "no member \"question\" (did you mean \"questoin\"?); the record has \"questoin\", "
     "\"answer\"",
     AKIN_PAIRS,
     {.a = "question", .b = "answer"}},
    {"empty record", "f.jsonl", "{}\n", AKIN_ERR_FORMAT, 1, "the record has none"},
    {"member null", "f.jsonl", PAIR PAIR "{\"a\": \"x\", \"b\": null}\n", AKIN_ERR_FORMAT, 3,
     "\"b\" is null"},
    {"named score missing",
     "f.jsonl",
     "{\"a\": \"x\", \"b\": \"y\", \"score\": 1}\n",
     AKIN_ERR_FORMAT,
     1,
     "no member \"sim\"",
     AKIN_PAIRS,
     {.score = "sim"}},
    {"named subgroup missing",
     "f.jsonl",
     PAIR,
     AKIN_ERR_FORMAT,
     1,
     "no member \"part\"",
     AKIN_PAIRS,
     {.subgroup = "part"}},
    {"named object missing",
     "f.jsonl",
     "{\"text\": \"x\", \"group\": 1}\n",
     AKIN_ERR_FORMAT,
     1,
     "no member \"txt\" (did you mean \"text\"?)",
     AKIN_GROUPS,
     {.object = "txt"}},
    {"group missing", "f.jsonl", RECORD_A "{\"object\": \"x\"}\n", AKIN_ERR_FORMAT, 2,
     "no member \"group\"", AKIN_GROUPS},
    {"groups read as pairs", "f.jsonl", "{\"object\": 1, \"group\": 2}\n", AKIN_ERR_FORMAT, 1,
     "the record has \"object\", \"group\": are these groups (samples: groups)?"},
    {"pairs read as groups", "f.jsonl", PAIR, AKIN_ERR_FORMAT, 1,
     "are these pairs (samples: pairs)?", AKIN_GROUPS},
    {"a csv of groups read as pairs", "f.csv", "text,group\nx,1\n", AKIN_ERR_FORMAT, 1,
     "no column \"a\"; the header has \"text\", \"group\": are these groups (samples: groups)?"},
    {"gzip by another name", "f.jsonl", "\x1f\x8b\x08", AKIN_ERR_FORMAT, 0,
     "its name must end in .gz"},
    {"fasttext without a label", "f.txt", "__label__1 x\n\ny\n", AKIN_ERR_FORMAT, 3,
     "expected a line of __label__NAME and a text", AKIN_GROUPS},
    {"fasttext, empty label", "f.txt", "__label__ x\n", AKIN_ERR_FORMAT, 1, "__label__NAME",
     AKIN_GROUPS},
    {"fasttext, two labels", "f.txt", "__label__1 x\n__label__1 __label__2 x\n", AKIN_ERR_FORMAT, 2,
     "several labels", AKIN_GROUPS},
    {"fasttext as pairs", "f.txt", "__label__1 x\n", AKIN_ERR_MISMATCH, 0, "holds groups"},
    {"fasttext with fields",
     "f.txt",
     "__label__1 x\n",
     AKIN_ERR_ARGUMENT,
     0,
     "no fields to name",
     AKIN_GROUPS,
     {.object = "text"}},
    {"jsonl without a header",
     "f.jsonl",
     PAIR,
     AKIN_ERR_ARGUMENT,
     0,
     "is for .csv and .tsv",
     AKIN_PAIRS,
     {.no_header = true}},
    {"groups without a header, unnamed",
     "f.csv",
     "x,1\n",
     AKIN_ERR_ARGUMENT,
     0,
     "must be numbers of columns",
     AKIN_GROUPS,
     {.group = "2", .no_header = true}},
    {"a number of no column",
     "f.csv",
     "x,1\n",
     AKIN_ERR_FORMAT,
     1,
     "no column \"3\"; the first line has the columns \"1\", \"2\"",
     AKIN_PAIRS,
     {.b = "3", .no_header = true}},
    {"a name without a header",
     "f.tsv",
     "x\t1\n",
     AKIN_ERR_FORMAT,
     1,
     "no column \"text\"",
     AKIN_PAIRS,
     {.b = "text", .no_header = true}},
    {"without a header, too few",
     "f.csv",
     "x,1\ny\n",
     AKIN_ERR_FORMAT,
     2,
     "expected 2 as in the first line",
     AKIN_PAIRS,
     {.no_header = true}},
    {"group null", "f.jsonl", RECORD_A "{\"object\": \"x\", \"group\": null}\n", AKIN_ERR_FORMAT, 2,
     "\"group\" is null", AKIN_GROUPS},
    {"group empty", "f.jsonl", RECORD_A "{\"object\": \"x\", \"group\": \"\"}\n", AKIN_ERR_FORMAT,
     2, "\"group\" is empty", AKIN_GROUPS},

    {"column missing",
     "f.csv",
     "\nquestoin,answer\nx,y\n",
     AKIN_ERR_FORMAT,
     2,
     "no column \"question\" (did you mean \"questoin\"?); the header has \"questoin\", "
     "\"answer\"",
     AKIN_PAIRS,
     {.a = "question", .b = "answer"}},
    {"named score column missing",
     "f.tsv",
     "a\tb\nx\ty\n",
     AKIN_ERR_FORMAT,
     1,
     "no column \"sim\"",
     AKIN_PAIRS,
     {.score = "sim"}},
    {"columns of one name", "f.csv", "a,b,a\nx,y,z\n", AKIN_ERR_FORMAT, 1,
     "two columns are named \"a\""},
    {"columns of one name in a whole record", "f.csv", "t,group,t\nx,y,z\n", AKIN_ERR_FORMAT, 1,
     "two columns are named \"t\"", AKIN_GROUPS},
    {"csv too many", "f.csv", "a,b\nx,y\nHello, world,y\n", AKIN_ERR_FORMAT, 3,
     "3 fields, expected 2"},
    {"csv too few", "f.csv", "a,b\n\"x\n\n\",y\n\nz\n", AKIN_ERR_FORMAT, 6, "1 field, expected 2"},
    {"csv quote never closed", "f.csv", "a,b\nx,y\nz,\"w\nx,y\n", AKIN_ERR_FORMAT, 3,
     "starts here and never ends"},
    {"csv text after a quote", "f.csv", "a,b\nx,y\n\"z\n\" w,x\n", AKIN_ERR_FORMAT, 4,
     "after a closing quote"},
    {"csv carriage return after a quote", "f.csv", "a,b\n\"z\"\r,x\n", AKIN_ERR_FORMAT, 2,
     "after a closing quote"},
    {"csv nan", "f.csv", "a,b,score\nx,y,1\nx,y,nan\n", AKIN_ERR_FORMAT, 3,
     "\"score\" is \"nan\", expected a finite number"},
    {"csv infinite", "f.csv", "a,b,score\nx,y,1\nx,y,inf\n", AKIN_ERR_FORMAT, 3, "\"inf\""},
    {"csv score is a text", "f.csv", "a,b,score\nx,y,1\nx,y,high\n", AKIN_ERR_FORMAT, 3,
     "\"high\""},
    {"csv score is a decimal comma", "f.csv", "a,b,score\nx,y,\"0,5\"\n", AKIN_ERR_FORMAT, 2,
     "\"0,5\""},
    {"csv named score empty",
     "f.csv",
     "a,b,s\nx,y,1\nx,y,\n",
     AKIN_ERR_FORMAT,
     3,
     "no \"s\"",
     AKIN_PAIRS,
     {.score = "s"}},
    {"csv group empty", "f.csv", "object,group\nx,1\nx,\n", AKIN_ERR_FORMAT, 3,
     "\"group\" is empty", AKIN_GROUPS},
    {"tsv too few", "f.tsv", "a\tb\nx\ty\nx\n", AKIN_ERR_FORMAT, 3, "no \"b\", which is column 2"},
    {"tsv whole record too many", "f.tsv", "t\tgroup\nx\t1\nx\t1\t2\n", AKIN_ERR_FORMAT, 3,
     "3 fields, expected 2", AKIN_GROUPS},
    {"not gzip", "f.jsonl.gz", PAIR, AKIN_ERR_FORMAT, 0, "f.jsonl.gz"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        const bad_case *c = &bad_cases[i];
        akin_error error = {0};
        const char *path = write_text(c->file, c->content);
        akin_status status = read_whole(path, c->kind, &c->fields, NULL, &error);
        if (status != c->status || error.status != c->status || error.line != c->line ||
            !strstr(error.message, c->message))
            fail_msg("%s: got status %d, line %lld, %s", c->name, status, (long long)error.line,
                     error.message);
        assert_int_equal(read_whole(path, c->kind, &c->fields, NULL, NULL), c->status);
    }
}

static void write_in(const char *folder, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    write_text(path, text);
}

static void test_folder_of_texts(void **state)
{
    (void)state;
    char path[256];
    akin_dataset *dataset;
    akin_error error = {0};
    akin_arena *arena;
    ak_value label;
    ak_hash before, after;
    snprintf(path, sizeof path, "%s", test_path("texts"));
    static const char *const folders[] = {"texts", "texts/7", "texts/cats", "texts/empty"};
    for (int i = 0; i < 4; i++)
        assert_ok(ak_make_folders(test_path(folders[i]), told));
    assert_int_equal(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, &error),
                     AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "texts: a folder without texts"));
    write_in("texts", "readme.txt", "no group's");
    write_in("texts/7", "b.txt", "second\nline\r\n\n");
    write_in("texts/7", "a.txt", "");
    write_in("texts/7", "notes.md", "no text");
    write_in("texts/cats", "c.txt", "x\xff");
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, told));
    assert_int_equal(akin_dataset_count(dataset), 3);
    assert_ok(ak_arena_create(&arena, told));
    akin_sample samples[3];
    for (int i = 0; i < 3; i++)
        assert_ok(akin_dataset_get(dataset, i, arena, &samples[i], told));
    assert_int_equal(samples[0].group.object.size, 0);
    assert_int_equal(samples[1].group.object.size, 11);
    assert_memory_equal(samples[1].group.object.data, "second\nline", 11);
    assert_memory_equal(samples[2].group.object.data, "x\xef\xbf\xbd", 4);
    assert_int_equal(samples[0].group.group, 7);
    assert_int_equal(samples[1].group.group, 7);
    assert_ok(akin_dataset_get(dataset, 2, arena, &samples[2], told));
    assert_int_equal(ak_dataset_replaced(dataset), 1);
    assert_ok(ak_dataset_label(dataset, 2, arena, &label, told));
    assert_string_equal(label.string, "cats");
    assert_true(ak_dataset_fingerprint(dataset, &before));
    ak_arena_free(arena);
    akin_dataset_free(dataset);
    write_in("texts/7", "a.txt", "more");
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, told));
    assert_true(ak_dataset_fingerprint(dataset, &after));
    assert_false(ak_hash_equal(before, after));
    akin_dataset_free(dataset);

    const akin_fields fields = {.group = "label"};
    assert_int_equal(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, &error),
                     AKIN_ERR_MISMATCH);
    assert_int_equal(ak_dataset_open_file(&dataset, path, AKIN_GROUPS, &fields, NULL, &error),
                     AKIN_ERR_ARGUMENT);
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status; n++) {
        ak_memory_fail_at(n);
        status = ak_dataset_open_file(&dataset, path, AKIN_GROUPS, NULL, NULL, &error);
        ak_memory_fail_at(0);
        assert_true(!status || (status == AKIN_ERR_MEMORY && !dataset));
    }
    akin_dataset_free(dataset);
}

static void test_missing_file(void **state)
{
    (void)state;
    akin_error error = {0};
    assert_int_equal(read_whole(test_path("none.jsonl"), AKIN_PAIRS, NULL, NULL, &error),
                     AKIN_ERR_IO);
    assert_non_null(strstr(error.message, "none.jsonl"));
    assert_int_equal(read_whole(test_path("none.csv.gz"), AKIN_PAIRS, NULL, test_folder, &error),
                     AKIN_ERR_IO);
    assert_non_null(strstr(error.message, "none.csv.gz"));
}

/* A corpus asks for fields that a header need not have: told by name, as for a data set. */
static void test_corpus_column_missing(void **state)
{
    (void)state;
    static const char *const fields[] = {"text", NULL};
    akin_corpus *corpus;
    akin_arena *arena;
    akin_object object;
    akin_error error = {0};
    const char *path = write_text("c.csv", "id,texts\n1,x\n");
    assert_ok(ak_corpus_open(&corpus, path, fields, NULL, NULL, told));
    assert_ok(ak_arena_create(&arena, told));
    assert_int_equal(ak_corpus_get(corpus, 0, arena, &object, &error), AKIN_ERR_FORMAT);
    assert_int_equal(error.line, 1);
    assert_non_null(strstr(error.message, "no column \"text\" (did you mean \"texts\"?)"));
    ak_arena_free(arena);
    akin_corpus_free(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_large_text),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_corpus_column_missing),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_folder_of_texts),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
