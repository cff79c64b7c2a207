#include "data/pipeline.h"

#include <pthread.h>
#include <signal.h>

typedef enum entry_state { FREE, WORKING, READY, HELD } entry_state;

typedef struct entry {
    void *slot;
    entry_state state;
    int64_t number;
    akin_status status;
    akin_error error;
} entry;

struct ak_pipeline {
    ak_produce_function *produce;
    void *user;
    entry *entries;
    int entry_count;
    pthread_t *threads;
    int thread_count;
    pthread_mutex_t mutex; /* guards everything below and the entries' states */
    pthread_cond_t may_work, changed;
    int64_t next_made;  /* the next number to be taken up */
    int64_t next_given; /* the next number to be handed out */
    int64_t end;
    int working;
    int last_used; /* entry */
    bool quit;
    akin_status failed; /* of this run */
    akin_error error;
};

/* The free slot that was used longest ago: going round, every slot soon has the memory it needs. */
static entry *find_free(ak_pipeline *p)
{
    for (int i = 0; i < p->entry_count; i++) {
        entry *e = &p->entries[(p->last_used + 1 + i) % p->entry_count];
        if (e->state == FREE)
            return e;
    }
    return NULL;
}

/* Takes up the next number: the lowest number at work always has its slot, so nobody waits for a
   slot that only a later number could free. Called with the mutex held; NULL: nothing to do now. */
static entry *claim(ak_pipeline *p)
{
    entry *e = p->next_made < p->end ? find_free(p) : NULL;
    if (!e)
        return NULL;
    e->state = WORKING;
    p->last_used = (int)(e - p->entries);
    e->number = p->next_made++;
    p->working++;
    return e;
}

/* Called with the mutex held, which is let go of while the item is made. */
static void make(ak_pipeline *p, entry *e)
{
    pthread_mutex_unlock(&p->mutex);
    e->error = (akin_error){0};
    e->status = p->produce(p->user, e->number, e->slot, &e->error);
    if (e->status && !e->error.status)
        (void)ak_fail(&e->error, e->status, "%s", akin_status_name(e->status));
    pthread_mutex_lock(&p->mutex);
    e->state = READY;
    p->working--;
    if (e->status)
        p->end = e->number + 1 < p->end ? e->number + 1 : p->end; /* the rest is not wanted */
    pthread_cond_broadcast(&p->changed);
}

static void *work(void *user)
{
    ak_pipeline *p = user;
    pthread_mutex_lock(&p->mutex);
    while (!p->quit) {
        entry *e = claim(p);
        if (e)
            make(p, e);
        else
            pthread_cond_wait(&p->may_work, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Signals are the program's business: our threads leave them to the others. */
static void start_threads(ak_pipeline *p, int workers)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before))
        return;
    while (p->thread_count < workers &&
           !pthread_create(&p->threads[p->thread_count], NULL, work, p))
        p->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool make_locks(ak_pipeline *p)
{
    if (pthread_mutex_init(&p->mutex, NULL))
        return false;
    if (pthread_cond_init(&p->may_work, NULL))
        goto no_work;
    if (pthread_cond_init(&p->changed, NULL))
        goto no_change;
    return true;
no_change:
    pthread_cond_destroy(&p->may_work);
no_work:
    pthread_mutex_destroy(&p->mutex);
    return false;
}

akin_status ak_pipeline_create(ak_pipeline **out, int workers, void *const *slots, int count,
                               ak_produce_function *produce, void *user, akin_error *error)
{
    *out = NULL;
    ak_pipeline *p = ak_calloc(1, sizeof *p);
    if (!p)
        return ak_fail_memory(error);
    *p = (ak_pipeline){.produce = produce, .user = user, .entry_count = count};
    p->entries = ak_calloc((size_t)count, sizeof *p->entries);
    p->threads = ak_calloc((size_t)workers, sizeof *p->threads);
    if (!p->entries || !p->threads || !make_locks(p)) {
        ak_free(p->entries);
        ak_free(p->threads);
        ak_free(p);
        return ak_fail_memory(error);
    }
    for (int i = 0; i < count; i++)
        p->entries[i].slot = slots[i];
    start_threads(p, workers);
    *out = p;
    return AKIN_OK;
}

void ak_pipeline_free(ak_pipeline *p)
{
    if (!p)
        return;
    ak_pipeline_stop(p);
    pthread_mutex_lock(&p->mutex);
    p->quit = true;
    pthread_cond_broadcast(&p->may_work);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_cond_destroy(&p->may_work);
    pthread_mutex_destroy(&p->mutex);
    ak_free(p->entries);
    ak_free(p->threads);
    ak_free(p);
}

/* Called with the mutex held. */
static void stop(ak_pipeline *p)
{
    p->end = p->next_made;
    while (p->working)
        pthread_cond_wait(&p->changed, &p->mutex);
    for (int i = 0; i < p->entry_count; i++)
        if (p->entries[i].state == READY)
            p->entries[i].state = FREE;
    p->next_given = p->next_made = p->end = 0;
}

void ak_pipeline_stop(ak_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    stop(p);
    p->failed = AKIN_OK;
    pthread_mutex_unlock(&p->mutex);
}

void ak_pipeline_start(ak_pipeline *p, int64_t first, int64_t end)
{
    pthread_mutex_lock(&p->mutex);
    stop(p);
    p->failed = AKIN_OK;
    p->next_made = p->next_given = first;
    p->end = end;
    pthread_cond_broadcast(&p->may_work);
    pthread_mutex_unlock(&p->mutex);
}

static entry *find_ready(ak_pipeline *p)
{
    for (int i = 0; i < p->entry_count; i++)
        if (p->entries[i].state == READY && p->entries[i].number == p->next_given)
            return &p->entries[i];
    return NULL;
}

/* Waits until the next item is ready; NULL when it never will be. Called with the mutex held. */
static entry *await(ak_pipeline *p)
{
    entry *e;
    while (!(e = find_ready(p))) {
        entry *mine = p->thread_count ? NULL : claim(p);
        if (mine)
            make(p, mine);
        else if (p->working || (p->thread_count && find_free(p)))
            pthread_cond_wait(&p->changed, &p->mutex);
        else
            return NULL;
    }
    return e;
}

akin_status ak_pipeline_next(ak_pipeline *p, void **slot, akin_error *error)
{
    *slot = NULL;
    pthread_mutex_lock(&p->mutex);
    if (!p->failed && p->next_given < p->end) {
        entry *e = await(p);
        if (!e) {
            p->failed = ak_fail(&p->error, AKIN_ERR_ARGUMENT,
                                "no free slot: batches are held that should be released");
        } else if (e->status) {
            p->failed = e->status;
            p->error = e->error;
        } else {
            e->state = HELD;
            p->next_given++;
            *slot = e->slot;
        }
        if (p->failed)
            stop(p);
    }
    akin_status status = p->failed;
    if (status && error)
        *error = p->error;
    pthread_mutex_unlock(&p->mutex);
    return status;
}

void ak_pipeline_release(ak_pipeline *p, void *slot)
{
    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < p->entry_count; i++)
        if (p->entries[i].slot == slot && p->entries[i].state == HELD)
            p->entries[i].state = FREE;
    pthread_cond_signal(&p->may_work);
    pthread_mutex_unlock(&p->mutex);
}
