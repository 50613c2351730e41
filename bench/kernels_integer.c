/* Speed of the integer convolutions and products: billions of operations a
 * second (a multiplication and an addition are two) for layers of well-known
 * networks, beside what the instructions alone reach in registers.
 *
 *     bench_kernels_integer [threads] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel.h"
#include "x86/x86_common.h"

#if defined(__x86_64__)

typedef struct layer {
    const char *name;
    int channels, extent, outputs, kernel, stride, groups; /* groups 0: FULLY_CONNECTED */
} layer;

static const layer layers[] = {
    {"ResNet-20 3x3 3>16 @32", 3, 32, 16, 3, 1, 1},
    {"ResNet-20 3x3 16>16 @32", 16, 32, 16, 3, 1, 1},
    {"ResNet-20 3x3 32>32 @16", 32, 16, 32, 3, 1, 1},
    {"ResNet-20 3x3 64>64 @8", 64, 8, 64, 3, 1, 1},
    {"ResNet-50 7x7/2 3>64 @224", 3, 224, 64, 7, 2, 1},
    {"ResNet-50 3x3 64>64 @56", 64, 56, 64, 3, 1, 1},
    {"ResNet-50 1x1 256>64 @56", 256, 56, 64, 1, 1, 1},
    {"ResNet-50 3x3 512>512 @7", 512, 7, 512, 3, 1, 1},
    {"MobileNetV2 1x1 16>96 @112", 16, 112, 96, 1, 1, 1},
    {"MobileNetV2 1x1 96>24 @56", 96, 56, 24, 1, 1, 1},
    {"MobileNetV2 1x1 384>64 @14", 384, 14, 64, 1, 1, 1},
    {"MobileNetV2 1x1 320>1280 @7", 320, 7, 1280, 1, 1, 1},
    {"MobileNetV2 dw 3x3 32 @112", 32, 112, 32, 3, 1, 32},
    {"MobileNetV2 dw 3x3/2 96 @112", 96, 112, 96, 3, 2, 96},
    {"MobileNetV2 dw 3x3 384 @14", 384, 14, 384, 3, 1, 384},
    {"FC 1280>1000", 1280, 1, 1000, 1, 1, 0},
    {"FC 640>128", 640, 1, 128, 1, 1, 0},
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Independent sums in registers, as the kernels' inner loops hold. */
X86_AVX2 static double peak_maddubs(size_t rounds) {
    __m256i sum[8], ones = _mm256_set1_epi16(1), x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
    X86_UNROLL for (size_t i = 0; i < 8; i++) {
        sum[i] = _mm256_set1_epi32((int)i);
    }
    double start = seconds();
    for (size_t r = 0; r < rounds; r++) {
        X86_UNROLL for (size_t i = 0; i < 8; i++) {
            __asm__ volatile("vpmaddubsw %2, %1, %%ymm15; vpmaddwd %3, %%ymm15, %%ymm15; vpaddd %%ymm15, %0, %0"
                             : "+x"(sum[i])
                             : "x"(x), "x"(w), "x"(ones)
                             : "xmm15");
        }
    }
    double took = seconds() - start;
    X86_UNROLL for (size_t i = 0; i < 8; i++) {
        __asm__ volatile("" : "+x"(sum[i]));
    }
    return (double)rounds * 8 * 64 / took * 1e-9;
}

X86_VNNI static double peak_vnni(size_t rounds) {
    __m512i sum[16], x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
    X86_UNROLL for (size_t i = 0; i < 16; i++) {
        sum[i] = _mm512_set1_epi32((int)i);
    }
    double start = seconds();
    for (size_t r = 0; r < rounds; r++) {
        X86_UNROLL for (size_t i = 0; i < 16; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], x, w);
        }
    }
    double took = seconds() - start;
    X86_UNROLL for (size_t i = 0; i < 16; i++) {
        __asm__ volatile("" : "+v"(sum[i]));
    }
    return (double)rounds * 16 * 128 / took * 1e-9;
}

typedef struct operands {
    pare_model_quant quant[3];
    float scale;
    int32_t zero, none;
    uint8_t *x, *y;
    int8_t *w;
} operands;

/* Of a bell shape as trained weights, with `most` the largest. */
static void fill_weights(int8_t *w, size_t count, int most) {
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int k = 0; k < 6; k++) {
            sum += (double)rand() / RAND_MAX - 0.5;
        }
        double value = sum * most / 2.2;
        w[i] = (int8_t)(value > most ? most : value < -most ? -most : value);
    }
}

/* Seconds of the fastest run; negative where no kernel but the reference takes the layer. */
static double time_layer(const layer *l, pare_isa isa, int most, int32_t threads, const char **name) {
    int64_t out = (l->extent - 1) / l->stride + 1;
    int groups = l->groups > 0 ? l->groups : 1, pad = l->kernel / 2;
    pare_conv_attrs conv = {.stride_h = l->stride,
                            .stride_w = l->stride,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = pad,
                            .pad_left = pad,
                            .pad_bottom = pad,
                            .pad_right = pad,
                            .groups = groups};
    pare_fully_connected_attrs fc = {{0, 0, 0}};
    size_t taps = (size_t)(l->channels / groups * l->kernel * l->kernel);
    operands o = {.scale = 0.01F, .zero = 128};
    for (int i = 0; i < 3; i++) {
        o.quant[i] = (pare_model_quant){-1, 1, &o.scale, i == 1 ? &o.none : &o.zero};
    }
    size_t in_bytes = (size_t)l->channels * (size_t)l->extent * (size_t)l->extent;
    size_t out_bytes = (size_t)(l->outputs * out * out), count = (size_t)l->outputs * taps;
    o.x = pare_alloc_zero(1, in_bytes + 64);
    o.y = pare_alloc_zero(1, out_bytes + 64);
    o.w = pare_alloc_zero(1, count);
    for (size_t i = 0; i < in_bytes; i++) {
        o.x[i] = (uint8_t)rand();
    }
    fill_weights(o.w, count, most);
    bool product = l->groups == 0;
    pare_operand inputs[2] = {{.present = true,
                               .dtype = PARE_U8,
                               .shape = {4, {1, l->channels, l->extent, l->extent}},
                               .quant = &o.quant[0],
                               .layout = PARE_LAYOUT_CHANNELS_LAST},
                              {.present = true,
                               .dtype = PARE_S8,
                               .shape = {4, {l->outputs, l->channels / groups, l->kernel, l->kernel}},
                               .quant = &o.quant[1],
                               .constant = o.w}};
    pare_operand output = {
        .present = true, .dtype = PARE_U8, .shape = {4, {1, l->outputs, out, out}}, .quant = &o.quant[2]};
    if (product) {
        inputs[0].shape.rank = inputs[1].shape.rank = output.shape.rank = 2;
    }
    pare_model_node node = {.opcode = product ? PARE_OP_FULLY_CONNECTED : PARE_OP_CONV};
    pare_layout wanted[2] = {PARE_LAYOUT_PLAIN, PARE_LAYOUT_PLAIN};
    pare_site site = {.node = &node,
                      .attrs = product ? (const void *)&fc : &conv,
                      .inputs = inputs,
                      .outputs = &output,
                      .input_count = 2,
                      .output_count = 1,
                      .threads = threads,
                      .isa = isa,
                      .wanted = wanted};
    void *state = NULL;
    const pare_kernel *const *kernels = pare_kernels_for(node.opcode);
    pare_error error;
    while (*kernels != NULL && (*kernels)->plan(&site, &state, &error) != PARE_OK) {
        kernels++;
    }
    double best = -1;
    if (*kernels != NULL) {
        *name = (*kernels)->name;
        void *scratch = pare_alloc(site.scratch_bytes);
        const void *addresses[2] = {o.x, o.w};
        void *result = o.y;
        pare_call call = {addresses, &result, scratch, threads};
        double spent = 0;
        for (int i = 0; (spent < 0.1 || i < 5) && i < 20000; i++) {
            double start = seconds();
            (void)(*kernels)->run(state, &call, &error);
            double took = seconds() - start;
            spent += took;
            best = best < 0 || took < best ? took : best;
        }
        pare_free(scratch);
        if ((*kernels)->destroy != NULL) {
            (*kernels)->destroy(state);
        }
    }
    pare_free(o.x);
    pare_free(o.y);
    pare_free(o.w);
    return best;
}

int main(int count, char **values) {
    int32_t threads = count > 1 ? atoi(values[1]) : 1;
    bool vnni = __builtin_cpu_supports("avx512vnni") != 0;
    double avx2_peak = 0, vnni_peak = 0;
    for (int i = 0; i < 100; i++) {
        avx2_peak = fmax(avx2_peak, peak_maddubs(50000));
        vnni_peak = vnni ? fmax(vnni_peak, peak_vnni(50000)) : 0;
    }
    printf("one thread, in registers: vpmaddubsw + vpmaddwd %.0f GOP/s, vpdpbusd %.0f GOP/s\n", avx2_peak, vnni_peak);
    printf("%-30s %22s %22s %22s %10s   (%d threads)\n", "GOP/s and microseconds", "AVX2, small weights",
           "AVX2, any weights", "AVX-512 VNNI", "reference", threads);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const layer *l = &layers[i];
        double out = (l->extent - 1) / l->stride + 1, groups = l->groups > 0 ? l->groups : 1;
        double giga = 2e-9 * out * out * l->outputs * l->channels / groups * l->kernel * l->kernel;
        printf("%-30s", l->name);
        const pare_isa isas[] = {PARE_ISA_AVX2, PARE_ISA_AVX2, PARE_ISA_AVX512_VNNI, PARE_ISA_SCALAR};
        for (int k = 0; k < 4; k++) {
            const char *name = "none";
            double took = k == 2 && !vnni ? -1 : time_layer(l, isas[k], k == 0 ? 64 : 127, threads, &name);
            if (k < 3) {
                printf(" %10.1f %8.1f us", giga / took, took * 1e6);
            } else {
                printf(" %10.1f\n", giga / took);
            }
        }
    }
    return 0;
}

#else
int main(void) {
    puts("The integer kernels are for x86-64.");
    return 0;
}
#endif
