/* A plug-in that shows the collapse of triplet losses (docs/tutorials/collapse.md): the hardest
   positive and negative of every anchor, as the loss "triplet" takes them, without its divisor:

       mean of [d+ - d- + margin]+       d = 1 - cosine

   All vectors equal give d+ = d- = 0 and the value `margin`: where the farthest positive stays
   farther than the nearest negative, that is the easy way down. "In Defense of the Triplet Loss"
   (Hermans, Beyer, Leibe, 2017) saw it; akin's "triplet" divides by the mean of d-.

       cc -shared -fPIC -O2 -o undivided.so undivided_triplet.c $(pkg-config --cflags --libs akin)
 */
#include <akin.h>

#include <math.h>
#include <string.h>

typedef struct undivided_options {
    double margin;
} undivided_options;

static const akin_option rows[] = {{.name = "margin",
                                    .type = AKIN_OPTION_FLOAT,
                                    .offset = offsetof(undivided_options, margin),
                                    .default_text = "0.5",
                                    .help = "how much farther the nearest negative should be",
                                    .minimum = 0,
                                    .maximum = 2},
                                   {.name = NULL}};

static akin_status create(void **self, const void *options, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    (void)dim, (void)groups, (void)parameters, (void)error;
    *self = (void *)options;
    return AKIN_OK;
}

/* Unit vectors of x and its rows' lengths, in the arena. */
static float *normalize(akin_arena *arena, akin_matrix x, float *length)
{
    float *unit = akin_arena_alloc(arena, (size_t)(x.rows * x.columns) * sizeof *unit);
    for (int64_t i = 0; unit && i < x.rows; i++) {
        double square = 0;
        for (int64_t k = 0; k < x.columns; k++)
            square += (double)x.data[i * x.stride + k] * x.data[i * x.stride + k];
        length[i] = (float)sqrt(square + 1e-24);
        for (int64_t k = 0; k < x.columns; k++)
            unit[i * x.columns + k] = x.data[i * x.stride + k] / length[i];
    }
    return unit;
}

static double distance(const float *a, const float *b, int64_t n)
{
    double dot = 0;
    for (int64_t k = 0; k < n; k++)
        dot += (double)a[k] * b[k];
    return 1 - dot;
}

/* The farthest object of i's group and the nearest of the others; -1 where there is none. */
static void hardest(const float *unit, const akin_labels *labels, int64_t columns, int64_t i,
                    int64_t found[2], double far_near[2])
{
    found[0] = found[1] = -1;
    far_near[0] = -1;
    far_near[1] = 3;
    for (int64_t j = 0; j < labels->count; j++) {
        double d = distance(unit + i * columns, unit + j * columns, columns);
        if (j == i)
            continue;
        if (labels->group[j] == labels->group[i]) {
            if (d > far_near[0]) {
                far_near[0] = d;
                found[0] = j;
            }
        } else if (labels->content[j] != labels->content[i] && d < far_near[1]) {
            far_near[1] = d;
            found[1] = j;
        }
    }
}

/* dx of both objects += weight * d distance. */
static void pull(akin_matrix dx, const float *unit, const float *length, int64_t i, int64_t j,
                 double weight)
{
    const float *a = unit + i * dx.columns, *b = unit + j * dx.columns;
    double s = 1 - distance(a, b, dx.columns);
    for (int64_t k = 0; k < dx.columns; k++) {
        dx.data[i * dx.stride + k] -= (float)(weight / length[i] * (b[k] - s * a[k]));
        dx.data[j * dx.stride + k] -= (float)(weight / length[j] * (a[k] - s * b[k]));
    }
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    double margin = ((const undivided_options *)self)->margin, sum = 0, anchors = 0;
    float *length = akin_arena_alloc(pass->arena, (size_t)x.rows * sizeof *length);
    int64_t(*found)[2] = akin_arena_alloc(pass->arena, (size_t)x.rows * sizeof *found);
    double(*d)[2] = akin_arena_alloc(pass->arena, (size_t)x.rows * sizeof *d);
    float *unit = length && found && d ? normalize(pass->arena, x, length) : NULL;
    (void)error;
    if (!unit)
        return AKIN_ERR_MEMORY;
    for (int64_t i = 0; i < x.rows; i++) {
        hardest(unit, labels, x.columns, i, found[i], d[i]);
        anchors += found[i][0] >= 0 && found[i][1] >= 0;
    }
    for (int64_t i = 0; dx.data && i < x.rows; i++)
        memset(dx.data + i * dx.stride, 0, (size_t)x.columns * sizeof *dx.data);
    for (int64_t i = 0; i < x.rows; i++) {
        double term = d[i][0] - d[i][1] + margin;
        if (found[i][0] < 0 || found[i][1] < 0 || term <= 0)
            continue;
        sum += term;
        if (dx.data) {
            pull(dx, unit, length, i, found[i][0], 1 / anchors);
            pull(dx, unit, length, i, found[i][1], -1 / anchors);
        }
    }
    *value = anchors > 0 ? sum / anchors : 0;
    return AKIN_OK;
}

static const akin_loss_class undivided_triplet = {
    .size = sizeof(akin_loss_class),
    .name = "undivided_triplet",
    .summary = "groups: hardest triplets without the guard against collapse",
    .kind = AKIN_GROUPS,
    .options = rows,
    .options_size = sizeof(undivided_options),
    .create = create,
    .compute = compute,
};

AKIN_API akin_status akin_plugin(akin_context *context, akin_error *error);

akin_status akin_plugin(akin_context *context, akin_error *error)
{
    return akin_register_loss(context, &undivided_triplet, error);
}
