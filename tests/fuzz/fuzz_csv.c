/* Fuzz target: the CSV reader. */
#include "data_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_reader(".csv", data, size);
    return 0;
}
