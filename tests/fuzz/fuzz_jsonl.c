/* Fuzz target: the JSONL reader. */
#include "data_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_reader(".jsonl", data, size);
    return 0;
}
