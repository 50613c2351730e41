#include "string_table.h"

#include <string.h>

#include "pare/memory.h"

typedef struct pare_string_slot {
    const char *text; /* NULL: empty */
    uint32_t number;
    uint32_t hash;
} pare_string_slot;

/* FNV-1a, with a final mix: files choose the names, and linear probing slows
 * down where low bits collide. */
static uint32_t hash_of(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    }
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32);
}

/* The slot that holds the text, or the empty one where it belongs. */
static pare_string_slot *slot_of(const pare_string_table *table, const char *text, uint32_t hash) {
    size_t at = hash & (table->capacity - 1);
    while (table->slots[at].text != NULL &&
           (table->slots[at].hash != hash || strcmp(table->slots[at].text, text) != 0)) {
        at = (at + 1) & (table->capacity - 1);
    }
    return &table->slots[at];
}

uint32_t pare_string_table_find(const pare_string_table *table, const char *text) {
    if (table->count == 0) {
        return UINT32_MAX;
    }
    const pare_string_slot *slot = slot_of(table, text, hash_of(text));
    return slot->text == NULL ? UINT32_MAX : slot->number;
}

static bool grow(pare_string_table *table) {
    pare_string_table grown = {.capacity = table->capacity == 0 ? 64 : 2 * table->capacity, .count = table->count};
    grown.slots = pare_alloc_zero(grown.capacity, sizeof *grown.slots);
    if (grown.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].text != NULL) {
            *slot_of(&grown, table->slots[i].text, table->slots[i].hash) = table->slots[i];
        }
    }
    pare_free(table->slots);
    *table = grown;
    return true;
}

bool pare_string_table_add(pare_string_table *table, const char *text, uint32_t number) {
    if (table->count >= table->capacity / 2 && !grow(table)) {
        return false;
    }
    uint32_t hash = hash_of(text);
    *slot_of(table, text, hash) = (pare_string_slot){text, number, hash};
    table->count++;
    return true;
}

void pare_string_table_free(pare_string_table *table) {
    pare_free(table->slots);
    *table = (pare_string_table){0};
}
