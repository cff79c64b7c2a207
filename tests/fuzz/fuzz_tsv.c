/* Fuzz target: the TSV reader. */
#include "data_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_reader(".tsv", data, size);
    return 0;
}
