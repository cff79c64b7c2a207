/* .npy, the file of one NumPy array (NEP 1): the magic "\x93NUMPY", a version, the length of a header
   and the header, a Python dictionary such as
       {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
   then the numbers, row after row. Read here: versions 1 to 3, little-endian floats of 2, 4 or 8
   bytes, in C order. */
#ifndef AK_BASE_NPY_H
#define AK_BASE_NPY_H

#include "base/safetensors.h"

/* The array, its numbers where they are in `data`; out->name is NULL. `name` is what messages call
   the source. Whatever is accepted lies inside the bytes. */
akin_status ak_npy_parse(ak_tensor *out, const void *data, size_t size, const char *name,
                         akin_error *error);

#endif
