/* A set of strings, each with the number under which it was added. */
#ifndef PARE_STRING_TABLE_H
#define PARE_STRING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keeps pointers to the strings, which must outlive it. Zero-initialise. */
typedef struct pare_string_table {
    struct pare_string_slot *slots;
    size_t capacity, count;
} pare_string_table;

/* Number of `text`, or UINT32_MAX. */
uint32_t pare_string_table_find(const pare_string_table *table, const char *text);
/* Adds `text`, which is not in the table. False when memory runs out. */
bool pare_string_table_add(pare_string_table *table, const char *text, uint32_t number);
void pare_string_table_free(pare_string_table *table);

#endif
