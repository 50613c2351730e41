/* What pare-train and pare-distill share: options, data, progress, results. */
#ifndef PARE_TRAIN_CLI_H
#define PARE_TRAIN_CLI_H

#include "cli.h"
#include "pare/train.h"

typedef struct train_cli {
    const char *val, *augment, *class_weights, *milestones, *checkpoint, *resume, *log, *html, *step_log;
    double val_fraction, lr, momentum, weight_decay, l1, clip_norm, warmup_epochs, gamma, final_fraction;
    double label_smoothing, huber_delta, ema, sparsity, sparsity_until;
    int64_t epochs, max_steps, patience, checkpoint_steps, folds;
    int optimizer, schedule, loss, sparsity_scope;
    bool keep_zeros, nesterov, freeze_batch_norm, rebuild_batch_norm, allow_empty_classes;
    cli_list freeze, quant_exclude;
    bool quant_aware;
    int64_t weight_bits, activation_bits, first_last_bits;
    int pairs;
} train_cli;
extern train_cli train;
extern const char *const train_optimizers[], *const train_schedules[], *const train_losses[], *const train_pair_rules[],
                                                                                                  *const train_scopes[];

#define TRAIN_NUMBER(name, target, argument, help, low, high)                                                          \
    { name, 0, CLI_NUMBER, &train.target, argument, help, low, high, NULL }
#define TRAIN_WHOLE(name, target, argument, help, low)                                                                 \
    { name, 0, CLI_WHOLE, &train.target, argument, help, low, 1e12, NULL }
#define TRAIN_BITS(name, target, help)                                                                                 \
    { name, 0, CLI_WHOLE, &train.target, "BITS", help, 2, 8, NULL }
#define TRAIN_TEXT(name, target, argument, help)                                                                       \
    { name, 0, CLI_TEXT, &train.target, argument, help, 0, 0, NULL }
#define TRAIN_FLAG(name, target, help)                                                                                 \
    { name, 0, CLI_FLAG, &train.target, NULL, help, 0, 0, NULL }
#define TRAIN_CHOICE(name, target, words, help)                                                                        \
    { name, 0, CLI_CHOICE, &train.target, NULL, help, 0, 0, words }

#define TRAIN_MOST_FOLDS 100

#define TRAIN_OPTIONS                                                                                                  \
    CLI_OUTPUT("the trained network, ONNX"), CLI_DATA,                                                                 \
        TRAIN_TEXT("val", val, "SPEC", "validation set: the best epoch by it is kept"),                                \
        TRAIN_NUMBER("val-fraction", val_fraction, "F", "... taken from --data, the same share of each class", 0,      \
                     0.9),                                                                                             \
        {"folds",   0,                                                                                                 \
         CLI_WHOLE, &train.folds,                                                                                      \
         "K",       "cross-validation in place of an output: mean and deviation of each metric of the last epoch",     \
         2,         TRAIN_MOST_FOLDS,                                                                                  \
         NULL},                                                                                                        \
        TRAIN_WHOLE("epochs", epochs, "N", "default 10", 1),                                                           \
        {"batch", 0, CLI_WHOLE, &common.batch, "N", "samples a step (default 128, or all there are)", 1, 65536, NULL}, \
        TRAIN_NUMBER("lr", lr, "RATE", "highest learning rate (default 0.01 for sgd, else 0.001)", 0, 1e6),            \
        TRAIN_CHOICE("optimizer", optimizer, train_optimizers, "default sgd"),                                         \
        TRAIN_NUMBER("momentum", momentum, "M", "of sgd (default 0.9)", 0, 1),                                         \
        TRAIN_FLAG("nesterov", nesterov, "Nesterov's momentum, with sgd"),                                             \
        TRAIN_NUMBER("weight-decay", weight_decay, "L2", "of weights, not of biases and normalization (default 0)", 0, \
                     1e6),                                                                                             \
        TRAIN_NUMBER("l1", l1, "L1", "likewise (default 0)", 0, 1e6),                                                  \
        TRAIN_NUMBER("clip-norm", clip_norm, "NORM", "a longer gradient is cut to this length (default 0: never)", 0,  \
                     1e12),                                                                                            \
        TRAIN_CHOICE("schedule", schedule, train_schedules, "of the rate (default cosine)"),                           \
        TRAIN_NUMBER("warmup", warmup_epochs, "EPOCHS", "the rate rises first, one-cycle's so long (default 0)", 0,    \
                     1e6),                                                                                             \
        TRAIN_TEXT("milestones", milestones, "A,B", "with step: shares of the run (default 0.5,0.75)"),                \
        TRAIN_NUMBER("gamma", gamma, "G", "with step: the factor at each of them (default 0.1)", 0, 1),                \
        TRAIN_NUMBER("final-lr", final_fraction, "F", "with cosine: it ends at this share of --lr (default 0)", 0, 1), \
        TRAIN_CHOICE("loss", loss, train_losses, "default by the model's task"),                                       \
        TRAIN_NUMBER("label-smoothing", label_smoothing, "S", "share of each target that all classes get (default 0)", \
                     0, 0.999),                                                                                        \
        TRAIN_TEXT("class-weights", class_weights, "LIST", "weigh samples: W0,W1,... or \"balanced\", by how rare"),   \
        TRAIN_FLAG("allow-empty-classes", allow_empty_classes,                                                         \
                   "trains although a class of the network has no sample"),                                            \
        TRAIN_NUMBER("huber-delta", huber_delta, "D", "where Huber's loss turns linear (default 1)", 1e-12, 1e12),     \
        TRAIN_TEXT("augment", augment, "LIST", "flip,crop=4,... (see below)"),                                         \
        TRAIN_NUMBER("ema", ema, "DECAY", "validates and keeps an average of the weights", 0, 0.999999),               \
        TRAIN_WHOLE("patience", patience, "EPOCHS",                                                                    \
                    "stops after so many without a better validation (default 0: never)", 0),                          \
        {"freeze", 0,                                                                                                  \
         CLI_LIST, &train.freeze,                                                                                      \
         "NODE",   "a node (or a pattern: 'conv*') whose weights stay; may be repeated",                               \
         0,        0,                                                                                                  \
         NULL},                                                                                                        \
        TRAIN_FLAG("freeze-batchnorm", freeze_batch_norm,                                                              \
                   "its running statistics stay, and are what it normalizes with"),                                    \
        TRAIN_FLAG("rebuild-batchnorm", rebuild_batch_norm,                                                            \
                   "puts one behind each Conv that has none; it computes the same"),                                   \
        TRAIN_NUMBER("sparsity", sparsity, "S", "share of the weights that become zeros, gradually", 0, 0.9999),       \
        TRAIN_CHOICE("sparsity-scope", sparsity_scope, train_scopes,                                                   \
                     "what is compared: all by LAMP (default) or magnitude, or each layer"),                           \
        TRAIN_NUMBER("sparsity-until", sparsity_until, "F", "it is reached after this share of the run (default 0.6)", \
                     0.001, 1),                                                                                        \
        TRAIN_FLAG("keep-zeros", keep_zeros, "weights that are zeros stay zeros (a network pruned before)"),           \
        TRAIN_FLAG("qat", quant_aware, "quantization-aware: learns with the roundings, ends as QDQ ONNX"),             \
        TRAIN_BITS("weight-bits", weight_bits, "with --qat: 2 to 8 (default 8)"),                                      \
        TRAIN_BITS("activation-bits", activation_bits, "with --qat: 2 to 8 (default 8)"),                              \
        TRAIN_BITS("first-last-bits", first_last_bits, "with --qat: of the first and the last layer (default 8)"),     \
        {"qat-exclude",                                                                                                \
         0,                                                                                                            \
         CLI_LIST,                                                                                                     \
         &train.quant_exclude,                                                                                         \
         "NODE",                                                                                                       \
         "with --qat: nodes (or patterns) that stay in float",                                                         \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL},                                                                                                        \
        TRAIN_CHOICE("pairs", pairs, train_pair_rules,                                                                 \
                     "with --qat: 8-bit weights that are exact on every CPU (default nudge)"),                         \
        {"calib",  0,                                                                                                  \
         CLI_TEXT, &common.calib,                                                                                      \
         "SPEC",   "with --qat: for the first scales (default: 512 samples of --data)",                                \
         0,        0,                                                                                                  \
         NULL},                                                                                                        \
        TRAIN_TEXT("checkpoint", checkpoint, "FILE",                                                                   \
                   "saved after each epoch and at an interrupt; the one before stays as FILE.previous"),               \
        TRAIN_WHOLE("checkpoint-steps", checkpoint_steps, "N", "... and after every N steps", 1),                      \
        TRAIN_TEXT("resume", resume, "FILE",                                                                           \
                   "goes on from a checkpoint as if there had been no break, and saves to it"),                        \
        TRAIN_WHOLE("max-steps", max_steps, "N", "ends after N steps", 1),                                             \
        TRAIN_TEXT("log", log, "FILE", "a row an epoch, CSV"),                                                         \
        TRAIN_TEXT("step-log", step_log, "FILE", "a row a step, CSV: step,loss,lr"),                                   \
        TRAIN_TEXT("html", html, "FILE", "the curves as a page"), CLI_PREPROCESS, CLI_LIMIT, CLI_SHUFFLE, CLI_SEED,    \
        CLI_THREADS, CLI_SHAPE, CLI_JSON, CLI_QUIET

#define TRAIN_AUGMENT_HELP                                                                                             \
    "--augment LIST, any of:\n"                                                                                        \
    "  flip, flip-vertical          each with probability 1/2\n"                                                       \
    "  crop=PIXELS                  pads by so many, crops back at random\n"                                           \
    "  shift=PIXELS, rotate=DEGREES moves or turns by up to so much\n"                                                 \
    "  brightness=X, contrast=X     by up to X deviations, by up to ± X\n"                                            \
    "  cutout=PIXELS                zeroes a square\n"                                                                 \
    "  noise=DEVIATION              adds normal noise\n"                                                               \
    "  mixup=ALPHA                  mixes pairs of samples and their labels\n\n"

#define TRAIN_RANKS_HELP                                                                                               \
    "mpirun -np N, on one machine or several (a build with MPI): each process trains on its share of every\n"          \
    "--batch, which N must divide; data, model and options must be the same everywhere. The first one alone\n"         \
    "writes files.\n\n"

/* The file's bytes, and the constants of `graph` (NULL for a container), which may lie in other files, as one number
 * for checkpoints and caches. */
pare_status train_hash_model(const char *path, const pare_graph *graph, uint64_t *hash, pare_error *error);
/* Ends the ranks of a run and returns the exit code: what main does with that of cli_main. */
int train_end(int code);
/* Trains the model at `path`. `distill` may be NULL; its teacher, the file `teacher`, is open, or `prepared` says why
 * not. */
pare_status train_run(const char *path, const pare_distill_options *distill, const char *teacher, pare_status prepared,
                      pare_error *error);

#endif
