/* Files and folders: whole or not at all, on a full disk too; gzip; locks; logs; paths. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* ---- a file system with faults: these stand before the C library's ---- */

static bool no_renameat2; /* as on NFS, or a kernel without it */
static bool sync_fails;   /* as on a disk that lost what was written */

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (!no_renameat2)
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    errno = EINVAL;
    return -1;
}

int fsync(int file)
{
    if (!sync_fails)
        return (int)syscall(SYS_fsync, file);
    errno = EIO;
    return -1;
}

/* Names in the scratch folder, "a b c"; what a failure leaves behind would show here. */
static void assert_scratch_holds(const char *expected)
{
    char **names, all[1000] = "";
    int64_t count;
    assert_int_equal(ak_list_folder(&names, &count, scratch, NULL), AKIN_OK);
    for (int64_t i = 0; i < count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), i ? " %s" : "%s", names[i]);
    ak_names_free(names, count);
    assert_string_equal(all, expected);
}

/* ---- maps ---- */

static void files_are_mapped(void **state)
{
    (void)state;
    ak_map map;
    akin_error e = {0};
    write_text(scratch_path("empty"), "");
    write_text(scratch_path("text"), "abc");
    assert_file_holds(scratch_path("empty"), "");
    assert_file_holds(scratch_path("text"), "abc");
    assert_int_equal(ak_map_open(&map, scratch_path("absent"), &e), AKIN_ERR_IO);
    assert_says(&e, "absent: No such file or directory");
    assert_non_null(map.data);
    assert_int_equal(ak_map_open(&map, scratch, &e), AKIN_ERR_IO);
    assert_says(&e, "Is a directory");
    ak_map_close(&map);
    ak_map_close(&map);
}

#define STREAM_SIZE 700001

static void *fill_pipe(void *path)
{
    FILE *pipe = fopen(path, "wb");
    for (int i = 0; i < STREAM_SIZE; i++)
        putc(i % 251, pipe);
    fclose(pipe);
    return NULL;
}

static void pipes_are_read_to_their_end(void **state)
{
    (void)state;
    pthread_t thread;
    ak_map map;
    const char *path = scratch_path("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_create(&thread, NULL, fill_pipe, (void *)path);
    assert_int_equal(ak_map_open(&map, path, NULL), AKIN_OK);
    pthread_join(thread, NULL);
    assert_int_equal(map.size, STREAM_SIZE);
    for (int i = 0; i < STREAM_SIZE; i += 997)
        assert_int_equal((unsigned char)map.data[i], i % 251);
    ak_map_close(&map);
    assert_int_equal(ak_map_open(&map, "/dev/null", NULL), AKIN_OK);
    assert_int_equal(map.size, 0);
    ak_map_close(&map);
}

/* ---- writer ---- */

static void a_file_appears_when_it_is_whole(void **state)
{
    (void)state;
    ak_writer *w;
    const char *path = scratch_path("f");
    write_text(path, "old");
    assert_int_equal(ak_writer_open(&w, path, NULL), AKIN_OK);
    assert_int_equal(ak_writer_put(w, "ab", 2, NULL), AKIN_OK);
    assert_int_equal(ak_writer_printf(w, NULL, "%d%s", 7, "c"), AKIN_OK);
    assert_file_holds(path, "old");
    assert_int_equal(ak_writer_commit(w, NULL), AKIN_OK);
    assert_file_holds(path, "ab7c");
    assert_int_equal(ak_writer_open(&w, path, NULL), AKIN_OK);
    assert_int_equal(ak_writer_put(w, "zz", 2, NULL), AKIN_OK);
    ak_writer_abort(w);
    ak_writer_abort(NULL);
    assert_file_holds(path, "ab7c");
    assert_scratch_holds("f");
}

static void large_and_small_pieces_keep_their_order(void **state)
{
    (void)state;
    ak_writer *w;
    ak_map map;
    static char piece[600000];
    size_t sizes[] = {1, 262143, 1, 262144, 5, 600000, 0, 3, 300000}, total = 0, n = 0;
    assert_int_equal(ak_writer_open(&w, scratch_path("f"), NULL), AKIN_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            piece[k] = (char)((total + k) % 249);
        total += sizes[i];
        assert_int_equal(ak_writer_put(w, piece, sizes[i], NULL), AKIN_OK);
    }
    memset(piece, 'x', 1000);
    assert_int_equal(ak_writer_printf(w, NULL, "%.*s", 1000, piece), AKIN_OK);
    assert_int_equal(ak_writer_commit(w, NULL), AKIN_OK);
    assert_int_equal(ak_map_open(&map, scratch_path("f"), NULL), AKIN_OK);
    assert_int_equal(map.size, total + 1000);
    while (n < total && map.data[n] == (char)(n % 249))
        n++;
    assert_int_equal(n, total);
    assert_int_equal(map.data[total + 999], 'x');
    ak_map_close(&map);
}

static void links_and_devices_stay_what_they_are(void **state)
{
    (void)state;
    struct stat info;
    write_text(scratch_path("real"), "old");
    assert_int_equal(symlink("real", scratch_path("link")), 0);
    write_text(scratch_path("link"), "new");
    assert_file_holds(scratch_path("real"), "new");
    assert_int_equal(lstat(scratch_path("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    write_text("/dev/null", "nothing");
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_scratch_holds("link real");
}

static void targets_that_cannot_be_are_named(void **state)
{
    (void)state;
    akin_error e = {0};
    assert_int_equal(ak_file_write(scratch_path("no/f"), "x", 1, &e), AKIN_ERR_IO);
    assert_says(&e, "no/f: No such file or directory");
    assert_int_equal(ak_file_write(scratch, "x", 1, &e), AKIN_ERR_IO);
    assert_says(&e, "Is a directory");
    ak_writer *w = (void *)1;
    assert_int_equal(ak_writer_open(&w, scratch_path("no/f"), NULL), AKIN_ERR_IO);
    assert_null(w);
}

/* /dev/full answers every write with "No space left on device". */
static void a_full_disk_is_told_by_put_or_commit(void **state)
{
    (void)state;
    static char large[1 << 20];
    akin_error e = {0};
    ak_writer *w;
    assert_int_equal(ak_file_write("/dev/full", "x", 1, &e), AKIN_ERR_IO);
    assert_says(&e, "cannot write /dev/full: No space left on device");
    assert_int_equal(ak_writer_open(&w, "/dev/full", NULL), AKIN_OK);
    assert_int_equal(ak_writer_put(w, large, sizeof large, &e), AKIN_ERR_IO);
    assert_int_equal(ak_writer_put(w, "x", 1, &e), AKIN_ERR_IO);
    assert_says(&e, "No space left on device");
    assert_int_equal(ak_writer_commit(w, &e), AKIN_ERR_IO);
    assert_says(&e, "No space left on device");
}

/* A limit on the size of files stands for the full disk where the temporary is a real file. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* PATH.tmp.PROCESS.0, written long ago or now. */
static void leave(const char *name, long process, bool long_ago, bool folder)
{
    char left[256];
    const struct timespec times[2] = {{0, UTIME_NOW}, {1000000000, 0}};
    snprintf(left, sizeof left, "%s.tmp.%ld.0", name, process);
    const char *path = scratch_path(left);
    if (folder)
        assert_int_equal(mkdir(path, 0777), 0);
    else
        write_text(path, "half");
    if (long_ago)
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void what_a_killed_process_left_goes(void **state)
{
    (void)state;
    pid_t ended = fork();
    if (!ended)
        _exit(0);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    leave("f", ended, true, false);
    leave("d", ended, true, true);
    leave("g", ended, true, false);             /* of another file */
    leave("h", ended, false, false);            /* someone may be writing it where we cannot see */
    leave("i", (long)getppid(), true, false);   /* it is being written */
    write_text(scratch_path("f.tmp.1x.0"), ""); /* no name of ours */
    for (const char *name = "fhi"; *name; name++)
        write_text(scratch_path((char[]){*name, 0}), "new");
    char *folder;
    assert_int_equal(ak_folder_begin(&folder, scratch_path("d"), false, NULL), AKIN_OK);
    assert_int_equal(ak_folder_commit(folder, scratch_path("d"), false, NULL), AKIN_OK);
    char expected[200];
    snprintf(expected, sizeof expected, "d f f.tmp.1x.0 g.tmp.%ld.0 h h.tmp.%ld.0 i i.tmp.%ld.0",
             (long)ended, (long)ended, (long)getppid());
    assert_scratch_holds(expected);
}

static void what_does_not_fit_leaves_the_old_file(void **state)
{
    (void)state;
    static char large[100000];
    akin_error e = {0};
    const char *path = scratch_path("f");
    write_text(path, "old");
    signal(SIGXFSZ, SIG_IGN);
    limit_files(50000);
    akin_status status = ak_file_write(path, large, sizeof large, &e);
    limit_files(RLIM_INFINITY);
    assert_int_equal(status, AKIN_ERR_IO);
    assert_says(&e, "File too large");
    assert_file_holds(path, "old");
    assert_scratch_holds("f");
}

static void what_cannot_be_synced_leaves_the_old_file(void **state)
{
    (void)state;
    akin_error e = {0};
    char *temporary;
    write_text(scratch_path("f"), "old");
    assert_int_equal(ak_folder_begin(&temporary, scratch_path("model"), false, &e), AKIN_OK);
    sync_fails = true;
    akin_status file = ak_file_write(scratch_path("f"), "new", 3, &e);
    akin_status folder = ak_folder_commit(temporary, scratch_path("model"), false, NULL);
    sync_fails = false;
    assert_int_equal(file, AKIN_ERR_IO);
    assert_int_equal(folder, AKIN_ERR_IO);
    assert_says(&e, "f: Input/output error");
    assert_file_holds(scratch_path("f"), "old");
    assert_scratch_holds("f");
}

static akin_status write_file(void *path, akin_error *error)
{
    akin_status status = ak_file_write(path, "new", 3, error);
    if (status)
        assert_file_holds(path, "old");
    return status;
}

static void a_write_without_memory_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = scratch_path("f");
    write_text(path, "old");
    assert_true(fail_each_allocation(write_file, (void *)path) >= 3);
    assert_file_holds(path, "new");
    assert_scratch_holds("f");
}

#define WRITERS 4

static const char failed[] = "failed";
static const char *shared_path; /* scratch_path is for one thread */

static void *write_often(void *number)
{
    char text[64];
    memset(text, 'a' + (int)(intptr_t)number, sizeof text);
    for (int i = 0; i < 8; i++)
        if (ak_file_write(shared_path, text, sizeof text, NULL))
            return (void *)failed;
    return NULL;
}

static void writers_of_one_file_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    ak_map map;
    shared_path = scratch_path("shared");
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_often, (void *)(intptr_t)i);
    for (int i = 0; i < WRITERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(ak_map_open(&map, shared_path, NULL), AKIN_OK);
    assert_int_equal(map.size, 64);
    for (int i = 1; i < 64; i++)
        assert_int_equal(map.data[i], map.data[0]);
    ak_map_close(&map);
    assert_scratch_holds("shared");
}

/* ---- folders ---- */

static char *begin_with_file(const char *path, bool replace, const char *text)
{
    char *temporary, name[600];
    assert_int_equal(ak_folder_begin(&temporary, path, replace, NULL), AKIN_OK);
    snprintf(name, sizeof name, "%s/f", temporary);
    write_text(name, text);
    return temporary;
}

static void a_folder_appears_when_it_is_whole(void **state)
{
    (void)state;
    const char *path = scratch_path("model/");
    akin_error e = {0};
    char *temporary = begin_with_file(path, false, "one");
    assert_int_equal(ak_path_what(path), AK_PATH_NONE);
    assert_int_equal(ak_folder_commit(temporary, path, false, &e), AKIN_OK);
    assert_file_holds(scratch_path("model/f"), "one");
    assert_int_equal(ak_folder_begin(&temporary, path, false, &e), AKIN_ERR_EXISTS);
    assert_says(&e, "model/ exists already");
    assert_null(temporary);
    temporary = begin_with_file(path, true, "two");
    ak_folder_abort(temporary);
    ak_folder_abort(NULL);
    assert_file_holds(scratch_path("model/f"), "one");
    temporary = begin_with_file(path, true, "two");
    assert_int_equal(ak_folder_commit(temporary, path, true, &e), AKIN_OK);
    assert_file_holds(scratch_path("model/f"), "two");
    assert_scratch_holds("model");
}

static akin_status replace_folder(void *path, akin_error *error)
{
    char *temporary;
    AK_TRY(ak_folder_begin(&temporary, path, -1, error));
    return ak_folder_commit(temporary, path, -1, error);
}

static void folders_are_replaced_without_exchange_too(void **state)
{
    (void)state;
    const char *path = scratch_path("model");
    no_renameat2 = true;
    akin_status made = ak_folder_commit(begin_with_file(path, true, "one"), path, true, NULL);
    akin_status changed = ak_folder_commit(begin_with_file(path, true, "two"), path, true, NULL);
    char *temporary = begin_with_file(path, true, "three");
    akin_status refused = ak_folder_commit(temporary, path, false, NULL);
    int64_t failures = fail_each_allocation(replace_folder, (void *)path);
    no_renameat2 = false;
    assert_int_equal(made, AKIN_OK);
    assert_int_equal(changed, AKIN_OK);
    assert_int_equal(refused, AKIN_ERR_EXISTS);
    assert_true(failures >= 4);
    assert_scratch_holds("model");
}

static void a_folder_that_came_meanwhile_is_kept(void **state)
{
    (void)state;
    const char *path = scratch_path("model");
    akin_error e = {0};
    char *temporary = begin_with_file(path, false, "mine");
    assert_int_equal(mkdir(path, 0777), 0);
    write_text(scratch_path("model/theirs"), "x");
    assert_int_equal(ak_folder_commit(temporary, path, false, &e), AKIN_ERR_EXISTS);
    assert_file_holds(scratch_path("model/theirs"), "x");
    assert_scratch_holds("model");
}

static void folders_that_cannot_be_are_named(void **state)
{
    (void)state;
    char *temporary = (void *)1;
    akin_error e = {0};
    assert_int_equal(ak_folder_begin(&temporary, scratch_path("no/model"), true, &e), AKIN_ERR_IO);
    assert_says(&e, "no/model: No such file");
    assert_null(temporary);
}

static void a_folder_without_memory_leaves_nothing(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(replace_folder, (void *)scratch_path("model")) >= 3);
    assert_scratch_holds("model");
}

static void folders_are_made_copied_listed_and_removed(void **state)
{
    (void)state;
    akin_error e = {0};
    assert_int_equal(ak_make_folders(scratch_path("a/b/c"), &e), AKIN_OK);
    assert_int_equal(ak_make_folders(scratch_path("a/b/c/"), &e), AKIN_OK);
    write_text(scratch_path("a/b/z"), "z");
    write_text(scratch_path("a/f"), "f");
    assert_int_equal(symlink("../f", scratch_path("a/b/link")), 0);
    assert_int_equal(ak_copy_folder(scratch_path("a/"), scratch_path("copy"), &e), AKIN_OK);
    ak_remove_tree(scratch_path("a"));
    assert_file_holds(scratch_path("copy/b/link"), "f");
    assert_file_holds(scratch_path("copy/b/z"), "z");
    assert_int_equal(ak_path_what(scratch_path("copy/b/c")), AK_PATH_FOLDER);
    assert_scratch_holds("copy");
    assert_int_equal(ak_make_folders(scratch_path("copy/f/x"), &e), AKIN_ERR_IO);
    assert_says(&e, "copy/f");
    assert_int_equal(ak_copy_folder(scratch_path("a"), scratch_path("b"), &e), AKIN_ERR_IO);
    assert_says(&e, "a: No such file");
    assert_int_equal(symlink("..", scratch_path("copy/b/loop")), 0);
    assert_int_equal(ak_copy_folder(scratch_path("copy"), scratch_path("d"), &e), AKIN_ERR_FORMAT);
    assert_says(&e, "copy/b/loop");
    ak_remove_tree(scratch_path("absent"));
}

static void links_are_removed_not_followed(void **state)
{
    (void)state;
    assert_int_equal(ak_make_folders(scratch_path("kept"), NULL), AKIN_OK);
    assert_int_equal(ak_make_folders(scratch_path("gone/x"), NULL), AKIN_OK);
    write_text(scratch_path("kept/f"), "f");
    assert_int_equal(symlink("../kept", scratch_path("gone/link")), 0);
    ak_remove_tree(scratch_path("gone"));
    assert_file_holds(scratch_path("kept/f"), "f");
    assert_scratch_holds("kept");
}

static akin_status list_scratch(void *user, akin_error *error)
{
    char **names;
    int64_t count;
    akin_status status = ak_list_folder(&names, &count, user, error);
    assert_int_equal(count, status ? 0 : 3);
    ak_names_free(names, count);
    return status;
}

static akin_status copy_folder(void *user, akin_error *error)
{
    return ak_copy_folder(user, scratch_path("copy"), error);
}

static void lists_and_copies_without_memory_fail(void **state)
{
    (void)state;
    assert_int_equal(ak_make_folders(scratch_path("from/b"), NULL), AKIN_OK);
    write_text(scratch_path("from/c"), "c");
    write_text(scratch_path("from/a"), "a");
    assert_true(fail_each_allocation(list_scratch, (void *)scratch_path("from")) >= 4);
    assert_true(fail_each_allocation(copy_folder, (void *)scratch_path("from")) >= 6);
}

static void files_are_removed_and_stamped(void **state)
{
    (void)state;
    int64_t size, time, later;
    akin_error e = {0};
    const char *path = scratch_path("f");
    write_text(path, "abc");
    assert_int_equal(ak_file_stamp(path, &size, &time, &e), AKIN_OK);
    assert_int_equal(size, 3);
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 7}, {.tv_sec = 2000, .tv_nsec = 9}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(ak_file_stamp(path, &size, &later, &e), AKIN_OK);
    assert_int_equal(later, 2000000000009);
    assert_int_equal(ak_file_remove(path, &e), AKIN_OK);
    assert_int_equal(ak_file_remove(path, &e), AKIN_OK);
    assert_int_equal(ak_file_stamp(path, &size, &time, &e), AKIN_ERR_IO);
    assert_int_equal(ak_file_remove(scratch, &e), AKIN_ERR_IO);
}

/* ---- logs and locks ---- */

static void logs_grow_line_by_line(void **state)
{
    (void)state;
    ak_log *log;
    akin_error e = {0};
    const char *path = scratch_path("log");
    assert_int_equal(ak_log_open(&log, path, 0, &e), AKIN_OK);
    assert_int_equal(ak_log_line(log, "one", &e), AKIN_OK);
    assert_file_holds(path, "one\n");
    ak_log_close(log);
    write_text(path, "one\ntor");
    assert_int_equal(ak_log_open(&log, path, -1, &e), AKIN_OK);
    assert_int_equal(ak_log_line(log, "two", &e), AKIN_OK);
    ak_log_close(log);
    assert_file_holds(path, "one\ntor\ntwo\n");
    assert_int_equal(ak_log_open(&log, path, 4, &e), AKIN_OK);
    assert_int_equal(ak_log_size(log), 4);
    assert_int_equal(ak_log_put(log, "a\0b", 3, &e), AKIN_OK);
    assert_int_equal(ak_log_size(log), 7);
    ak_log_close(log);
    write_text(path, "tor"); /* shorter than it was said to be */
    assert_int_equal(ak_log_open(&log, path, 4, &e), AKIN_OK);
    ak_log_close(log);
    assert_file_holds(path, "tor\n");
    assert_int_equal(ak_log_open(&log, path, 0, &e), AKIN_OK);
    ak_log_close(log);
    ak_log_close(NULL);
    assert_file_holds(path, "");
    assert_int_equal(ak_log_open(&log, scratch, 0, &e), AKIN_ERR_IO);
    assert_null(log);
    assert_int_equal(ak_log_open(&log, "/dev/full", -1, &e), AKIN_OK);
    assert_int_equal(ak_log_line(log, "x", &e), AKIN_ERR_IO);
    assert_says(&e, "cannot write /dev/full: No space left");
    ak_log_close(log);
}

static akin_status write_log(void *path, akin_error *error)
{
    ak_log *log;
    AK_TRY(ak_log_open(&log, path, -1, error));
    akin_status status = ak_log_line(log, "x", error);
    ak_log_close(log);
    return status;
}

static void logs_without_memory_fail(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation(write_log, (void *)scratch_path("log")), 3);
}

static void a_lock_has_one_holder(void **state)
{
    (void)state;
    int first, second;
    akin_error e = {0};
    const char *path = scratch_path("lock");
    assert_int_equal(ak_lock(&first, path, false, &e), AKIN_OK);
    assert_int_equal(ak_lock(&second, path, false, &e), AKIN_ERR_EXISTS);
    assert_says(&e, "lock is in use");
    assert_int_equal(second, -1);
    ak_unlock(second);
    ak_unlock(first);
    assert_int_equal(ak_lock(&second, path, true, &e), AKIN_OK);
    ak_unlock(second);
    assert_int_equal(ak_lock(&second, scratch_path("no/lock"), true, &e), AKIN_ERR_IO);
    assert_int_equal(second, -1);
}

/* ---- gzip ---- */

/* `text` as one gzip member; its size is returned. */
static size_t pack(const char *text, size_t size, unsigned char *out, size_t room)
{
    z_stream z = {.next_in = (z_const Bytef *)text, .avail_in = (uInt)size};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static akin_status gunzip(const void *data, size_t size, akin_error *error)
{
    assert_int_equal(ak_file_write(scratch_path("f.gz"), data, size, NULL), AKIN_OK);
    return ak_gunzip(scratch_path("f.gz"), scratch_path("f"), error);
}

static void gzip_is_unpacked(void **state)
{
    (void)state;
    static char text[1000000];
    static unsigned char data[1100000];
    akin_error e = {0};
    ak_map map;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(ak_random(1, 2, i / 3) % 20);
    size_t first = pack(text, sizeof text, data, sizeof data);
    size_t both = first + pack("end", 3, data + first, sizeof data - first);
    assert_int_equal(gunzip(data, both, &e), AKIN_OK);
    assert_int_equal(ak_map_open(&map, scratch_path("f"), NULL), AKIN_OK);
    assert_int_equal(map.size, sizeof text + 3);
    assert_memory_equal(map.data, text, sizeof text);
    ak_map_close(&map);
    memset(data + both, 0, 512);
    assert_int_equal(gunzip(data, both + 512, &e), AKIN_OK);
    assert_int_equal(gunzip(data, pack("", 0, data, sizeof data), &e), AKIN_OK);
    assert_file_holds(scratch_path("f"), "");
}

static void every_cut_and_flip_of_gzip_is_noticed(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": \"one\", \"b\": \"two two two\"}\n";
    unsigned char data[200];
    akin_error e = {0};
    size_t size = pack(text, strlen(text), data, sizeof data);
    write_text(scratch_path("f"), "old");
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(gunzip(data, cut, &e), AKIN_ERR_FORMAT);
        assert_says(&e, cut < 2 ? "f.gz: not a gzip file" : "f.gz: the gzip data ends too early");
    }
    assert_file_holds(scratch_path("f"), "old");
    size_t harmless = 0; /* time, system, the hint "text", the bits that fill the last byte */
    for (size_t bit = 0; bit < 8 * size; bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        akin_status status = gunzip(data, size, &e);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (status == AKIN_OK)
            assert_file_holds(scratch_path("f"), text);
        else
            assert_int_equal(status, AKIN_ERR_FORMAT);
        harmless += status == AKIN_OK;
    }
    assert_in_range(harmless, 49, 56);
    assert_int_equal(gunzip(strcpy((char *)data + size, "more") - size, size + 4, &e),
                     AKIN_ERR_FORMAT);
    assert_says(&e, "bad gzip data: incorrect header check");
    assert_scratch_holds("f f.gz");
}

static akin_status unpack_again(void *user, akin_error *error)
{
    (void)user;
    return ak_gunzip(scratch_path("f.gz"), scratch_path("f"), error);
}

static void gzip_without_memory_or_disk_fails(void **state)
{
    (void)state;
    static char text[100000];
    unsigned char data[2000];
    akin_error e = {0};
    assert_int_equal(gunzip(data, pack(text, sizeof text, data, sizeof data), &e), AKIN_OK);
    assert_true(fail_each_allocation(unpack_again, NULL) >= 5);
    assert_int_equal(ak_gunzip(scratch_path("f.gz"), "/dev/full", &e), AKIN_ERR_IO);
    assert_says(&e, "No space left");
    assert_int_equal(ak_gunzip(scratch_path("no.gz"), scratch_path("f"), &e), AKIN_ERR_IO);
    assert_says(&e, "no.gz");
    assert_scratch_holds("f f.gz");
}

/* ---- paths ---- */

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    ak_free(text);
}

static void paths_are_joined_and_split(void **state)
{
    (void)state;
    assert_text(ak_path_join("a", "b"), "a/b");
    assert_text(ak_path_join("a/", "b"), "a/b");
    assert_text(ak_path_join("", "b"), "b");
    assert_text(ak_path_join("a", "/b"), "/b");
    assert_text(ak_path_join("/", "b"), "/b");
    assert_text(ak_path_parent("a/b"), "a");
    assert_text(ak_path_parent("a//b//"), "a");
    assert_text(ak_path_parent("a"), ".");
    assert_text(ak_path_parent("/a"), "/");
    assert_text(ak_path_parent("/"), "/");
    assert_text(ak_path_trim("a//"), "a");
    assert_text(ak_path_trim("/"), "/");
    assert_string_equal(ak_path_base("a/b.c"), "b.c");
    assert_string_equal(ak_path_base("b.c"), "b.c");
    assert_true(ak_path_has_suffix("a.jsonl.gz", ".gz"));
    assert_false(ak_path_has_suffix("gz", ".gz"));
}

static void paths_become_absolute(void **state)
{
    (void)state;
    char here[4096], expected[5000];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s/a/b", here);
    assert_text(ak_path_absolute("a/b"), expected);
    assert_text(ak_path_absolute("././/a/b"), expected);
    assert_text(ak_path_absolute("."), here);
    assert_text(ak_path_absolute("./"), here);
    assert_text(ak_path_absolute("/x"), "/x");
}

static void the_cache_follows_the_environment(void **state)
{
    (void)state;
    const char *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME");
    char *old_home = home ? strdup(home) : NULL, *old_cache = cache ? strdup(cache) : NULL;
    setenv("HOME", "/home/x", 1);
    setenv("XDG_CACHE_HOME", "/c", 1);
    assert_text(ak_cache_folder(), "/c/akin");
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_text(ak_cache_folder(), "/home/x/.cache/akin");
    unsetenv("XDG_CACHE_HOME");
    assert_text(ak_cache_folder(), "/home/x/.cache/akin");
    unsetenv("HOME");
    assert_null(ak_cache_folder());
    if (old_home)
        setenv("HOME", old_home, 1);
    if (old_cache)
        setenv("XDG_CACHE_HOME", old_cache, 1);
    free(old_home);
    free(old_cache);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(files_are_mapped),
        IN_SCRATCH(pipes_are_read_to_their_end),
        IN_SCRATCH(a_file_appears_when_it_is_whole),
        IN_SCRATCH(large_and_small_pieces_keep_their_order),
        IN_SCRATCH(links_and_devices_stay_what_they_are),
        IN_SCRATCH(targets_that_cannot_be_are_named),
        IN_SCRATCH(a_full_disk_is_told_by_put_or_commit),
        IN_SCRATCH(what_a_killed_process_left_goes),
        IN_SCRATCH(what_does_not_fit_leaves_the_old_file),
        IN_SCRATCH(what_cannot_be_synced_leaves_the_old_file),
        IN_SCRATCH(a_write_without_memory_leaves_the_old_file),
        IN_SCRATCH(writers_of_one_file_do_not_mix),
        IN_SCRATCH(a_folder_appears_when_it_is_whole),
        IN_SCRATCH(folders_are_replaced_without_exchange_too),
        IN_SCRATCH(a_folder_that_came_meanwhile_is_kept),
        IN_SCRATCH(folders_that_cannot_be_are_named),
        IN_SCRATCH(a_folder_without_memory_leaves_nothing),
        IN_SCRATCH(folders_are_made_copied_listed_and_removed),
        IN_SCRATCH(links_are_removed_not_followed),
        IN_SCRATCH(lists_and_copies_without_memory_fail),
        IN_SCRATCH(files_are_removed_and_stamped),
        IN_SCRATCH(logs_grow_line_by_line),
        IN_SCRATCH(logs_without_memory_fail),
        IN_SCRATCH(a_lock_has_one_holder),
        IN_SCRATCH(gzip_is_unpacked),
        IN_SCRATCH(every_cut_and_flip_of_gzip_is_noticed),
        IN_SCRATCH(gzip_without_memory_or_disk_fails),
        cmocka_unit_test(paths_are_joined_and_split),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(the_cache_follows_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
