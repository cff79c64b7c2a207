/* What the sample table's files share. */
#ifndef AK_DATA_TABLE_H
#define AK_DATA_TABLE_H

#include "data/data.h"

/* A table's arrays are its own, or lie in a map of the file it was loaded from. */
typedef struct ak_owned_table {
    ak_table table;
    ak_map map; /* data NULL: the arrays are the table's own */
} ak_owned_table;

/* Fills positive_start and positives from content and score. */
akin_status ak_table_find_positives(ak_table *table, akin_error *error);
/* Fills sides from content; they are the table's own also where it is mapped. */
akin_status ak_table_find_sides(ak_table *table, akin_error *error);

#endif
