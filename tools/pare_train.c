/* pare-train: fine-tunes a network, or trains a fresh one. */
#include "train_cli.h"

static pare_status run(const cli_list *arguments, pare_error *error) {
    return train_run(arguments->items[0], NULL, NULL, PARE_OK, error);
}

int main(int argc, char **argv) {
    static const cli_option options[] = {TRAIN_OPTIONS};
    static const cli_tool tool = {
        .name = "pare-train",
        .summary = "trains an ONNX network on a labelled data set",
        .usage = "S.onnx --data SPEC [--val SPEC] -o T.onnx [options]",
        .details =
            "examples:\n"
            "  pare-train lenet.onnx --data idx:train-images.gz,train-labels.gz --val-fraction 0.1 -o t.onnx\n"
            "  pare-train net.onnx --data cifar10:data_batch_1.bin,data_batch_2.bin --val cifar10:test_batch.bin "
            "\\\n"
            "      --epochs 20 --lr 0.1 --weight-decay 1e-4 --augment flip,crop=4 --checkpoint run.ckpt -o "
            "t.onnx\n"
            "  pare-train mlp.onnx --data 'csv:table.csv?target=y' --folds 5 --optimizer adam\n"
            "  mpirun -np 4 pare-train net.onnx --data cifar10:data_batch_1.bin --batch 256 --lr 0.2 -o t.onnx\n"
            "\n" TRAIN_RANKS_HELP TRAIN_AUGMENT_HELP CLI_SPEC_HELP,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    cli_calm_threads(argv);
    return train_end(cli_main(&tool, argc, argv));
}
