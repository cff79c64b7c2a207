#include "base/npy.h"

#include <string.h>

/* The header, a dictionary of three members in any order. */
typedef struct header {
    const char *at, *end;
    const char *name; /* of the source */
    char type[8];     /* "<f4" */
    bool fortran, has_type, has_order, has_shape;
} header;

static akin_status bad(const header *h, const char *expected, akin_error *error)
{
    int shown = h->end - h->at < 16 ? (int)(h->end - h->at) : 16;
    return ak_fail_at(error, AKIN_ERR_FORMAT, h->name, 0,
                      "not a .npy file: in its header, expected %s, found \"%.*s\"", expected,
                      shown, h->at);
}

static bool take(header *h, char wanted)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n'))
        h->at++;
    if (h->at == h->end || *h->at != wanted)
        return false;
    h->at++;
    return true;
}

/* 'text' into out, at most size - 1 bytes. */
static akin_status take_text(header *h, char *out, size_t size, akin_error *error)
{
    if (!take(h, '\''))
        return bad(h, "a text in single quotes", error);
    const char *close = memchr(h->at, '\'', (size_t)(h->end - h->at));
    if (!close || (size_t)(close - h->at) >= size)
        return bad(h, "the name of a member or of a type", error);
    memcpy(out, h->at, (size_t)(close - h->at));
    out[close - h->at] = 0;
    h->at = close + 1;
    return AKIN_OK;
}

static akin_status take_bool(header *h, bool *out, akin_error *error)
{
    static const char *const words[] = {"False", "True"};
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(h->end - h->at) >= length && memcmp(h->at, words[i], length) == 0) {
            h->at += length;
            *out = i;
            return AKIN_OK;
        }
    }
    return bad(h, "True or False", error);
}

static akin_status take_count(header *h, int64_t *out, akin_error *error)
{
    const char *start = h->at;
    for (*out = 0; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, *h->at - '0', out))
            return bad(h, "a number of rows that can be", error);
    return h->at == start ? bad(h, "a number", error) : AKIN_OK;
}

/* (3, 4) or (3,) or () */
static akin_status take_shape(header *h, ak_tensor *out, akin_error *error)
{
    if (!take(h, '('))
        return bad(h, "a tuple", error);
    out->rank = 0;
    while (!take(h, ')')) {
        if (out->rank == AK_TENSOR_RANK)
            return bad(h, "the end of the shape", error);
        AK_TRY(take_count(h, &out->shape[out->rank++], error));
        if (!take(h, ',') && (h->at == h->end || *h->at != ')'))
            return bad(h, "a comma or the end of the shape", error);
    }
    return AKIN_OK;
}

static akin_status take_member(header *h, ak_tensor *out, akin_error *error)
{
    char key[16];
    AK_TRY(take_text(h, key, sizeof key, error));
    if (!take(h, ':'))
        return bad(h, "a colon", error);
    while (h->at < h->end && *h->at == ' ')
        h->at++;
    if (strcmp(key, "descr") == 0) {
        h->has_type = true;
        return take_text(h, h->type, sizeof h->type, error);
    }
    if (strcmp(key, "fortran_order") == 0) {
        h->has_order = true;
        return take_bool(h, &h->fortran, error);
    }
    if (strcmp(key, "shape") != 0)
        return bad(h, "descr, fortran_order or shape", error);
    h->has_shape = true;
    return take_shape(h, out, error);
}

static akin_status read_header(header *h, ak_tensor *out, akin_error *error)
{
    if (!take(h, '{'))
        return bad(h, "a dictionary", error);
    while (!take(h, '}')) {
        AK_TRY(take_member(h, out, error));
        if (!take(h, ',') && (h->at == h->end || *h->at != '}'))
            return bad(h, "a comma or the end", error);
    }
    return h->has_type && h->has_order && h->has_shape
               ? AKIN_OK
               : bad(h, "descr, fortran_order and shape", error);
}

static akin_status find_type(const header *h, ak_tensor *out, akin_error *error)
{
    static const struct {
        const char *type;
        ak_dtype dtype;
    } known[] = {{"<f4", AK_DTYPE_F32}, {"<f8", AK_DTYPE_F64}, {"<f2", AK_DTYPE_F16}};
    if (h->fortran)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, h->name, 0,
                          "its numbers are stored column after column; save "
                          "numpy.ascontiguousarray of it");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(h->type, known[i].type) == 0) {
            out->dtype = known[i].dtype;
            return AKIN_OK;
        }
    return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, h->name, 0,
                      "its numbers are \"%s\", expected \"<f4\", \"<f8\" or \"<f2\"", h->type);
}

static akin_status check_size(ak_tensor *out, size_t have, const char *name, akin_error *error)
{
    bool overflows = false;
    out->count = 1;
    for (int i = 0; i < out->rank; i++)
        overflows |= __builtin_mul_overflow(out->count, out->shape[i], &out->count);
    overflows |= __builtin_mul_overflow((size_t)out->count, ak_dtype_size(out->dtype), &out->size);
    if (!overflows && out->size == have)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0,
                      "its header announces %lld numbers, but %lld bytes of them are there%s",
                      overflows ? -1LL : (long long)out->count, (long long)have,
                      overflows || out->size > have ? ": it was cut short" : "");
}

akin_status ak_npy_parse(ak_tensor *out, const void *data, size_t size, const char *name,
                         akin_error *error)
{
    const unsigned char *bytes = data;
    *out = (ak_tensor){0};
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0, "not a .npy file of version 1, 2 or 3");
    size_t start = bytes[6] == 1 ? 10 : 12, length = bytes[8] | (size_t)bytes[9] << 8;
    if (start == 12 && size >= 12)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < start || length > size - start)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0, "cut short in its header");
    const char *text = (const char *)data + start;
    header h = {.at = text, .end = text + length, .name = name};
    AK_TRY(read_header(&h, out, error));
    AK_TRY(find_type(&h, out, error));
    out->data = text + length;
    return check_size(out, size - start - length, name, error);
}
