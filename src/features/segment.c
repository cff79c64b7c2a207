/* Segments: safetensors files with the tensors "keys" (U64, n x 2) and "vectors" (F32 or BF16,
   n x dim; int8: U8, n x row size, see row.h). Metadata: "format", "fingerprint", "precision"
   (absent: f32), "encoder" (what made them, JSON; may be absent) and "checksum". */
#include "features/segment.h"

#include "features/row.h"

#include <stdio.h>
#include <string.h>

/* ---- names ---- */

void ak_store_name(const ak_store_kind *kind, char out[AK_STORE_NAME])
{
    char hex[AK_HASH_HEX];
    ak_hash_to_hex(kind->fingerprint, hex);
    bool plain = kind->precision == AKIN_CACHE_F32;
    snprintf(out, AK_STORE_NAME, "%s%s%s", hex, plain ? "" : "-",
             plain ? "" : ak_row_name(kind->precision));
}

bool ak_store_parse_name(const char *name, ak_store_kind *kind)
{
    char hex[AK_HASH_HEX] = "";
    *kind = (ak_store_kind){.precision = AKIN_CACHE_F32};
    snprintf(hex, sizeof hex, "%.32s", name);
    if (!ak_hash_from_hex(hex, &kind->fingerprint))
        return false;
    return !name[32] || (name[32] == '-' && ak_row_parse(name + 33, &kind->precision));
}

bool ak_segment_is(const char *name)
{
    return name[0] >= '0' && name[0] <= '9' && ak_path_has_suffix(name, ".safetensors");
}

/* ---- reading ---- */

/* The sum of the hashes of all rows, whatever parts they stand in. */
static void checksum(const ak_segment *parts, int64_t count, size_t row_size, char hex[AK_HASH_HEX])
{
    ak_hash sum = {0};
    for (int64_t p = 0; p < count; p++)
        for (int64_t i = 0; i < parts[p].count; i++) {
            ak_hash row = ak_hash_bytes(parts[p].rows + (size_t)i * row_size, row_size);
            row = ak_hash_combine(parts[p].keys[i], row);
            sum.low += row.low;
            sum.high += row.high;
        }
    ak_hash_to_hex(sum, hex);
}

static ak_dtype row_dtype(akin_cache_precision precision)
{
    static const ak_dtype types[] = {AK_DTYPE_F32, AK_DTYPE_BF16, AK_DTYPE_U8};
    return types[precision];
}

/* Columns of the tensor "vectors". */
static int64_t row_columns(const ak_store_kind *kind)
{
    return kind->precision == AKIN_CACHE_INT8 ? (int64_t)ak_row_size(kind->precision, kind->dim)
                                              : kind->dim;
}

static akin_status map_tensors(ak_segment *out, ak_store_kind *kind, akin_error *error)
{
    const ak_tensor *keys, *rows;
    int64_t key_shape[2] = {-1, 2};
    AK_TRY(ak_safetensors_view((const void **)&out->keys, &keys, out->file, "keys", AK_DTYPE_U64, 2,
                               key_shape, error));
    out->count = keys->shape[0];
    int64_t shape[2] = {out->count, kind->dim ? row_columns(kind) : -1};
    AK_TRY(ak_safetensors_view((const void **)&out->rows, &rows, out->file, "vectors",
                               row_dtype(kind->precision), 2, shape, error));
    const char *dim = ak_safetensors_metadata(out->file, "dim");
    if (!kind->dim && !(dim && ak_text_to_int(dim, &kind->dim)))
        kind->dim = rows->shape[1]; /* of a segment of float32 that does not say it */
    if (kind->dim < 1 || rows->shape[1] != row_columns(kind))
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(out->file), 0,
                          "\"vectors\" has %lld columns, expected %lld", (long long)rows->shape[1],
                          (long long)row_columns(kind));
    return AKIN_OK;
}

akin_status ak_segment_open(ak_segment *out, ak_store_kind *kind, const char *path,
                            akin_error *error)
{
    char hex[AK_HASH_HEX];
    AK_TRY(ak_safetensors_open(&out->file, path, error));
    const char *name = ak_safetensors_metadata(out->file, "fingerprint");
    const char *precision = ak_safetensors_metadata(out->file, "precision");
    ak_hash_to_hex(kind->fingerprint, hex);
    if (!name || strcmp(name, hex) != 0 ||
        strcmp(precision ? precision : "f32", ak_row_name(kind->precision)) != 0)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, path, 0, "holds vectors of another encoder");
    AK_TRY(map_tensors(out, kind, error));
    const char *sum = ak_safetensors_metadata(out->file, "checksum");
    checksum(out, 1, ak_row_size(kind->precision, kind->dim), hex);
    if (!sum || strcmp(sum, hex) != 0)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "its checksum is wrong");
    out->path = ak_strdup(path);
    return out->path ? AKIN_OK : ak_fail_memory(error);
}

void ak_segment_close(ak_segment *segment)
{
    ak_safetensors_free(segment->file);
    ak_free(segment->path);
}

/* ---- writing ---- */

static akin_status write_rows(ak_safetensors_writer *writer, const ak_segment *parts, int64_t count,
                              size_t row_size, akin_error *error)
{
    for (int64_t i = 0; i < count; i++)
        AK_TRY(ak_safetensors_put(writer, parts[i].keys, (size_t)parts[i].count * sizeof(ak_hash),
                                  error));
    for (int64_t i = 0; i < count; i++)
        AK_TRY(ak_safetensors_put(writer, parts[i].rows, (size_t)parts[i].count * row_size, error));
    return AKIN_OK;
}

akin_status ak_segment_write(const char *path, const ak_store_kind *kind, const ak_segment *parts,
                             int64_t count, akin_error *error)
{
    size_t row_size = ak_row_size(kind->precision, kind->dim);
    char hex[AK_HASH_HEX], sum[AK_HASH_HEX], dim[32];
    int64_t rows = 0;
    ak_hash_to_hex(kind->fingerprint, hex);
    checksum(parts, count, row_size, sum);
    snprintf(dim, sizeof dim, "%lld", (long long)kind->dim);
    for (int64_t i = 0; i < count; i++)
        rows += parts[i].count;
    const char *const metadata[] = {"format",
                                    "akin-features",
                                    "fingerprint",
                                    hex,
                                    "precision",
                                    ak_row_name(kind->precision),
                                    "dim",
                                    dim,
                                    "checksum",
                                    sum,
                                    kind->encoder ? "encoder" : NULL,
                                    kind->encoder,
                                    NULL};
    ak_tensor tensors[2] = {{.name = "keys", .dtype = AK_DTYPE_U64, .rank = 2, .shape = {rows, 2}},
                            {.name = "vectors",
                             .dtype = row_dtype(kind->precision),
                             .rank = 2,
                             .shape = {rows, row_columns(kind)}}};
    ak_safetensors_writer *writer;
    AK_TRY(ak_safetensors_create(&writer, path, tensors, 2, metadata, error));
    akin_status status = write_rows(writer, parts, count, row_size, error);
    if (status) {
        ak_safetensors_abort(writer);
        return status;
    }
    return ak_safetensors_commit(writer, error);
}
