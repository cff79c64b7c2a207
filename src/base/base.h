/* The door of base: everything below that every module may use. */
#ifndef AK_BASE_BASE_H
#define AK_BASE_BASE_H

#include "base/dispatch.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/random.h"
#include "base/text.h"
#include "base/value.h"

#endif
