/* What a run refuses before it looks at any data. */
#include <fnmatch.h>

#include "pare/ranks.h"
#include "train/trainer.h"

static bool changes_samples(const pare_augment *a) {
    return a->flip_horizontal || a->flip_vertical || a->crop_padding > 0 || a->shift > 0 || a->rotation > 0 ||
           a->brightness > 0 || a->contrast > 0 || a->cutout > 0 || a->noise > 0 || a->mixup > 0;
}

static pare_status check_distillation(const pare_train_options *o, pare_error *error) {
    if (o->distill->cache != NULL && changes_samples(&o->augment)) {
        return pare_fail(error, PARE_USAGE,
                         "a teacher's cache (--teacher-cache) keeps one answer a sample, but augmentation (--augment) "
                         "changes the samples: leave one of them out");
    }
    if (o->distill->decoupled && o->augment.mixup > 0) {
        return pare_fail(error, PARE_USAGE,
                         "decoupled distillation needs the class of each sample, but mixup mixes two: leave one of "
                         "them out");
    }
    return PARE_OK;
}

static pare_status check_options(const pare_train_options *o, pare_error *error) {
    size_t ranks = pare_ranks_count();
    if (o->epochs == 0 || o->batch == 0) {
        return pare_fail(error, PARE_USAGE, "expected at least one epoch and one sample a batch, found %llu and %zu",
                         (unsigned long long)o->epochs, o->batch);
    }
    if (o->batch % ranks != 0) {
        return pare_fail(error, PARE_USAGE, "expected a batch that %zu ranks can share evenly, found %zu samples",
                         ranks, o->batch);
    }
    if (!(o->ema >= 0.0 && o->ema < 1.0) || !(o->loss.label_smoothing >= 0.0 && o->loss.label_smoothing < 1.0)) {
        return pare_fail(error, PARE_USAGE, "expected ema and label smoothing of at least 0 and below 1, found %g, %g",
                         o->ema, o->loss.label_smoothing);
    }
    if (!(o->sparsity.target >= 0 && o->sparsity.target < 1) || !(o->sparsity.until >= 0 && o->sparsity.until <= 1)) {
        return pare_fail(error, PARE_USAGE,
                         "expected a sparsity of at least 0 and below 1, reached after a share of 0 to 1 of the run, "
                         "found %g, %g",
                         o->sparsity.target, o->sparsity.until);
    }
    PARE_TRY(pare_augment_check(&o->augment, error));
    return o->distill != NULL ? check_distillation(o, error) : PARE_OK;
}

static pare_status check_frozen(const pare_graph *graph, const pare_train_options *o, pare_error *error) {
    for (size_t i = 0; i < o->freeze_count; i++) {
        const pare_node *node = graph->first;
        while (node != NULL && fnmatch(o->freeze[i], node->name, 0) != 0) {
            node = node->next;
        }
        if (node == NULL) {
            return pare_fail(error, PARE_USAGE, "expected a node named \"%s\" (to be frozen), found none",
                             o->freeze[i]);
        }
    }
    return PARE_OK;
}

static pare_status check_network(const pare_graph *graph, pare_error *error) {
    if (graph->input_count != 1 || graph->output_count < 1) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected a network of one input to train, found %zu inputs",
                         graph->input_count);
    }
    const pare_shape *shape = &graph->inputs[0]->shape;
    if (shape->rank < 1 || shape->dims[0] != -1) {
        char text[160];
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected an open batch dimension in front of input \"%s\" to train, found %s",
                         graph->inputs[0]->name, pare_shape_text(shape, text, sizeof text));
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        if (graph->values[i]->quant != NULL) {
            return pare_fail(error, PARE_UNSUPPORTED,
                             "expected a network of real numbers to train, found \"%s\" quantized: train the network "
                             "that it was made from",
                             graph->values[i]->name);
        }
    }
    return PARE_OK;
}

pare_status trainer_check_options(const trainer *t, pare_error *error) {
    PARE_TRY(check_options(t->options, error));
    PARE_TRY(check_network(t->graph, error));
    return check_frozen(t->graph, t->options, error);
}
