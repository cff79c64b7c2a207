/* Miners: which of a row's positives and negatives a group loss looks at. */
#ifndef AK_LOSS_MINER_H
#define AK_LOSS_MINER_H

#include "loss/loss.h"
#include "loss/triplet_rows.h"

typedef enum ak_mining { AK_MINE_ALL, AK_MINE_HARD, AK_MINE_SEMI_HARD, AK_MINE_WEIGHTED } ak_mining;
#define AK_MINING_CHOICES "all|hard|semi_hard|distance_weighted"

typedef struct ak_miner {
    ak_mining mining;
    int64_t dim;   /* of the embeddings */
    uint64_t seed; /* of the step */
} ak_miner;

ak_miner ak_miner_for(ak_mining mining, const akin_pass *pass, int64_t dim);

/* What was chosen from one row; room for one thread. */
typedef struct ak_mined {
    int32_t *positive; /* places among the row's positives, ascending */
    int32_t *negative; /* columns */
    int32_t *partner;  /* per chosen positive: the place in `negative` of the one chosen for it */
    int64_t positives, negatives;
    ak_keyed *sorted, *spare; /* scratch */
    double *sums;
    int32_t *place;
} ak_mined;

akin_status ak_mined_init(ak_mined *mined, int64_t columns, akin_arena *arena, akin_error *error);

/* negative: n similarities, minus infinity where a column is no negative. A row without positives
   or negatives gets nothing. Not for AK_MINE_ALL. */
void ak_miner_choose(const ak_miner *miner, int64_t query, const float *negative, int64_t n,
                     const float *positive, int64_t positives, ak_mined *mined);

#define AK_LOSS_MINING_OPTION(type_, member)                                                       \
    {                                                                                              \
        .name = "mining", .type = AKIN_OPTION_CHOICE, .offset = offsetof(type_, member),           \
        .default_text = "all", .choices = AK_MINING_CHOICES,                                       \
        .help = "which positives and negatives of an object count"                                 \
    }

#endif
