/* Which units go: the first so many of the network's, or of each group's, in the order of their scores, as few as the
 * targets allow. The number is found by bisection over whole networks, so that a target of bytes or milliseconds is met
 * by bytes and milliseconds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/op.h"
#include "pare/passes.h"
#include "prune/prune_internal.h"

#define MOST_DEFAULT 0.9

typedef struct ranked_unit {
    double score;
    size_t unit, group;
} ranked_unit;

typedef struct pruning {
    const pare_graph *graph;
    const pare_channel_prune_options *options;
    pare_channels *channels;
    size_t units, prunable; /* prunable: those of free groups */
    ranked_unit *order;     /* [prunable]: the first to go first */
    uint32_t *rank;         /* [units]: place in its group, 0 the last to go */
    size_t *going;          /* [groups]: scratch */
    bool *dropped;          /* [units]: scratch */
} pruning;

/* --- the order ------------------------------------------------------------------------------ */

static int by_score(const void *a, const void *b) {
    const ranked_unit *left = a, *right = b;
    if (left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    return (left->unit < right->unit) - (left->unit > right->unit); /* of equals the last goes first */
}

/* A group's units, the first to go first; with LAMP their scores become shares of what would be left. */
static void rank_group(pruning *p, const double *scores, size_t g, ranked_unit *units) {
    const pare_channel_group *group = pare_channels_group(p->channels, g);
    for (size_t i = 0; i < group->count; i++) {
        units[i] = (ranked_unit){scores[group->first + i], group->first + i, g};
    }
    qsort(units, group->count, sizeof *units, by_score);
    double left = 0;
    for (size_t i = group->count; i-- > 0;) {
        p->rank[units[i].unit] = (uint32_t)(group->count - 1 - i);
        double square = units[i].score * units[i].score;
        left += square;
        if (p->options->lamp) {
            units[i].score = left > 0 ? square / left : 0;
        }
        if (p->options->local) {
            units[i].score = ((double)i + 0.5) / (double)group->count;
        }
    }
}

static pare_status rank_units(pruning *p, pare_error *error) {
    double *scores = pare_alloc_zero(p->units + 1, sizeof *scores);
    if (scores == NULL) {
        return pare_fail_memory(error, p->units * sizeof *scores);
    }
    pare_status status = prune_score_channels(p->graph, p->channels, p->options, scores, error);
    for (size_t g = 0; status == PARE_OK && g < pare_channels_group_count(p->channels); g++) {
        const pare_channel_group *group = pare_channels_group(p->channels, g);
        if (group->free && group->count > 1) {
            rank_group(p, scores, g, p->order + p->prunable);
            p->prunable += group->count;
        }
    }
    qsort(p->order, p->prunable, sizeof *p->order, by_score);
    pare_free(scores);
    return status;
}

static pare_status prepare(pruning *p, pare_error *error) {
    PARE_TRY(pare_channels_find(p->graph, &p->channels, error));
    size_t groups = pare_channels_group_count(p->channels);
    p->units = pare_channels_unit_count(p->channels);
    p->order = pare_alloc_zero(p->units + 1, sizeof *p->order);
    p->rank = pare_alloc_zero(p->units + 1, sizeof *p->rank);
    p->going = pare_alloc_zero(groups + 1, sizeof *p->going);
    p->dropped = pare_alloc_zero(p->units + 1, sizeof *p->dropped);
    if (p->order == NULL || p->rank == NULL || p->going == NULL || p->dropped == NULL) {
        return pare_fail_memory(error, p->units * sizeof *p->order);
    }
    PARE_TRY(rank_units(p, error));
    return p->prunable > 0 ? PARE_OK
                           : pare_fail(error, PARE_UNSUPPORTED,
                                       "expected channels that may go, found none: all are those of the network's "
                                       "inputs and outputs, or of operators whose channels cannot be followed");
}

static void release(pruning *p) {
    pare_channels_free(p->channels);
    pare_free(p->order);
    pare_free(p->rank);
    pare_free(p->going);
    pare_free(p->dropped);
}

/* --- a trial --------------------------------------------------------------------------------- */

/* Units that stay where `going` of a group are to go: not below its share, a multiple of `round` channels. */
static size_t units_left(const pare_channel_prune_options *options, const pare_channel_group *group, size_t going) {
    size_t step = pare_channel_group_step(group, options->round);
    double most = options->most > 0 ? options->most : MOST_DEFAULT;
    size_t least = (size_t)ceil((1 - most) * (double)group->count - 1e-9);
    size_t left = group->count - going;
    left = left < least ? least : left;
    left = left < 1 ? 1 : left;
    left = (left + step - 1) / step * step;
    return left < group->count ? left : group->count;
}

/* Marks what goes where the first `cut` of the order are to go. */
static void choose(pruning *p, size_t cut) {
    size_t groups = pare_channels_group_count(p->channels);
    memset(p->going, 0, groups * sizeof *p->going);
    memset(p->dropped, 0, p->units * sizeof *p->dropped);
    for (size_t i = 0; i < cut; i++) {
        p->going[p->order[i].group]++;
    }
    for (size_t g = 0; g < groups; g++) {
        const pare_channel_group *group = pare_channels_group(p->channels, g);
        size_t left = p->going[g] > 0 ? units_left(p->options, group, p->going[g]) : group->count;
        for (size_t i = 0; i < group->count; i++) {
            p->dropped[group->first + i] = p->rank[group->first + i] >= left;
        }
    }
}

/* *made: a copy of the graph without what `choose` marked. */
static pare_status take_out(pruning *p, size_t cut, pare_graph **made, pare_error *error) {
    pare_channels *channels = NULL;
    bool changed = false;
    choose(p, cut);
    PARE_TRY(pare_graph_clone(p->graph, made, error));
    pare_status status = pare_channels_find(*made, &channels, error); /* numbered as those of the original */
    if (status == PARE_OK) {
        status = pare_channels_remove(channels, *made, p->dropped, error);
    }
    if (status == PARE_OK) {
        status = pare_remove_dead(*made, &changed, error);
    }
    pare_channels_free(channels);
    if (status != PARE_OK) {
        pare_graph_free(*made);
        *made = NULL;
    }
    return status;
}

/* --- targets ----------------------------------------------------------------------------------- */

static bool is_met(const pruning *p, size_t cut, const pare_prune_figures *found, const pare_prune_figures *whole) {
    const pare_prune_target *t = &p->options->target;
    return (double)cut >= t->ratio * (double)p->prunable &&
           (t->macs == 0 || (double)found->macs <= t->macs * (double)whole->macs) &&
           (t->parameters == 0 || (double)found->parameters <= t->parameters * (double)whole->parameters) &&
           (t->bytes == 0 || found->bytes <= t->bytes) && (t->latency_ms == 0 || found->latency_ms <= t->latency_ms);
}

static pare_status try_cut(pruning *p, size_t cut, const pare_prune_figures *whole, bool *met, pare_error *error) {
    pare_graph *made = NULL;
    pare_prune_figures found;
    PARE_TRY(take_out(p, cut, &made, error));
    pare_status status = prune_measure(made, p->options, &found, error);
    *met = status == PARE_OK && is_met(p, cut, &found, whole);
    pare_graph_free(made);
    return status;
}

static pare_status fail_target(pruning *p, const pare_prune_figures *whole, pare_error *error) {
    pare_graph *made = NULL;
    pare_prune_figures found;
    PARE_TRY(take_out(p, p->prunable, &made, error));
    pare_status status = prune_measure(made, p->options, &found, error);
    pare_graph_free(made);
    PARE_TRY(status);
    return pare_fail(error, PARE_UNSUPPORTED,
                     "expected the target to be met before all channels are gone that may go, found %.4g of the "
                     "multiply-accumulates, %.4g of the parameters, %zu bytes and %.4g ms left then",
                     (double)found.macs / (double)whole->macs, (double)found.parameters / (double)whole->parameters,
                     found.bytes, found.latency_ms);
}

/* The smallest number of units that meets the targets; figures fall as it grows. */
static pare_status find_cut(pruning *p, const pare_prune_figures *whole, size_t *cut, pare_error *error) {
    size_t low = 0, high = p->prunable; /* low does not meet them, high does */
    bool met = false;
    if (is_met(p, 0, whole, whole)) {
        *cut = 0;
        return PARE_OK;
    }
    PARE_TRY(try_cut(p, high, whole, &met, error));
    if (!met) {
        return fail_target(p, whole, error);
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        PARE_TRY(try_cut(p, middle, whole, &met, error));
        *(met ? &high : &low) = middle;
    }
    *cut = high;
    return PARE_OK;
}

/* --- the report ---------------------------------------------------------------------------------- */

/* The first node whose weights produce channels of the group. */
static const char *producer_of(const pruning *p, const pare_channel_group *group) {
    for (const pare_node *node = p->graph->first; node != NULL; node = node->next) {
        for (size_t k = 0; k < node->output_count; k++) {
            const pare_value *value = node->outputs[k];
            for (int32_t axis = 1; value != NULL && axis < value->shape.rank; axis++) {
                size_t unit = value->shape.dims[axis] > 0 ? pare_channels_unit(p->channels, value, axis, 0) : SIZE_MAX;
                if (unit != SIZE_MAX && unit >= group->first && unit < group->first + group->count) {
                    return node->name;
                }
            }
        }
    }
    return "";
}

static pare_status fill_report(pruning *p, pare_graph *pruned, pare_prune_report *report, pare_error *error) {
    size_t groups = pare_channels_group_count(p->channels);
    report->groups = pare_arena_alloc(&pruned->arena, groups + 1, sizeof *report->groups);
    bool good = report->groups != NULL;
    for (size_t g = 0; good && g < groups; g++) {
        const pare_channel_group *group = pare_channels_group(p->channels, g);
        pare_pruned_group *row = &report->groups[report->group_count++];
        size_t left = 0;
        for (size_t i = 0; i < group->count; i++) {
            left += !p->dropped[group->first + i];
        }
        *row = (pare_pruned_group){.node = pare_arena_copy_string(&pruned->arena, producer_of(p, group)),
                                   .before = group->count * group->width,
                                   .after = left * group->width};
        good = row->node != NULL;
        if (group->holder != NULL) {
            row->held_by = pare_arena_copy_string(&pruned->arena, group->holder->name);
            good = good && row->held_by != NULL;
        }
    }
    return good ? PARE_OK : pare_fail_memory(error, groups * sizeof *report->groups);
}

/* --- all ------------------------------------------------------------------------------------------- */

static bool is_share(double share) {
    return share >= 0 && share < 1;
}

static pare_status check_options(const pare_channel_prune_options *o, pare_error *error) {
    const pare_prune_target *t = &o->target;
    if (!is_share(t->ratio) || !is_share(t->macs) || !is_share(t->parameters) || !(t->latency_ms >= 0) ||
        !isfinite(t->latency_ms)) {
        return pare_fail(error, PARE_USAGE,
                         "expected targets as shares above 0 and below 1, and a latency above 0, found %g, %g, %g and "
                         "%g ms",
                         t->ratio, t->macs, t->parameters, t->latency_ms);
    }
    if (t->ratio == 0 && t->macs == 0 && t->parameters == 0 && t->bytes == 0 && t->latency_ms == 0) {
        return pare_fail(error, PARE_USAGE, "expected a target (channels, MACs, parameters, bytes or latency)");
    }
    if (!(o->most >= 0 && o->most <= 1) || o->round < 0) {
        return pare_fail(error, PARE_USAGE,
                         "expected at most a share of 0 to 1 of a group's channels to go and a multiple of at least "
                         "1, found %g and %d",
                         o->most, (int)o->round);
    }
    return PARE_OK;
}

static pare_status prune(pruning *p, pare_graph **pruned, pare_prune_report *report, pare_error *error) {
    size_t cut = 0;
    PARE_TRY(prepare(p, error));
    PARE_TRY(prune_measure(p->graph, p->options, &report->before, error));
    PARE_TRY(find_cut(p, &report->before, &cut, error));
    PARE_TRY(take_out(p, cut, pruned, error));
    PARE_TRY(pare_graph_own_constants(*pruned, error));
    PARE_TRY(pare_graph_check(*pruned, error));
    PARE_TRY(prune_measure(*pruned, p->options, &report->after, error));
    return fill_report(p, *pruned, report, error);
}

pare_status pare_prune_channels(const pare_graph *graph, const pare_channel_prune_options *options, pare_graph **pruned,
                                pare_prune_report *report, pare_error *error) {
    pare_prune_report unread, *filled = report != NULL ? report : &unread;
    pruning p = {.graph = graph, .options = options};
    *pruned = NULL;
    *filled = (pare_prune_report){.group_count = 0};
    PARE_TRY(check_options(options, error));
    pare_status status = prune(&p, pruned, filled, error);
    release(&p);
    if (status != PARE_OK) {
        pare_graph_free(*pruned);
        *pruned = NULL;
        *filled = (pare_prune_report){.group_count = 0};
    }
    return status;
}
