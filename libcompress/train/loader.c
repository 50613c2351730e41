/* One producer thread fills a ring of batches; the trainer takes them in order. */
#include "train/loader.h"

#include <pthread.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "pare/random.h"
#include "train/augment.h"

#define SLOTS 3

typedef struct slot {
    uint8_t *inputs;
    int64_t *classes, *mixed;
    float *values;
    size_t *samples;
    float lambda;
    uint64_t epoch, batch;
    pare_status status; /* of making it */
    pare_error error;
} slot;

struct pare_loader {
    pare_dataset *dataset;
    pare_loader_options options;
    pare_preprocess preprocess;
    pare_sample_info info;
    augment_plane plane;
    size_t sample_bytes, batches;
    size_t *indices, *order; /* the samples to draw from; their permutation in this epoch */
    uint64_t ordered_epoch;
    bool has_order;
    pare_sample sample; /* scratch of the producer */
    pare_preprocess_scratch scratch;
    float *moved;
    slot slots[SLOTS];
    /* shared by both threads */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running, stop;
    size_t filled;         /* slots that wait to be taken */
    size_t next;           /* slot that is taken next */
    bool lent;             /* the slot before it is still in the trainer's hands */
    uint64_t epoch, batch; /* that the producer makes next */
};

/* --- making a batch: the producer ---------------------------------------------------- */

/* A seed of its own for each place where numbers are drawn: SplitMix64's finalizer over the coordinates. */
static uint64_t seed_of(uint64_t seed, uint64_t epoch, uint64_t position, uint64_t purpose) {
    uint64_t z = seed;
    uint64_t coordinates[] = {epoch, position, purpose};
    for (size_t i = 0; i < 3; i++) {
        z = (z + 0x9e3779b97f4a7c15U) ^ coordinates[i];
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        z ^= z >> 31;
    }
    return z;
}

enum { FOR_ORDER = 1, FOR_SAMPLE = 2, FOR_MIXING = 3 };

static void order_epoch(pare_loader *l, uint64_t epoch) {
    if (l->has_order && l->ordered_epoch == epoch) {
        return;
    }
    memcpy(l->order, l->indices, l->options.index_count * sizeof *l->order);
    if (l->options.shuffle) {
        pare_random random;
        pare_random_seed(&random, seed_of(l->options.seed, epoch, 0, FOR_ORDER));
        pare_random_shuffle(&random, l->order, l->options.index_count);
    }
    l->ordered_epoch = epoch;
    l->has_order = true;
}

static pare_status make_sample(pare_loader *l, slot *s, size_t at, size_t position) {
    size_t index = l->order[position], targets = l->info.target_count;
    uint8_t *out = s->inputs + at * l->sample_bytes;
    s->samples[at] = index;
    PARE_TRY(pare_dataset_read(l->dataset, index, &l->sample, &s->error));
    pare_status status = pare_preprocess_apply(&l->preprocess, &l->info, &l->sample, &l->options.input,
                                               l->options.dtype, out, &l->scratch, &s->error);
    if (status != PARE_OK) {
        const char *name = pare_dataset_sample_name(l->dataset, index);
        pare_error_prefix(&s->error, "sample %zu%s%s: ", index, name != NULL ? " " : "", name != NULL ? name : "");
        return status;
    }
    if (l->options.dtype == PARE_F32) {
        pare_random random;
        pare_random_seed(&random, seed_of(l->options.seed, s->epoch, position, FOR_SAMPLE));
        augment_sample(&l->options.augment, &l->plane, &random, (float *)(void *)out, l->moved);
    }
    for (size_t k = 0; k < targets; k++) {
        if (l->info.target == PARE_TARGET_CLASS) {
            int64_t label = l->sample.classes[k];
            s->classes[at * targets + k] = label < 0 ? label : label + l->preprocess.label_offset;
        } else if (l->info.target == PARE_TARGET_VALUES) {
            s->values[at * targets + k] = l->sample.values[k];
        }
    }
    return PARE_OK;
}

/* Sample i is mixed with sample batch - 1 - i, which the shuffle has drawn at random (Zhang et al. 2018, section 3). */
static void mix(pare_loader *l, slot *s) {
    size_t batch = l->options.batch, targets = l->info.target_count;
    pare_random random;
    pare_random_seed(&random, seed_of(l->options.seed, s->epoch, s->batch, FOR_MIXING));
    s->lambda = (float)augment_beta(&random, l->options.augment.mixup);
    for (size_t i = 0; i < batch; i++) {
        memcpy(s->mixed + i * targets, s->classes + (batch - 1 - i) * targets, targets * sizeof *s->mixed);
    }
    for (size_t i = 0; i < batch / 2; i++) {
        float *a = (float *)(void *)(s->inputs + i * l->sample_bytes);
        float *b = (float *)(void *)(s->inputs + (batch - 1 - i) * l->sample_bytes);
        for (size_t k = 0; k < l->plane.elements; k++) {
            float first = a[k], second = b[k];
            a[k] = s->lambda * first + (1.0F - s->lambda) * second;
            b[k] = s->lambda * second + (1.0F - s->lambda) * first;
        }
        float *va = s->values + i * targets, *vb = s->values + (batch - 1 - i) * targets;
        for (size_t k = 0; k < targets && l->info.target == PARE_TARGET_VALUES; k++) {
            float first = va[k], second = vb[k];
            va[k] = s->lambda * first + (1.0F - s->lambda) * second;
            vb[k] = s->lambda * second + (1.0F - s->lambda) * first;
        }
    }
}

static void make_batch(pare_loader *l, slot *s, uint64_t epoch, uint64_t batch) {
    s->epoch = epoch;
    s->batch = batch;
    s->lambda = 1.0F;
    s->status = PARE_OK;
    order_epoch(l, epoch);
    size_t first = ((size_t)batch * l->options.ranks + l->options.rank) * l->options.batch;
    for (size_t i = 0; s->status == PARE_OK && i < l->options.batch; i++) {
        s->status = make_sample(l, s, i, first + i);
    }
    if (s->status == PARE_OK && l->options.augment.mixup > 0) {
        mix(l, s);
    }
}

static void *produce(void *context) {
    pare_loader *l = context;
    (void)pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        if (l->filled + l->lent == SLOTS) {
            (void)pthread_cond_wait(&l->changed, &l->mutex);
            continue;
        }
        slot *s = &l->slots[(l->next + l->filled) % SLOTS];
        uint64_t epoch = l->epoch, batch = l->batch;
        (void)pthread_mutex_unlock(&l->mutex);
        make_batch(l, s, epoch, batch);
        (void)pthread_mutex_lock(&l->mutex);
        l->batch = batch + 1 == l->batches ? 0 : batch + 1;
        l->epoch = epoch + (l->batch == 0);
        l->filled++;
        (void)pthread_cond_broadcast(&l->changed);
        if (s->status != PARE_OK) {
            break;
        }
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* --- creation ---------------------------------------------------------------------------- */

static pare_status check_sizes(const pare_loader *l, pare_error *error) {
    const pare_loader_options *o = &l->options;
    size_t global = 0;
    if (o->batch == 0 || o->ranks == 0 || o->rank >= o->ranks || !pare_mul_size(o->batch, o->ranks, &global) ||
        global > o->index_count) {
        return pare_fail(error, PARE_USAGE,
                         "expected a batch of at most the %zu samples of \"%s\"%s, found a batch of %zu",
                         o->index_count, pare_dataset_spec(l->dataset), o->ranks > 1 ? " for all ranks together" : "",
                         global > 0 ? global : o->batch);
    }
    return PARE_OK;
}

static pare_status allocate_slot(const pare_loader *l, slot *s, pare_error *error) {
    size_t bytes = 0, targets = 0, batch = l->options.batch;
    if (!pare_mul_size(batch, l->sample_bytes, &bytes) || !pare_mul_size(batch, l->info.target_count, &targets)) {
        return pare_fail(error, PARE_LIMIT, "a batch of %zu samples overflows", batch);
    }
    s->inputs = pare_alloc_zero(bytes + 1, 1);
    s->classes = pare_alloc_zero(targets + 1, sizeof *s->classes);
    s->mixed = pare_alloc_zero(targets + 1, sizeof *s->mixed);
    s->values = pare_alloc_zero(targets + 1, sizeof *s->values);
    s->samples = pare_alloc_zero(batch, sizeof *s->samples);
    return s->inputs != NULL && s->classes != NULL && s->mixed != NULL && s->values != NULL && s->samples != NULL
               ? PARE_OK
               : pare_fail_memory(error, bytes);
}

static pare_status allocate(pare_loader *l, const size_t *indices, pare_error *error) {
    size_t count = l->options.index_count;
    l->indices = pare_alloc_zero(count + 1, sizeof *l->indices);
    l->order = pare_alloc_zero(count + 1, sizeof *l->order);
    l->moved = pare_alloc_zero(l->plane.elements + 1, sizeof *l->moved);
    if (l->indices == NULL || l->order == NULL || l->moved == NULL) {
        return pare_fail_memory(error, count * sizeof *l->indices);
    }
    for (size_t i = 0; i < count; i++) {
        l->indices[i] = indices != NULL ? indices[i] : i;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        PARE_TRY(allocate_slot(l, &l->slots[i], error));
    }
    return PARE_OK;
}

static pare_status prepare(pare_loader *l, const size_t *indices, pare_error *error) {
    const pare_loader_options *o = &l->options;
    PARE_TRY(pare_augment_check(&o->augment, error));
    PARE_TRY(augment_plane_of(&o->augment, &o->input, o->dtype, l->preprocess.layout, &l->plane, error));
    PARE_TRY(check_sizes(l, error));
    l->sample_bytes = l->plane.elements * pare_dtype_bytes(o->dtype);
    l->batches = o->index_count / (o->batch * o->ranks);
    return allocate(l, indices, error);
}

pare_status pare_loader_create(pare_dataset *dataset, const pare_loader_options *options, pare_loader **loader,
                               pare_error *error) {
    pare_loader *l = pare_alloc_zero(1, sizeof *l);
    if (l == NULL) {
        return pare_fail_memory(error, sizeof *l);
    }
    l->dataset = dataset;
    l->options = *options;
    l->preprocess = *options->preprocess;
    l->info = pare_dataset_info(dataset);
    if (options->indices == NULL) {
        l->options.index_count = pare_dataset_count(dataset);
    }
    l->options.indices = NULL;
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)pthread_cond_init(&l->changed, NULL);
    pare_status status = prepare(l, options->indices, error);
    if (status != PARE_OK) {
        pare_loader_free(l);
        return status;
    }
    *loader = l;
    return PARE_OK;
}

static void stop_thread(pare_loader *l) {
    if (!l->running) {
        return;
    }
    (void)pthread_mutex_lock(&l->mutex);
    l->stop = true;
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->mutex);
    (void)pthread_join(l->thread, NULL);
    l->running = false;
    l->stop = false;
    l->filled = 0;
    l->lent = false;
    l->next = 0;
}

void pare_loader_free(pare_loader *loader) {
    if (loader == NULL) {
        return;
    }
    stop_thread(loader);
    for (size_t i = 0; i < SLOTS; i++) {
        slot *s = &loader->slots[i];
        void *blocks[] = {s->inputs, s->classes, s->mixed, s->values, s->samples};
        for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
            pare_free(blocks[k]);
        }
    }
    pare_sample_free(&loader->sample);
    pare_preprocess_scratch_free(&loader->scratch);
    pare_free(loader->moved);
    pare_free(loader->indices);
    pare_free(loader->order);
    (void)pthread_mutex_destroy(&loader->mutex);
    (void)pthread_cond_destroy(&loader->changed);
    pare_free(loader);
}

size_t pare_loader_batches(const pare_loader *loader) {
    return loader->batches;
}

/* --- taking batches ------------------------------------------------------------------------ */

pare_status pare_loader_seek(pare_loader *loader, uint64_t epoch, uint64_t batch_in_epoch, pare_error *error) {
    if (batch_in_epoch > loader->batches) {
        return pare_fail(error, PARE_USAGE, "expected a batch of at most %zu in an epoch, found %llu", loader->batches,
                         (unsigned long long)batch_in_epoch);
    }
    stop_thread(loader);
    loader->epoch = epoch + (batch_in_epoch == loader->batches);
    loader->batch = batch_in_epoch == loader->batches ? 0 : batch_in_epoch;
    return PARE_OK;
}

static pare_status start_thread(pare_loader *l, pare_error *error) {
    if (l->running) {
        return PARE_OK;
    }
    if (pthread_create(&l->thread, NULL, produce, l) != 0) {
        return pare_fail(error, PARE_LIMIT, "expected a thread for reading data, found none");
    }
    l->running = true;
    return PARE_OK;
}

pare_status pare_loader_next(pare_loader *loader, pare_batch *batch, pare_error *error) {
    PARE_TRY(start_thread(loader, error));
    (void)pthread_mutex_lock(&loader->mutex);
    loader->lent = false; /* the batch before is given back */
    (void)pthread_cond_broadcast(&loader->changed);
    while (loader->filled == 0) {
        (void)pthread_cond_wait(&loader->changed, &loader->mutex);
    }
    slot *s = &loader->slots[loader->next];
    if (s->status == PARE_OK) {
        loader->next = (loader->next + 1) % SLOTS;
        loader->filled--;
        loader->lent = true;
    }
    (void)pthread_mutex_unlock(&loader->mutex);
    if (s->status != PARE_OK) { /* stays the next one: the error is told again */
        if (error != NULL) {
            *error = s->error;
        }
        return s->status;
    }
    pare_target_kind kind = loader->info.target;
    bool mixes = loader->options.augment.mixup > 0;
    *batch = (pare_batch){.inputs = s->inputs,
                          .classes = kind == PARE_TARGET_CLASS ? s->classes : NULL,
                          .mixed_classes = kind == PARE_TARGET_CLASS && mixes ? s->mixed : NULL,
                          .values = kind == PARE_TARGET_VALUES ? s->values : NULL,
                          .targets = loader->info.target_count,
                          .lambda = s->lambda,
                          .samples = s->samples,
                          .epoch = s->epoch,
                          .batch_in_epoch = s->batch};
    return PARE_OK;
}
