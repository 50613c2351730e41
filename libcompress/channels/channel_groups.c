/* Units and groups from the joined atoms. A unit is a class of atoms that some
 * weights produce; units that run along the same axes of the same values, equally
 * often along each, are interchangeable: a group. The set of axes is compared by a
 * sum of 64-bit hashes, one an occurrence, which depends on positions in the graph
 * alone. */
#include <stdlib.h>

#include "channels/channels_internal.h"

typedef struct candidate {
    uint64_t signature;
    uint32_t root;
    uint32_t holder;
    uint32_t width;
    uint32_t group_root; /* smallest root of its group */
} candidate;

typedef struct axis_counts {
    uint64_t *signature; /* by root */
    uint32_t *width;     /* by root: fewest occurrences along an activation's axis that it runs along */
    uint32_t *seen;      /* by root: occurrences along the axis at hand */
} axis_counts;

/* splitmix64's output function (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return x ^ x >> 31;
}

static void count_axis(const pare_channels *channels, size_t ordinal, int32_t axis, axis_counts *counts) {
    const channel_value *at = &channels->values[ordinal];
    uint32_t first = at->first[axis], extent = (uint32_t)at->shape.dims[axis];
    uint64_t hash = mix(ordinal * PARE_MAX_RANK + (uint64_t)axis);
    if (first == NO_ATOM) {
        return;
    }
    for (uint32_t i = 0; i < extent; i++) {
        uint32_t root = channels_root(channels, first + i);
        counts->signature[root] += hash;
        counts->seen[root]++;
    }
    for (uint32_t i = 0; i < extent; i++) {
        uint32_t root = channels_root(channels, first + i);
        bool fewer = counts->width[root] == 0 || counts->seen[root] < counts->width[root];
        if (at->value->data == NULL && counts->seen[root] != 0 && fewer) {
            counts->width[root] = counts->seen[root];
        }
        counts->seen[root] = 0;
    }
}

/* Free ones, those of ports and those of nodes apart; then by signature. */
static int by_group(const void *a, const void *b) {
    const candidate *left = a, *right = b;
    uint32_t kinds[2] = {left->holder < FIRST_NODE ? left->holder : FIRST_NODE,
                         right->holder < FIRST_NODE ? right->holder : FIRST_NODE};
    if (kinds[0] != kinds[1]) {
        return kinds[0] < kinds[1] ? -1 : 1;
    }
    if (left->signature != right->signature) {
        return left->signature < right->signature ? -1 : 1;
    }
    return (left->root > right->root) - (left->root < right->root);
}

static int by_order(const void *a, const void *b) {
    const candidate *left = a, *right = b;
    if (left->group_root != right->group_root) {
        return left->group_root < right->group_root ? -1 : 1;
    }
    return (left->root > right->root) - (left->root < right->root);
}

static bool same_group(const candidate *a, const candidate *b) {
    bool kinds = a->holder == b->holder || (a->holder >= FIRST_NODE && b->holder >= FIRST_NODE);
    return kinds && a->signature == b->signature;
}

static void number_units(pare_channels *channels, candidate *units, size_t count) {
    qsort(units, count, sizeof *units, by_group);
    for (size_t i = 0; i < count; i++) {
        bool continues = i > 0 && same_group(&units[i - 1], &units[i]);
        units[i].group_root = continues ? units[i - 1].group_root : units[i].root;
    }
    qsort(units, count, sizeof *units, by_order);
    for (uint32_t i = 0; i < channels->atom_count; i++) {
        channels->unit_of[i] = NO_UNIT;
    }
    for (size_t i = 0; i < count; i++) {
        const candidate *at = &units[i];
        if (i == 0 || units[i - 1].group_root != at->group_root) {
            const pare_node *holder = at->holder >= FIRST_NODE ? channels->nodes[at->holder - FIRST_NODE] : NULL;
            channels->groups[channels->group_count++] = (pare_channel_group){
                .first = i, .width = at->width, .free = at->holder == HELD_BY_NONE, .holder = holder};
        }
        channels->groups[channels->group_count - 1].count++;
        channels->unit_of[at->root] = (uint32_t)i;
    }
    channels->unit_count = count;
    for (uint32_t i = 0; i < channels->atom_count; i++) {
        channels->unit_of[i] = channels->unit_of[channels_root(channels, i)];
    }
}

static pare_status group_units(pare_channels *channels, const axis_counts *counts, pare_error *error) {
    size_t count = 0;
    for (uint32_t i = 0; i < channels->atom_count; i++) {
        count += channels->parent[i] == i && channels->made[i];
    }
    candidate *units = pare_alloc_zero(count + 1, sizeof *units);
    channels->groups = pare_alloc_zero(count + 1, sizeof *channels->groups);
    if (units == NULL || channels->groups == NULL) {
        pare_free(units);
        return pare_fail_memory(error, count * sizeof *units);
    }
    size_t next = 0;
    for (uint32_t i = 0; i < channels->atom_count; i++) {
        if (channels->parent[i] == i && channels->made[i]) {
            uint32_t width = counts->width[i] != 0 ? counts->width[i] : 1;
            units[next++] = (candidate){counts->signature[i], i, channels->holder[i], width, i};
        }
    }
    number_units(channels, units, count);
    pare_free(units);
    return PARE_OK;
}

static bool has_unit(const pare_channels *channels, const channel_value *at) {
    for (int32_t a = 0; a < at->shape.rank; a++) {
        for (uint32_t i = 0; at->first[a] != NO_ATOM && i < (uint32_t)at->shape.dims[a]; i++) {
            if (channels->unit_of[at->first[a] + i] != NO_UNIT) {
                return true;
            }
        }
    }
    return false;
}

/* What scales and shifts other than channels made by weights (an image's mean) is no parameter. */
static void drop_foreign_parameters(pare_channels *channels) {
    channel_list *list = &channels->parameters;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (has_unit(channels, &channels->values[list->items[i].value])) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

pare_status channels_group(pare_channels *channels, pare_error *error) {
    size_t atoms = (size_t)channels->atom_count + 1;
    axis_counts counts = {pare_alloc_zero(atoms, sizeof *counts.signature),
                          pare_alloc_zero(atoms, sizeof *counts.width), pare_alloc_zero(atoms, sizeof *counts.seen)};
    pare_status status = PARE_OK;
    if (counts.signature == NULL || counts.width == NULL || counts.seen == NULL) {
        status = pare_fail_memory(error, atoms * sizeof *counts.signature);
    } else {
        for (uint32_t i = 0; i < channels->atom_count; i++) {
            channels->parent[i] = channels_root(channels, i);
        }
        for (size_t i = 0; i < channels->value_count; i++) {
            for (int32_t a = 0; a < channels->values[i].shape.rank; a++) {
                count_axis(channels, i, a, &counts);
            }
        }
        status = group_units(channels, &counts, error);
    }
    if (status == PARE_OK) {
        drop_foreign_parameters(channels);
    }
    pare_free(counts.signature);
    pare_free(counts.width);
    pare_free(counts.seen);
    return status;
}

static size_t greatest_divisor(size_t a, size_t b) {
    while (b != 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

size_t pare_channel_group_step(const pare_channel_group *group, int32_t round) {
    size_t multiple = round > 1 ? (size_t)round : 1, step = multiple / greatest_divisor(multiple, group->width);
    return step <= group->count ? step : 1;
}

/* --- importance -------------------------------------------------------------- */

/* sums[i] = L1 norm of the slice at index i of `axis`; returns their mean. */
static double slice_norms(const pare_value *weights, int32_t axis, double *sums) {
    const float *data = weights->data;
    size_t extent = (size_t)weights->shape.dims[axis], inner = 1, count = weights->data_bytes / sizeof *data;
    double total = 0;
    for (int32_t a = axis + 1; a < weights->shape.rank; a++) {
        inner *= (size_t)weights->shape.dims[a];
    }
    for (size_t i = 0; i < count; i++) {
        double magnitude = data[i] < 0 ? -(double)data[i] : (double)data[i];
        sums[i / inner % extent] += magnitude;
        total += magnitude;
    }
    return total / (double)extent;
}

pare_status pare_channels_score(const pare_channels *channels, double *scores, pare_error *error) {
    for (size_t i = 0; i < channels->unit_count; i++) {
        scores[i] = 0;
    }
    for (size_t i = 0; i < channels->weights.count; i++) {
        const channel_constant *layer = &channels->weights.items[i];
        const channel_value *at = &channels->values[layer->value];
        size_t extent = (size_t)at->shape.dims[layer->axis];
        double *sums = pare_alloc_zero(extent + 1, sizeof *sums);
        if (sums == NULL) {
            return pare_fail_memory(error, extent * sizeof *sums);
        }
        double mean = extent != 0 ? slice_norms(at->value, layer->axis, sums) : 0;
        for (size_t c = 0; c < extent; c++) {
            uint32_t unit = channels->unit_of[at->first[layer->axis] + (uint32_t)c];
            if (unit != NO_UNIT && mean > 0) { /* NaN adds nothing */
                scores[unit] += sums[c] / mean;
            }
        }
        pare_free(sums);
    }
    return PARE_OK;
}
