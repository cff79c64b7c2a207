/* A search of settings: what akin_tune (tune.c) is made of. */
#ifndef AK_TRAIN_TUNE_H
#define AK_TRAIN_TUNE_H

#include "train/recipe.h"

/* ---- tune_grid.c: which settings are tried ---- */

typedef struct ak_tune_point {
    const char **sets; /* assignments, as akin_recipe_open takes them */
    int count;
    const char *text;  /* the same for people: "head.type=gated optimizer.lr=0.001" */
} ak_tune_point;

typedef struct ak_tune_points {
    const ak_tune_point *items;
    int64_t count;
} ak_tune_points;

/* The recipe's section "tune", or the usual grid of its kind of samples. trials > 0: so many points
   of the grid, drawn by `seed`, in the grid's order. */
akin_status ak_tune_grid(ak_tune_points *out, const akin_recipe *recipe, int64_t trials,
                         uint64_t seed, akin_arena *arena, akin_error *error);

/* ---- tune_log.c: finished trials, kept for a search that is stopped ---- */

typedef struct ak_tune_log ak_tune_log;

/* folder NULL: nothing is kept. What was kept there before is read; lines that are no trials (a
   torn last one) are passed over. */
akin_status ak_tune_log_open(ak_tune_log **out, const char *folder, akin_error *error);
void ak_tune_log_close(ak_tune_log *log);
/* false: no trial of that key has finished. */
bool ak_tune_log_find(const ak_tune_log *log, ak_hash key, akin_tune_trial *trial);
akin_status ak_tune_log_add(ak_tune_log *log, ak_hash key, const akin_tune_trial *trial,
                            akin_error *error);

#endif
