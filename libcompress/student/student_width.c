/* Fewer channels: which of each group stay. */
#include <math.h>
#include <stdlib.h>

#include "student/student_internal.h"

typedef struct scored_unit {
    double score;
    size_t unit;
} scored_unit;

static int by_score(const void *a, const void *b) {
    const scored_unit *left = a, *right = b;
    if (left->score != right->score) {
        return left->score > right->score ? -1 : 1;
    }
    return (left->unit > right->unit) - (left->unit < right->unit);
}

static pare_status rank_units(student_channels *ranked, double *scores, scored_unit *units, pare_error *error) {
    PARE_TRY(pare_channels_score(ranked->channels, scores, error));
    for (size_t g = 0; g < pare_channels_group_count(ranked->channels); g++) {
        const pare_channel_group *group = pare_channels_group(ranked->channels, g);
        for (size_t i = 0; i < group->count; i++) {
            size_t unit = group->first + i;
            /* infinite weights count as none: whatever they feed is lost */
            units[i] = (scored_unit){isfinite(scores[unit]) ? scores[unit] : 0, unit};
        }
        qsort(units, group->count, sizeof *units, by_score);
        for (size_t i = 0; i < group->count; i++) {
            ranked->rank[units[i].unit] = (uint32_t)i;
        }
    }
    return PARE_OK;
}

pare_status student_rank_channels(const pare_graph *graph, student_channels *ranked, pare_error *error) {
    *ranked = (student_channels){.channels = NULL};
    PARE_TRY(pare_channels_find(graph, &ranked->channels, error));
    size_t count = pare_channels_unit_count(ranked->channels) + 1;
    double *scores = pare_alloc_zero(count, sizeof *scores);
    scored_unit *units = pare_alloc_zero(count, sizeof *units);
    ranked->rank = pare_alloc_zero(count, sizeof *ranked->rank);
    ranked->dropped = pare_alloc_zero(count, sizeof *ranked->dropped);
    pare_status status = PARE_OK;
    if (scores == NULL || units == NULL || ranked->rank == NULL || ranked->dropped == NULL) {
        status = pare_fail_memory(error, count * sizeof *units);
    } else {
        status = rank_units(ranked, scores, units, error);
    }
    pare_free(scores);
    pare_free(units);
    if (status != PARE_OK) {
        student_free_channels(ranked);
    }
    return status;
}

void student_free_channels(student_channels *ranked) {
    pare_channels_free(ranked->channels);
    pare_free(ranked->rank);
    pare_free(ranked->dropped);
    *ranked = (student_channels){.channels = NULL};
}

/* Units of a group that stay: a multiple of `step` where the group has that many. */
static size_t units_left(const pare_channel_group *group, double width, int32_t round) {
    size_t step = pare_channel_group_step(group, round);
    double wanted = floor(width * (double)group->count / (double)step + 0.5);
    size_t left = wanted >= 1 ? (size_t)wanted * step : step;
    return left <= group->count ? left : group->count / step * step;
}

bool student_choose_channels(student_channels *ranked, double width, int32_t round) {
    bool some = false;
    for (size_t g = 0; g < pare_channels_group_count(ranked->channels); g++) {
        const pare_channel_group *group = pare_channels_group(ranked->channels, g);
        bool whole = !group->free || width >= 1;
        size_t left = whole ? group->count : units_left(group, width, round);
        for (size_t i = 0; i < group->count; i++) {
            ranked->dropped[group->first + i] = ranked->rank[group->first + i] >= left;
            some = some || ranked->dropped[group->first + i];
        }
    }
    return some;
}
