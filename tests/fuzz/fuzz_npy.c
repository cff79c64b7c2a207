/* Fuzz target: .npy. Whatever is accepted must lie inside the bytes, with all numbers readable. */
#include "fuzz.h"

#include "base/npy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_error error = {0};
    ak_tensor tensor;
    if (ak_npy_parse(&tensor, data, size, "fuzz", &error)) {
        FUZZ_CHECK(error.status && *error.message);
        return 0;
    }
    const uint8_t *first = tensor.data;
    FUZZ_CHECK(first >= data && (size_t)(first - data) + tensor.size == size);
    FUZZ_CHECK(tensor.size == (size_t)tensor.count * ak_dtype_size(tensor.dtype));
    float *numbers = malloc((size_t)tensor.count * sizeof *numbers + 1);
    FUZZ_CHECK(numbers && ak_tensor_convert(&tensor, numbers));
    free(numbers);
    return 0;
}
