/* A student: the teacher's graph with fewer blocks and fewer channels. */
#include <math.h>
#include <string.h>

#include "pare/passes.h"
#include "student/student_internal.h"

/* Halvings of the interval in which a share of MACs is met: 1 / 65,536. */
#define WIDTH_STEPS 16

static pare_status check_share(const char *name, double share, pare_error *error) {
    return share >= 0 && share <= 1
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "expected %s above 0 and at most 1, found %g", name, share);
}

static pare_status check_options(const pare_student_options *options, pare_error *error) {
    PARE_TRY(check_share("width", options->width, error));
    PARE_TRY(check_share("depth", options->depth, error));
    PARE_TRY(check_share("a share of MACs", options->macs, error));
    if (options->width != 0 && options->macs != 0) {
        return pare_fail(error, PARE_USAGE, "expected a width or a share of MACs, found both");
    }
    if (options->round < 0) {
        return pare_fail(error, PARE_USAGE, "expected round of at least 1, found %d", (int)options->round);
    }
    return PARE_OK;
}

/* Which operator keeps the largest number of channels whole, where none may be dropped. */
static pare_status check_scalable(const pare_graph *graph, const pare_channels *channels, pare_error *error) {
    size_t largest = 0;
    const pare_node *holder = NULL, *maker = graph->first;
    for (size_t g = 0; g < pare_channels_group_count(channels); g++) {
        const pare_channel_group *group = pare_channels_group(channels, g);
        if (group->free && group->count > 1) {
            return PARE_OK;
        }
        if (group->holder != NULL && group->count > largest) {
            largest = group->count;
            holder = group->holder;
        }
    }
    if (holder != NULL) {
        return pare_node_fail(holder, error, PARE_UNSUPPORTED,
                              "expected channels that can be scaled, found %zu that this operator needs as they are",
                              largest);
    }
    while (maker != NULL && maker->op->weight_input < 0) {
        maker = maker->next;
    }
    return maker != NULL
               ? pare_node_fail(maker, error, PARE_UNSUPPORTED,
                                "expected channels other than those of the network's inputs and outputs, found none")
               : pare_fail(error, PARE_UNSUPPORTED, "expected a network with weights, found none");
}

/* *narrowed: a copy without the channels that `width` leaves out; constants that stay whole are shared with `graph`. */
static pare_status narrow(const pare_graph *graph, double width, int32_t round, pare_graph **narrowed,
                          pare_error *error) {
    student_channels ranked = {.channels = NULL};
    bool changed = false;
    PARE_TRY(pare_graph_clone(graph, narrowed, error));
    pare_status status = width < 1 ? student_rank_channels(*narrowed, &ranked, error) : PARE_OK;
    if (status == PARE_OK && width < 1) {
        status = check_scalable(*narrowed, ranked.channels, error);
    }
    if (status == PARE_OK && width < 1 && student_choose_channels(&ranked, width, round)) {
        status = pare_channels_remove(ranked.channels, *narrowed, ranked.dropped, error);
    }
    if (status == PARE_OK) {
        status = pare_remove_dead(*narrowed, &changed, error);
    }
    student_free_channels(&ranked);
    if (status != PARE_OK) {
        pare_graph_free(*narrowed);
        *narrowed = NULL;
    }
    return status;
}

static pare_status narrow_macs(const pare_graph *graph, double width, int32_t round, uint64_t *macs,
                               pare_error *error) {
    pare_graph *narrowed = NULL;
    PARE_TRY(narrow(graph, width, round, &narrowed, error));
    *macs = pare_graph_macs(narrowed);
    pare_graph_free(narrowed);
    return PARE_OK;
}

/* The largest width of at most `limit` MACs; these do not fall as the width grows. */
static pare_status find_width(const pare_graph *graph, double limit, int32_t round, double *width, pare_error *error) {
    double low = ldexp(1, -WIDTH_STEPS), high = 1;
    uint64_t macs = pare_graph_macs(graph);
    *width = 1;
    if ((double)macs <= limit) {
        return PARE_OK;
    }
    PARE_TRY(narrow_macs(graph, low, round, &macs, error));
    if ((double)macs > limit) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected a width with at most %.0f multiply-accumulates, found %.0f in the narrowest student",
                         limit, (double)macs);
    }
    for (int step = 1; step < WIDTH_STEPS; step++) {
        double middle = (low + high) / 2;
        PARE_TRY(narrow_macs(graph, middle, round, &macs, error));
        *((double)macs <= limit ? &low : &high) = middle;
    }
    *width = low;
    return PARE_OK;
}

static pare_status shallow(const pare_graph *teacher, double depth, pare_graph *graph, pare_student_report *report,
                           pare_error *error) {
    bool changed = false;
    report->teacher_macs = pare_graph_macs(teacher);
    report->teacher_parameters = pare_graph_parameters(teacher);
    PARE_TRY(student_drop_blocks(graph, depth, &report->blocks_found, &report->blocks_kept, error));
    return pare_remove_dead(graph, &changed, error);
}

/* The groups of what is narrowed, before it is. */
static pare_status count_groups(const pare_graph *graph, pare_student_report *report, pare_error *error) {
    pare_channels *channels = NULL;
    PARE_TRY(pare_channels_find(graph, &channels, error));
    report->channel_groups = pare_channels_group_count(channels);
    for (size_t g = 0; g < report->channel_groups; g++) {
        const pare_channel_group *group = pare_channels_group(channels, g);
        if (group->holder != NULL && group->count > 1) {
            report->groups_kept_whole++;
            report->stopped_at = report->stopped_at != NULL ? report->stopped_at : group->holder->name;
        }
    }
    pare_channels_free(channels);
    return PARE_OK;
}

/* From the shallow graph to the student. */
static pare_status derive(const pare_graph *graph, const pare_student_options *options, pare_graph **student,
                          pare_student_report *report, pare_error *error) {
    report->width = options->width != 0 ? options->width : 1;
    PARE_TRY(count_groups(graph, report, error));
    if (options->macs != 0) {
        double limit = options->macs * (double)report->teacher_macs;
        PARE_TRY(find_width(graph, limit, options->round, &report->width, error));
    }
    PARE_TRY(narrow(graph, report->width, options->round, student, error));
    PARE_TRY(pare_graph_own_constants(*student, error));
    if (options->fresh) {
        PARE_TRY(student_initialize(*student, options->seed, error));
    }
    PARE_TRY(pare_graph_check(*student, error));
    report->student_macs = pare_graph_macs(*student);
    report->student_parameters = pare_graph_parameters(*student);
    if (report->stopped_at != NULL) {
        report->stopped_at = pare_arena_copy_string(&(*student)->arena, report->stopped_at);
    }
    return PARE_OK;
}

pare_status pare_student_derive(const pare_graph *teacher, const pare_student_options *options, pare_graph **student,
                                pare_student_report *report, pare_error *error) {
    pare_student_report unread, *filled = report != NULL ? report : &unread;
    pare_graph *graph = NULL;
    *student = NULL;
    *filled = (pare_student_report){.width = 0};
    PARE_TRY(check_options(options, error));
    PARE_TRY(pare_graph_clone(teacher, &graph, error));
    pare_status status = shallow(teacher, options->depth != 0 ? options->depth : 1, graph, filled, error);
    if (status == PARE_OK) {
        status = derive(graph, options, student, filled, error);
    }
    pare_graph_free(graph);
    if (status != PARE_OK) {
        pare_graph_free(*student);
        *student = NULL;
        filled->stopped_at = NULL;
    }
    return status;
}
