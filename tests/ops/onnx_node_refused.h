/* Node tests that Pare refuses, each with its reason. A name that ends in *
 * stands for all that begin so and do not pass. */
#ifndef PARE_ONNX_NODE_REFUSED_H
#define PARE_ONNX_NODE_REFUSED_H

#define THREE_DIMENSIONS "windows over three dimensions"
#define EMPTY "tensors without elements"
#define TRAINING "training mode, or its running statistics and masks"
#define EIGHT_BIT_FLOATS "8-bit floats, 4-bit integers and strings"
#define RESIZE "antialiasing, exclude_outside, half_pixel_symmetric, crop and resize"
#define BORDER "quantized integers that leave or enter the network"
#define INDICES "MaxPool's indices"
#define REAL_LENGTH "the suite divides by the length before rounding; Pare and ONNX Runtime by the output's length"

static const struct {
    const char *name, *reason;
} refused_cases[] = {
    {"test_averagepool_3d_*", THREE_DIMENSIONS},
    {"test_maxpool_3d_*", THREE_DIMENSIONS},
    {"test_convtranspose_3d", THREE_DIMENSIONS},
    {"test_batchnorm_epsilon_training_mode", TRAINING},
    {"test_batchnorm_example_training_mode", TRAINING},
    {"test_dropout_default_mask*", TRAINING},
    {"test_training_dropout*", TRAINING},
    {"test_cast_*", EIGHT_BIT_FLOATS},
    {"test_constantofshape_int_shape_zero", EMPTY},
    {"test_reshape_allowzero_reordered", EMPTY},
    {"test_tril_zero", EMPTY},
    {"test_triu_zero", EMPTY},
    {"test_slice_start_out_of_bounds", EMPTY},
    {"test_split_zero_size_splits_*", EMPTY},
    {"test_reduce_l1_empty_set*", EMPTY},
    {"test_reduce_l2_empty_set*", EMPTY},
    {"test_reduce_log_sum_empty_set*", EMPTY},
    {"test_reduce_log_sum_exp_empty_set*", EMPTY},
    {"test_reduce_max_empty_set", EMPTY},
    {"test_reduce_min_empty_set", EMPTY},
    {"test_reduce_prod_empty_set", EMPTY},
    {"test_reduce_sum_empty_set*", EMPTY},
    {"test_reduce_sum_square_empty_set*", EMPTY},
    {"test_resize_downsample_scales_cubic_A_n0p5_exclude_outside", RESIZE},
    {"test_resize_upsample_scales_cubic_A_n0p5_exclude_outside", RESIZE},
    {"test_resize_downsample_scales_cubic_antialias", RESIZE},
    {"test_resize_downsample_scales_linear_antialias", RESIZE},
    {"test_resize_downsample_sizes_cubic_antialias", RESIZE},
    {"test_resize_downsample_sizes_linear_antialias", RESIZE},
    {"test_resize_downsample_scales_linear_half_pixel_symmetric", RESIZE},
    {"test_resize_upsample_scales_linear_half_pixel_symmetric", RESIZE},
    {"test_resize_tf_crop_and_resize*", RESIZE},
    {"test_resize_downsample_scales_cubic_align_corners", REAL_LENGTH},
    {"test_resize_downsample_scales_linear_align_corners", REAL_LENGTH},
    {"test_maxpool_with_argmax_2d_precomputed_*", INDICES},
    {"test_quantizelinear*", BORDER},
    {"test_dequantizelinear*", BORDER},
    {"test_qlinearconv", BORDER},
    {"test_qlinearmatmul_*", BORDER},
    {"test_dynamicquantizelinear_*", BORDER},
    {"test_lstm_with_peepholes", "peepholes"},
};

#endif
