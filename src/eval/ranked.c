/* Ranking metrics: the value of one query; the metric is the mean over queries. A query without a
   relevant candidate counts as 0 where the formula has no division by their number, else it is left
   out (NaN). Precision, recall, MAP, nDCG: Manning, Raghavan and Schuetze, Introduction to
   Information Retrieval (2008), chapter 8. */
#include "eval/eval.h"

#include <math.h>

typedef struct cut_options {
    int64_t k;
} cut_options;

static int64_t cut_of(const void *options)
{
    int64_t k = ((const cut_options *)options)->k;
    return k > 0 ? k : INT64_MAX;
}

/* Relevant candidates among the first k. */
static int64_t found(const akin_ranking *ranking, int64_t k)
{
    int64_t count = 0;
    while (count < ranking->relevant && ranking->ranks[count] <= k)
        count++;
    return count;
}

static double reciprocal_rank(const void *options, const akin_ranking *ranking)
{
    return found(ranking, cut_of(options)) ? 1.0 / (double)ranking->ranks[0] : 0;
}

static double precision(const void *options, const akin_ranking *ranking)
{
    int64_t k = cut_of(options);
    return (double)found(ranking, k) / (double)k;
}

static double recall(const void *options, const akin_ranking *ranking)
{
    if (ranking->relevant == 0)
        return NAN;
    return (double)found(ranking, cut_of(options)) / (double)ranking->relevant;
}

static double hit_rate(const void *options, const akin_ranking *ranking)
{
    return found(ranking, cut_of(options)) > 0;
}

/* With a cut the divisor is min(k, R), so that a perfect ranking has 1 (sentence-transformers does
   so; trec_eval's map_cut divides by R). */
static double average_precision(const void *options, const akin_ranking *ranking)
{
    int64_t k = cut_of(options), count = found(ranking, k);
    if (ranking->relevant == 0)
        return NAN;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)(i + 1) / (double)ranking->ranks[i];
    return sum / (double)(ranking->relevant < k ? ranking->relevant : k);
}

/* Linear gain over log2(rank + 1) (Jarvelin and Kekalainen, 2002), against the best order. */
static double ndcg(const void *options, const akin_ranking *ranking)
{
    int64_t k = cut_of(options), count = found(ranking, k);
    if (ranking->relevant == 0)
        return NAN;
    double sum = 0, ideal = 0;
    for (int64_t i = 0; i < count; i++)
        sum += ranking->gains[i] / log2((double)ranking->ranks[i] + 1);
    for (int64_t i = 0; i < ranking->relevant && i < k; i++)
        ideal += ranking->ideal[i] / log2((double)i + 2);
    return sum / ideal;
}

static double r_precision(const void *options, const akin_ranking *ranking)
{
    (void)options;
    if (ranking->relevant == 0)
        return NAN;
    return (double)found(ranking, ranking->relevant) / (double)ranking->relevant;
}

#define CUT(default_text, minimum, help)                                                           \
    {                                                                                              \
        "k", AKIN_OPTION_INT, offsetof(cut_options, k), default_text, help, NULL, minimum, 1e9     \
    }

static const akin_option first_one[] = {CUT("1", 1, "how many of the first count"), {0}};
static const akin_option first_ten[] = {CUT("10", 1, "how many of the first count"), {0}};
static const akin_option ten_or_all[] = {CUT("10", 0, "how many of the first count; 0: all"), {0}};
static const akin_option all[] = {CUT("0", 0, "how many of the first count; 0: all"), {0}};

#define RANKING_METRIC(variable, name_text, summary_text, rows, function)                          \
    const akin_metric_class variable = {.size = sizeof(akin_metric_class),                         \
                                        .name = name_text,                                         \
                                        .summary = summary_text,                                   \
                                        .kind = AKIN_METRIC_RANKING,                               \
                                        .options = rows,                                           \
                                        .options_size = sizeof(cut_options),                       \
                                        .rank = function};

RANKING_METRIC(ak_metric_reciprocal_rank, "reciprocal_rank",
               "1 / rank of the first relevant candidate, 0 if there is none", all, reciprocal_rank)
RANKING_METRIC(ak_metric_precision, "precision", "share of relevant ones among the first k",
               first_one, precision)
RANKING_METRIC(ak_metric_recall, "recall", "share of the relevant ones that is among the first k",
               first_ten, recall)
RANKING_METRIC(ak_metric_map, "map", "mean of the precision at every relevant candidate", all,
               average_precision)
RANKING_METRIC(ak_metric_ndcg, "ndcg", "discounted gain of the first k, 1 for the best order",
               ten_or_all, ndcg)
RANKING_METRIC(ak_metric_hit_rate, "hit_rate", "whether a relevant one is among the first k",
               first_ten, hit_rate)
RANKING_METRIC(ak_metric_r_precision, "r_precision",
               "share of relevant ones among the first R, of R relevant ones", NULL, r_precision)

double ak_micro_r_precision(const akin_ranking *rankings, int64_t queries)
{
    int64_t hits = 0, slots = 0;
    for (int64_t q = 0; q < queries; q++) {
        hits += found(rankings + q, rankings[q].relevant);
        slots += rankings[q].relevant;
    }
    return slots ? (double)hits / (double)slots : NAN;
}

double ak_micro_reciprocal_rank(const akin_ranking *rankings, int64_t queries)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t q = 0; q < queries; q++) {
        for (int64_t i = 0; i < rankings[q].relevant; i++)
            sum += 1.0 / (double)rankings[q].ranks[i];
        count += rankings[q].relevant;
    }
    return count ? sum / (double)count : NAN;
}
