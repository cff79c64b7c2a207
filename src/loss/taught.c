#include "loss/taught.h"

akin_status ak_taught_check(const char *name, const akin_labels *labels, akin_matrix x,
                            akin_error *error)
{
    bool has = labels->size >= offsetof(akin_labels, teacher) + sizeof labels->teacher &&
               labels->teacher.data;
    if (!has)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "the loss \"%s\" learns from a teacher, and there is none: \"train.teacher\" "
            "names its folder",
            name);
    if (labels->teacher.rows != x.rows)
        return ak_fail(error, AKIN_ERR_MISMATCH, "%lld vectors of the teacher for %lld objects",
                       (long long)labels->teacher.rows, (long long)x.rows);
    return AKIN_OK;
}

akin_status ak_taught_distances(ak_taught *out, ak_distance distance, const akin_pass *pass,
                                const akin_labels *labels, akin_matrix x, akin_error *error)
{
    bool pairs = labels->kind == AKIN_PAIRS;
    int64_t first = pairs ? labels->count : 0, candidates = x.rows - first;
    int64_t anchors = pairs ? labels->count - labels->repeated : x.rows;
    *out = (ak_taught){.distance = distance,
                       .first = first,
                       .anchors = ak_matrix_rows(x, 0, anchors),
                       .candidates = ak_matrix_rows(x, first, candidates),
                       .student = ak_matrix_new(pass->arena, anchors, candidates),
                       .teacher = ak_matrix_new(pass->arena, anchors, candidates),
                       .labels = labels,
                       .arena = pass->arena};
    if (!out->student.data || !out->teacher.data)
        return ak_fail_memory(error);
    AK_TRY(ak_distance_matrix(distance, out->anchors, out->candidates, out->student, pass->arena,
                              error));
    return ak_distance_matrix(distance, ak_matrix_rows(labels->teacher, 0, anchors),
                              ak_matrix_rows(labels->teacher, first, candidates), out->teacher,
                              pass->arena, error);
}

bool ak_taught_is_anchor(const ak_taught *t, int64_t anchor, int64_t candidate)
{
    const int64_t *content = t->labels->content;
    return content[anchor] == content[t->first + candidate];
}

akin_status ak_taught_backward(const ak_taught *t, akin_matrix dd, akin_matrix x, akin_matrix dx,
                               akin_error *error)
{
    akin_matrix da = ak_matrix_rows(dx, 0, t->anchors.rows);
    akin_matrix db = ak_matrix_rows(dx, t->first, x.rows - t->first);
    ak_matrix_zero(dx);
    return ak_distance_matrix_backward(t->distance, t->anchors, t->candidates, t->student, dd, da,
                                       db, t->arena, error);
}
