/* The one table of implementations: for each opcode best first, the plain C
 * reference kernel last. */
#include "kernel.h"
#include "kernels/reference.h"
#ifdef PARE_HAVE_ONEDNN
#include "onednn/onednn_kernels.h"
#endif
#include "x86/x86_kernels.h"

/* For a list: nothing where the kernel is not built. */
#ifdef PARE_HAVE_ONEDNN
#define ONEDNN(kernel) &(kernel),
#else
#define ONEDNN(kernel)
#endif
#ifdef __x86_64__
#define X86(kernel) &(kernel),
#else
#define X86(kernel)
#endif

/* clang-format off */
#define LIST(...) (const pare_kernel *const[]){__VA_ARGS__, NULL}

static const pare_kernel *const *const implementations[PARE_OPCODE_END] = {
    [PARE_OP_CONV] = LIST(X86(pare_x86_depthwise_vnni) X86(pare_x86_depthwise_avx2)
                          X86(pare_x86_conv_vnni) X86(pare_x86_conv_maddubs) X86(pare_x86_conv_exact)
                          ONEDNN(pare_onednn_convolution) &pare_reference_conv),
    [PARE_OP_CONV_TRANSPOSE] = LIST(ONEDNN(pare_onednn_deconvolution) &pare_reference_conv_transpose),
    [PARE_OP_FULLY_CONNECTED] = LIST(X86(pare_x86_fc_vnni) X86(pare_x86_fc_maddubs) X86(pare_x86_fc_exact)
                                     ONEDNN(pare_onednn_fully_connected) &pare_reference_fully_connected),
    [PARE_OP_MATMUL] = LIST(ONEDNN(pare_onednn_matmul) &pare_reference_matmul),
    [PARE_OP_BINARY] = LIST(X86(pare_x86_binary) ONEDNN(pare_onednn_binary) &pare_reference_binary),
    [PARE_OP_UNARY] = LIST(X86(pare_x86_unary) ONEDNN(pare_onednn_unary) &pare_reference_unary),
    [PARE_OP_POOL] = LIST(ONEDNN(pare_onednn_pool) &pare_reference_pool),
    [PARE_OP_REDUCE] = LIST(&pare_reference_reduce),
    [PARE_OP_SOFTMAX] = LIST(ONEDNN(pare_onednn_softmax) &pare_reference_softmax),
    [PARE_OP_CONCAT] = LIST(ONEDNN(pare_onednn_concat) &pare_reference_concat),
    [PARE_OP_SLICE] = LIST(&pare_reference_slice),
    [PARE_OP_GATHER] = LIST(&pare_reference_gather),
    [PARE_OP_RESHAPE] = LIST(&pare_reference_reshape),
    [PARE_OP_TRANSPOSE] = LIST(&pare_reference_transpose),
    [PARE_OP_PAD] = LIST(&pare_reference_pad),
    [PARE_OP_RESIZE] = LIST(ONEDNN(pare_onednn_resize) &pare_reference_resize),
    [PARE_OP_QUANTIZE] = LIST(X86(pare_x86_quantize) &pare_reference_quantize),
    [PARE_OP_DEQUANTIZE] = LIST(&pare_reference_dequantize),
    [PARE_OP_LSTM] = LIST(ONEDNN(pare_onednn_lstm) &pare_reference_lstm),
    [PARE_OP_EXPAND] = LIST(&pare_reference_expand),
    [PARE_OP_CAST] = LIST(&pare_reference_cast),
    [PARE_OP_LAYER_NORM] = LIST(ONEDNN(pare_onednn_layer_norm) &pare_reference_layer_norm),
    [PARE_OP_INSTANCE_NORM] = LIST(&pare_reference_instance_norm),
    [PARE_OP_LRN] = LIST(ONEDNN(pare_onednn_lrn) &pare_reference_lrn),
    [PARE_OP_WHERE] = LIST(&pare_reference_where),
    [PARE_OP_ARG_REDUCE] = LIST(&pare_reference_arg_reduce),
};
/* clang-format on */

const pare_kernel *const *pare_kernels_for(uint32_t opcode) {
    return opcode < PARE_OPCODE_END ? implementations[opcode] : NULL;
}
