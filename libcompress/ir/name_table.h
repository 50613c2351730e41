/* A map from names to items; keys are not copied. Lives in an arena. */
#ifndef PARE_NAME_TABLE_H
#define PARE_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "pare/memory.h"

typedef struct pare_name_table pare_name_table;

/* NULL when out of memory. */
pare_name_table *pare_name_table_create(pare_arena *arena);
/* NULL when absent. */
void *pare_name_table_find(const pare_name_table *table, const char *name);
/* Adds a name that is not there yet. False when out of memory. */
bool pare_name_table_put(pare_name_table *table, const char *name, void *item);
void pare_name_table_remove(pare_name_table *table, const char *name);
size_t pare_name_table_count(const pare_name_table *table);

#endif
