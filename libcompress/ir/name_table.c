#include "ir/name_table.h"

#include <stdint.h>
#include <string.h>

typedef struct entry {
    const char *name;
    void *item;
    uint64_t hash;
    struct entry *next;
} entry;

struct pare_name_table {
    pare_arena *arena;
    entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    entry *spare; /* removed entries, used again */
};

static uint64_t hash_name(const char *name) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    }
    return hash;
}

pare_name_table *pare_name_table_create(pare_arena *arena) {
    pare_name_table *table = pare_arena_alloc(arena, 1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->arena = arena;
    table->bucket_count = 64;
    table->buckets = pare_arena_alloc(arena, table->bucket_count, sizeof *table->buckets);
    return table->buckets != NULL ? table : NULL;
}

void *pare_name_table_find(const pare_name_table *table, const char *name) {
    uint64_t hash = hash_name(name);
    for (const entry *at = table->buckets[hash & (table->bucket_count - 1)]; at != NULL; at = at->next) {
        if (at->hash == hash && strcmp(at->name, name) == 0) {
            return at->item;
        }
    }
    return NULL;
}

static bool grow(pare_name_table *table) {
    size_t bucket_count = table->bucket_count * 2;
    entry **buckets = pare_arena_alloc(table->arena, bucket_count, sizeof *buckets);
    if (buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (entry *at = table->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            entry **bucket = &buckets[at->hash & (bucket_count - 1)];
            at->next = *bucket;
            *bucket = at;
        }
    }
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return true;
}

bool pare_name_table_put(pare_name_table *table, const char *name, void *item) {
    if (table->count >= table->bucket_count && !grow(table)) {
        return false;
    }
    entry *added = table->spare;
    if (added != NULL) {
        table->spare = added->next;
    } else {
        added = pare_arena_alloc(table->arena, 1, sizeof *added);
        if (added == NULL) {
            return false;
        }
    }
    uint64_t hash = hash_name(name);
    entry **bucket = &table->buckets[hash & (table->bucket_count - 1)];
    *added = (entry){.name = name, .item = item, .hash = hash, .next = *bucket};
    *bucket = added;
    table->count++;
    return true;
}

void pare_name_table_remove(pare_name_table *table, const char *name) {
    uint64_t hash = hash_name(name);
    for (entry **link = &table->buckets[hash & (table->bucket_count - 1)]; *link != NULL; link = &(*link)->next) {
        entry *at = *link;
        if (at->hash == hash && strcmp(at->name, name) == 0) {
            *link = at->next;
            at->next = table->spare;
            table->spare = at;
            table->count--;
            return;
        }
    }
}

size_t pare_name_table_count(const pare_name_table *table) {
    return table->count;
}
