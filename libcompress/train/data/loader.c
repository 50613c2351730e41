/* One thread fills batch buffers in order while the caller trains on the last
 * one; the two meet only under the mutex. What a batch holds depends on its
 * epoch and number alone, so seeking needs no state. */
#include "train/data/loader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "train/data/augment.h"

/* One in the caller's hands, one being filled or ready. */
#define SLOTS 2

/* Numbers drawn for different things never come from one stream. */
typedef enum stream_purpose { STREAM_SHUFFLE = 1, STREAM_SAMPLE = 2, STREAM_MIXUP = 3 } stream_purpose;

typedef enum slot_state { SLOT_FREE = 0, SLOT_FILLING, SLOT_READY, SLOT_HELD } slot_state;

typedef struct batch_place {
    uint64_t epoch, batch;
} batch_place;

/* A batch; with mixup one sample more, the partner of the last. */
typedef struct batch_slot {
    slot_state state;
    batch_place place;
    uint8_t *inputs;
    int64_t *classes, *mixed_classes;
    float *values;
    size_t *samples;
    float lambda;
} batch_slot;

struct pare_loader {
    pare_dataset *dataset;
    pare_sample_info info;
    pare_preprocess preprocess;
    pare_loader_options options; /* its pointers are not used again */
    size_t global_batch;         /* batch × ranks */
    size_t count, batches;       /* samples to draw from, whole batches an epoch */
    size_t sample_bytes;

    /* The thread's own. */
    pare_augmenter augmenter;
    size_t *indices, *order; /* as given; as this epoch takes them */
    uint64_t ordered_epoch;
    bool ordered;
    pare_sample sample;
    pare_preprocess_scratch scratch;

    /* Under the mutex; `generation` counts seeks and the stop, and tells the
     * thread in the middle of a batch that nobody wants it any more. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_mutex, has_changed, has_thread, stop;
    atomic_uint generation;
    batch_slot slots[SLOTS];
    batch_place next_filled, next_taken;
    pare_status status; /* why the thread waits: the failure of batch `next_filled` */
    pare_error error;
};

/* A generator for one purpose, epoch and number. */
static void start_stream(pare_random *random, uint64_t seed, stream_purpose purpose, uint64_t epoch, uint64_t number) {
    const uint64_t words[3] = {purpose, epoch, number};
    pare_random_seed(random, seed);
    for (int i = 0; i < 3; i++) {
        pare_random_seed(random, pare_random_u64(random) ^ words[i]);
    }
}

static void order_epoch(pare_loader *l, uint64_t epoch) {
    if (l->ordered && (!l->options.shuffle || epoch == l->ordered_epoch)) {
        return;
    }
    memcpy(l->order, l->indices, l->count * sizeof *l->order);
    if (l->options.shuffle) {
        pare_random random;
        start_stream(&random, l->options.seed, STREAM_SHUFFLE, epoch, 0);
        pare_random_shuffle(&random, l->order, l->count);
    }
    l->ordered_epoch = epoch;
    l->ordered = true;
}

static pare_status copy_targets(pare_loader *l, batch_slot *slot, size_t number, pare_error *error) {
    size_t targets = l->info.target_count;
    if (l->info.target == PARE_TARGET_VALUES) {
        memcpy(slot->values + number * targets, l->sample.values, targets * sizeof *slot->values);
    }
    for (size_t i = 0; l->info.target == PARE_TARGET_CLASS && i < targets; i++) {
        int64_t given = l->sample.classes[i], *class = &slot->classes[number * targets + i];
        *class = given; /* a negative one is no label, whatever the offset */
        if (given >= 0 && !pare_add_i64(given, l->preprocess.label_offset, class)) {
            return pare_fail(error, PARE_BAD_INPUT, "label %lld overflows with its offset", (long long)given);
        }
    }
    return PARE_OK;
}

/* Sample `number` of a slot is the one at `position` of the epoch. */
static pare_status load_sample(pare_loader *l, batch_slot *slot, size_t number, size_t position, pare_error *error) {
    size_t index = l->order[position];
    uint8_t *out = slot->inputs + number * l->sample_bytes;
    PARE_TRY(pare_dataset_read(l->dataset, index, &l->sample, error));
    pare_status status = pare_preprocess_apply(&l->preprocess, &l->info, &l->sample, &l->options.input,
                                               l->options.dtype, out, &l->scratch, error);
    if (status == PARE_OK) {
        status = copy_targets(l, slot, number, error);
    }
    if (status != PARE_OK) {
        const char *name = pare_dataset_sample_name(l->dataset, index);
        pare_error_prefix(error, "sample %zu%s%s: ", index, name != NULL ? " " : "", name != NULL ? name : "");
        return status;
    }
    if (l->options.dtype == PARE_F32) {
        pare_random random;
        start_stream(&random, l->options.seed, STREAM_SAMPLE, slot->place.epoch, position);
        pare_augmenter_apply(&l->augmenter, (float *)(void *)out, &random);
    }
    slot->samples[number] = index;
    return PARE_OK;
}

/* Each sample is mixed with the one that follows it in the batch of all ranks,
 * the last with the first: a shuffled order makes every pair equally likely,
 * and a rank has to load one sample more, not all. */
static pare_status mix(pare_loader *l, batch_slot *slot, size_t start, pare_error *error) {
    size_t batch = l->options.batch, targets = l->info.target_count, elements = l->augmenter.elements;
    float *inputs = (float *)(void *)slot->inputs;
    pare_random random;
    PARE_TRY(load_sample(l, slot, batch, start + (l->options.rank + 1) * batch % l->global_batch, error));
    start_stream(&random, l->options.seed, STREAM_MIXUP, slot->place.epoch, slot->place.batch);
    slot->lambda = (float)pare_mixup_lambda(l->options.augment.mixup, &random);
    /* Ascending, so that each partner is still unmixed. */
    for (size_t i = 0; i < batch; i++) {
        pare_mixup(inputs + i * elements, inputs + (i + 1) * elements, elements, slot->lambda);
    }
    if (l->info.target == PARE_TARGET_VALUES) {
        pare_mixup(slot->values, slot->values + targets, batch * targets, slot->lambda);
    } else if (l->info.target == PARE_TARGET_CLASS) {
        memcpy(slot->mixed_classes, slot->classes + targets, batch * targets * sizeof *slot->classes);
    }
    return PARE_OK;
}

/* Gives up, without a message, when `generation` is over. */
static pare_status fill(pare_loader *l, batch_slot *slot, unsigned generation, pare_error *error) {
    size_t start = (size_t)slot->place.batch * l->global_batch;
    size_t mine = start + l->options.rank * l->options.batch;
    order_epoch(l, slot->place.epoch);
    slot->lambda = 1;
    for (size_t i = 0; i < l->options.batch; i++) {
        if (atomic_load_explicit(&l->generation, memory_order_relaxed) != generation) {
            return PARE_INTERRUPTED;
        }
        PARE_TRY(load_sample(l, slot, i, mine + i, error));
    }
    return l->options.augment.mixup > 0 ? mix(l, slot, start, error) : PARE_OK;
}

static batch_place place_after(const pare_loader *l, batch_place place) {
    return place.batch + 1 < l->batches ? (batch_place){place.epoch, place.batch + 1}
                                        : (batch_place){place.epoch + 1, 0};
}

static batch_slot *find_slot(pare_loader *l, slot_state state, const batch_place *place) {
    for (size_t i = 0; i < SLOTS; i++) {
        batch_slot *slot = &l->slots[i];
        if (slot->state == state &&
            (place == NULL || (slot->place.epoch == place->epoch && slot->place.batch == place->batch))) {
            return slot;
        }
    }
    return NULL;
}

static void *run_thread(void *context) {
    pare_loader *l = context;
    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        batch_slot *slot = l->status == PARE_OK ? find_slot(l, SLOT_FREE, NULL) : NULL;
        if (slot == NULL) {
            pthread_cond_wait(&l->changed, &l->mutex);
            continue;
        }
        unsigned generation = atomic_load(&l->generation);
        slot->state = SLOT_FILLING;
        slot->place = l->next_filled;
        pthread_mutex_unlock(&l->mutex);
        pare_error error = {0};
        pare_status status = fill(l, slot, generation, &error);
        pthread_mutex_lock(&l->mutex);
        if (atomic_load(&l->generation) != generation || status != PARE_OK) {
            slot->state = SLOT_FREE;
        } else {
            slot->state = SLOT_READY;
            l->next_filled = place_after(l, slot->place);
        }
        if (atomic_load(&l->generation) == generation && status != PARE_OK) {
            l->status = status;
            l->error = error;
        }
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static pare_status check_options(const pare_dataset *dataset, const pare_loader_options *o, pare_error *error) {
    size_t total = pare_dataset_count(dataset), global;
    size_t count = o->indices != NULL ? o->index_count : total;
    if (o->batch == 0 || o->ranks == 0 || o->rank >= o->ranks) {
        return pare_fail(error, PARE_USAGE,
                         "expected a batch of at least 1 and a rank below %zu, found %zu and rank %zu", o->ranks,
                         o->batch, o->rank);
    }
    if (!pare_mul_size(o->batch, o->ranks, &global) || global > count) {
        return pare_fail(error, PARE_USAGE,
                         "expected a batch of at most the %zu samples there are, found %zu on %zu %s", count, o->batch,
                         o->ranks, o->ranks == 1 ? "machine" : "machines");
    }
    if (o->dtype != PARE_F32 && o->dtype != PARE_S64) {
        return pare_fail(error, PARE_USAGE, "expected a model input of float32 or int64 to train, found %s",
                         pare_dtype_name(o->dtype));
    }
    for (size_t i = 0; o->indices != NULL && i < count; i++) {
        if (o->indices[i] >= total) {
            return pare_fail(error, PARE_USAGE, "expected sample indices below %zu, found %zu", total, o->indices[i]);
        }
    }
    return PARE_OK;
}

static pare_status copy_indices(pare_loader *l, const size_t *indices, pare_error *error) {
    l->indices = pare_alloc_zero(l->count, sizeof *l->indices);
    l->order = pare_alloc_zero(l->count, sizeof *l->order);
    if (l->indices == NULL || l->order == NULL) {
        return pare_fail_memory(error, l->count * sizeof *l->indices);
    }
    for (size_t i = 0; i < l->count; i++) {
        l->indices[i] = indices != NULL ? indices[i] : i;
    }
    return PARE_OK;
}

static pare_status allocate_slot(pare_loader *l, batch_slot *slot, pare_error *error) {
    size_t samples = l->options.batch + (l->options.augment.mixup > 0), targets;
    if (!pare_mul_size(samples, l->info.target_count, &targets)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    slot->inputs = pare_alloc_zero(samples, l->sample_bytes);
    slot->samples = pare_alloc_zero(samples, sizeof *slot->samples);
    bool whole = slot->inputs != NULL && slot->samples != NULL;
    if (whole && l->info.target == PARE_TARGET_CLASS) {
        slot->classes = pare_alloc_zero(targets, sizeof *slot->classes);
        slot->mixed_classes = pare_alloc_zero(l->options.augment.mixup > 0 ? targets : 0, sizeof *slot->mixed_classes);
        whole = slot->classes != NULL && slot->mixed_classes != NULL;
    } else if (whole && l->info.target == PARE_TARGET_VALUES) {
        slot->values = pare_alloc_zero(targets, sizeof *slot->values);
        whole = slot->values != NULL;
    }
    size_t bytes;
    return whole ? PARE_OK
                 : pare_fail_memory(error, pare_mul_size(samples, l->sample_bytes, &bytes) ? bytes : SIZE_MAX);
}

static pare_status start_thread(pare_loader *l, pare_error *error) {
    l->has_mutex = pthread_mutex_init(&l->mutex, NULL) == 0;
    l->has_changed = l->has_mutex && pthread_cond_init(&l->changed, NULL) == 0;
    l->has_thread = l->has_changed && pthread_create(&l->thread, NULL, run_thread, l) == 0;
    return l->has_thread ? PARE_OK : pare_fail(error, PARE_LIMIT, "the system refused a thread to load batches with");
}

static pare_status set_up(pare_loader *l, const pare_loader_options *o, pare_error *error) {
    PARE_TRY(check_options(l->dataset, o, error));
    l->info = pare_dataset_info(l->dataset);
    l->preprocess = *o->preprocess;
    l->options = *o;
    l->global_batch = o->batch * o->ranks;
    l->count = o->indices != NULL ? o->index_count : pare_dataset_count(l->dataset);
    l->batches = l->count / l->global_batch;
    PARE_TRY(pare_augmenter_init(&l->augmenter, &o->augment, o->preprocess, &l->info, &o->input, o->dtype, error));
    if (!pare_shape_bytes(&o->input, o->dtype, &l->sample_bytes)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    PARE_TRY(copy_indices(l, o->indices, error));
    for (size_t i = 0; i < SLOTS; i++) {
        PARE_TRY(allocate_slot(l, &l->slots[i], error));
    }
    return start_thread(l, error);
}

pare_status pare_loader_create(pare_dataset *dataset, const pare_loader_options *options, pare_loader **loader,
                               pare_error *error) {
    if (dataset == NULL || options == NULL || options->preprocess == NULL || loader == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a data set, options with preprocessing and a place, found NULL");
    }
    *loader = NULL;
    pare_loader *l = pare_alloc_zero(1, sizeof *l);
    if (l == NULL) {
        return pare_fail_memory(error, sizeof *l);
    }
    l->dataset = dataset;
    atomic_init(&l->generation, 0);
    pare_status status = set_up(l, options, error);
    if (status == PARE_OK) {
        *loader = l;
    } else {
        pare_loader_free(l);
    }
    return status;
}

void pare_loader_free(pare_loader *loader) {
    if (loader == NULL) {
        return;
    }
    if (loader->has_thread) {
        pthread_mutex_lock(&loader->mutex);
        loader->stop = true;
        atomic_fetch_add(&loader->generation, 1);
        pthread_cond_broadcast(&loader->changed);
        pthread_mutex_unlock(&loader->mutex);
        pthread_join(loader->thread, NULL);
    }
    if (loader->has_changed) {
        pthread_cond_destroy(&loader->changed);
    }
    if (loader->has_mutex) {
        pthread_mutex_destroy(&loader->mutex);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        pare_free(loader->slots[i].inputs);
        pare_free(loader->slots[i].classes);
        pare_free(loader->slots[i].mixed_classes);
        pare_free(loader->slots[i].values);
        pare_free(loader->slots[i].samples);
    }
    pare_augmenter_free(&loader->augmenter);
    pare_sample_free(&loader->sample);
    pare_preprocess_scratch_free(&loader->scratch);
    pare_free(loader->indices);
    pare_free(loader->order);
    pare_free(loader);
}

size_t pare_loader_batches(const pare_loader *loader) {
    return loader->batches;
}

static void describe(const pare_loader *l, const batch_slot *slot, pare_batch *batch) {
    bool mixed = l->options.augment.mixup > 0;
    *batch = (pare_batch){.inputs = slot->inputs,
                          .classes = slot->classes,
                          .mixed_classes = mixed ? slot->mixed_classes : NULL,
                          .values = slot->values,
                          .targets = l->info.target_count,
                          .lambda = slot->lambda,
                          .samples = slot->samples,
                          .epoch = slot->place.epoch,
                          .batch_in_epoch = slot->place.batch};
}

pare_status pare_loader_next(pare_loader *loader, pare_batch *batch, pare_error *error) {
    pthread_mutex_lock(&loader->mutex);
    batch_slot *slot = find_slot(loader, SLOT_HELD, NULL);
    if (slot != NULL) {
        slot->state = SLOT_FREE;
        pthread_cond_broadcast(&loader->changed);
    }
    pare_status status = PARE_OK;
    while ((slot = find_slot(loader, SLOT_READY, &loader->next_taken)) == NULL) {
        if (loader->status != PARE_OK) {
            status = loader->status;
            if (error != NULL) {
                *error = loader->error;
            }
            break;
        }
        pthread_cond_wait(&loader->changed, &loader->mutex);
    }
    if (slot != NULL) {
        slot->state = SLOT_HELD;
        loader->next_taken = place_after(loader, slot->place);
        describe(loader, slot, batch);
    }
    pthread_mutex_unlock(&loader->mutex);
    return status;
}

pare_status pare_loader_seek(pare_loader *loader, uint64_t epoch, uint64_t batch_in_epoch, pare_error *error) {
    if (batch_in_epoch >= loader->batches) {
        return pare_fail(error, PARE_USAGE, "expected a batch below the %zu of an epoch, found %llu", loader->batches,
                         (unsigned long long)batch_in_epoch);
    }
    pthread_mutex_lock(&loader->mutex);
    atomic_fetch_add(&loader->generation, 1);
    for (size_t i = 0; i < SLOTS; i++) {
        if (loader->slots[i].state != SLOT_FILLING) {
            loader->slots[i].state = SLOT_FREE;
        }
    }
    loader->status = PARE_OK;
    loader->next_filled = loader->next_taken = (batch_place){epoch, batch_in_epoch};
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->mutex);
    return PARE_OK;
}
