/* What this library is, for `akin --version`. */
#include "train/train.h"

#include <stdio.h>

const char *akin_version(void)
{
    return AKIN_VERSION;
}

void akin_describe(char *out, size_t size)
{
    snprintf(out, size, "akin %s\nkernels: %s%s\nthreads: OpenMP", AKIN_VERSION, ak_kernel_name(),
             ak_bf16_is_native() ? "" : " (bf16 is emulated on this processor)");
}
