#include "onednn_support.h"

#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "onednn_kernels.h"
#include "pare/checked.h"
#include "pare/memory.h"

/* More than the code and tables of any one primitive. */
#define HEADROOM ((size_t)16 << 20)

static dnnl_engine_t shared_engine;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static char version_text[48];
static pthread_once_t version_once = PTHREAD_ONCE_INIT;

static void create_engine(void) {
    if (dnnl_engine_create(&shared_engine, dnnl_cpu, 0) != dnnl_success) {
        shared_engine = NULL;
    }
}

dnnl_engine_t pare_onednn_engine(void) {
    pthread_once(&engine_once, create_engine);
    return shared_engine;
}

static void write_version(void) {
    const dnnl_version_t *version = dnnl_version();
    snprintf(version_text, sizeof version_text, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

const char *pare_onednn_version(void) {
    pthread_once(&version_once, write_version);
    return version_text;
}

pare_status pare_onednn_headroom(pare_error *error) {
    void *block = mmap(NULL, HEADROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return pare_fail_memory(error, HEADROOM);
    }
    munmap(block, HEADROOM);
    return PARE_OK;
}

pare_status pare_onednn_status(dnnl_status_t status, const char *what, pare_error *error) {
    switch (status) {
    case dnnl_success:
        return PARE_OK;
    case dnnl_out_of_memory:
        return pare_fail(error, PARE_LIMIT, "out of memory in oneDNN (%s)", what);
    case dnnl_unimplemented:
    case dnnl_invalid_arguments:
        return PARE_UNSUPPORTED;
    default:
        return pare_fail(error, PARE_INTERNAL, "expected oneDNN to succeed at %s, found status %d", what, (int)status);
    }
}

double pare_onednn_elements(const pare_operand *operand) {
    double count = operand->present ? 1.0 : 0.0;
    for (int32_t i = 0; i < operand->shape.rank; i++) {
        count *= (double)operand->shape.dims[i];
    }
    return count;
}

double pare_onednn_products(double weights, double positions) {
    return 2.0 * weights * positions;
}

/* Roughly what one core does; waking a second one costs some microseconds. */
#define OPERATIONS_A_MICROSECOND 150e3
#define BYTES_A_MICROSECOND 60e3
#define WORTH_SHARING_MICROSECONDS 4.0

void pare_onednn_set_threads(const pare_site *site, double operations) {
    double bytes = 0.0;
    for (size_t i = 0; i < site->input_count; i++) {
        bytes += pare_onednn_elements(&site->inputs[i]) * (double)sizeof(float);
    }
    for (size_t i = 0; i < site->output_count; i++) {
        bytes += pare_onednn_elements(&site->outputs[i]) * (double)sizeof(float);
    }
    double estimate = operations / OPERATIONS_A_MICROSECOND + bytes / BYTES_A_MICROSECOND;
    omp_set_num_threads(site->threads > 1 && estimate >= WORTH_SHARING_MICROSECONDS ? site->threads : 1);
}

static bool operand_is_float(const pare_operand *operand) {
    if (!operand->present) {
        return true;
    }
    bool good = operand->dtype == PARE_F32;
    for (int32_t i = 0; i < operand->shape.rank; i++) {
        good = good && operand->shape.dims[i] > 0;
    }
    return good;
}

bool pare_onednn_all_float(const pare_site *site) {
    if (pare_onednn_engine() == NULL) {
        return false;
    }
    for (size_t i = 0; i < site->input_count; i++) {
        if (!operand_is_float(&site->inputs[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < site->output_count; i++) {
        if (!operand_is_float(&site->outputs[i])) {
            return false;
        }
    }
    return true;
}

/* --- descriptors ---------------------------------------------------------- */

bool pare_onednn_tagged(dnnl_memory_desc_t *desc, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag) {
    dnnl_dims_t copy = {0}; /* oneDNN declares arrays of its highest rank */
    memcpy(copy, dims, (size_t)rank * sizeof *copy);
    return dnnl_memory_desc_init_by_tag(desc, rank, copy, dnnl_f32, tag) == dnnl_success;
}

bool pare_onednn_any(dnnl_memory_desc_t *desc, int rank, const dnnl_dim_t *dims) {
    return pare_onednn_tagged(desc, rank, dims, dnnl_format_tag_any);
}

bool pare_onednn_plain(dnnl_memory_desc_t *desc, const pare_shape *shape) {
    static const dnnl_format_tag_t tags[] = {dnnl_a,    dnnl_a,     dnnl_ab,     dnnl_abc,
                                             dnnl_abcd, dnnl_abcde, dnnl_abcdef, dnnl_abcdefg};
    if (shape->rank < 0 || shape->rank > 7) {
        return false;
    }
    dnnl_dims_t dims = {1};
    for (int32_t i = 0; i < shape->rank; i++) {
        dims[i] = shape->dims[i];
    }
    return pare_onednn_tagged(desc, shape->rank > 0 ? shape->rank : 1, dims, tags[shape->rank]);
}

bool pare_onednn_layout(dnnl_memory_desc_t *desc, const pare_shape *shape, pare_layout layout) {
    if (layout == PARE_LAYOUT_PLAIN) {
        return pare_onednn_plain(desc, shape);
    }
    if (shape->rank != 4) {
        return false;
    }
    dnnl_format_tag_t tag = layout == PARE_LAYOUT_CHANNELS_LAST ? dnnl_nhwc
                            : layout == PARE_LAYOUT_BLOCK8      ? dnnl_nChw8c
                                                                : dnnl_nChw16c;
    dnnl_dims_t dims = {shape->dims[0], shape->dims[1], shape->dims[2], shape->dims[3]};
    return pare_onednn_tagged(desc, 4, dims, tag);
}

bool pare_onednn_layout_of(const dnnl_memory_desc_t *desc, const pare_shape *shape, pare_layout *layout) {
    for (int i = PARE_LAYOUT_PLAIN; i <= PARE_LAYOUT_BLOCK16; i++) {
        dnnl_memory_desc_t candidate;
        if (pare_onednn_layout(&candidate, shape, (pare_layout)i) && dnnl_memory_desc_equal(desc, &candidate)) {
            *layout = (pare_layout)i;
            return true;
        }
    }
    return false;
}

pare_layout pare_onednn_natural_block(void) {
    return dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core ? PARE_LAYOUT_BLOCK16 : PARE_LAYOUT_BLOCK8;
}

/* --- attributes ------------------------------------------------------------ */

dnnl_status_t pare_onednn_attributes(dnnl_primitive_attr_t *attributes, dnnl_post_ops_t operations) {
    *attributes = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    }
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_fpmath_mode(*attributes, dnnl_fpmath_mode_strict);
    }
    if (status == dnnl_success && operations != NULL && dnnl_post_ops_len(operations) > 0) {
        status = dnnl_primitive_attr_set_post_ops(*attributes, operations);
    }
    if (operations != NULL) {
        dnnl_post_ops_destroy(operations);
    }
    if (status != dnnl_success && *attributes != NULL) {
        dnnl_primitive_attr_destroy(*attributes);
        *attributes = NULL;
    }
    return status;
}

bool pare_onednn_function(const pare_activation *activation, dnnl_alg_kind_t *algorithm, float *alpha, float *beta) {
    static const struct {
        int32_t function;
        dnnl_alg_kind_t algorithm;
        bool own; /* alpha and beta are the function's own, not the two below */
        float alpha, beta;
    } known[] = {
        {PARE_FN_RELU, dnnl_eltwise_relu, false, 0.0f, 0.0f},
        {PARE_FN_CLIP, dnnl_eltwise_clip_v2, true, 0.0f, 0.0f},
        {PARE_FN_LEAKY_RELU, dnnl_eltwise_relu, true, 0.0f, 0.0f},
        {PARE_FN_ELU, dnnl_eltwise_elu, true, 0.0f, 0.0f},
        {PARE_FN_SIGMOID, dnnl_eltwise_logistic, false, 0.0f, 0.0f},
        {PARE_FN_TANH, dnnl_eltwise_tanh, false, 0.0f, 0.0f},
        {PARE_FN_HARD_SWISH, dnnl_eltwise_hardswish, false, 0.0f, 0.0f},
        {PARE_FN_SILU, dnnl_eltwise_swish, false, 1.0f, 0.0f},
        {PARE_FN_GELU, dnnl_eltwise_gelu_erf, false, 0.0f, 0.0f},
        {PARE_FN_GELU_TANH, dnnl_eltwise_gelu_tanh, false, 0.0f, 0.0f},
        {PARE_FN_SOFTPLUS, dnnl_eltwise_soft_relu, false, 0.0f, 0.0f},
        {PARE_FN_MISH, dnnl_eltwise_mish, false, 0.0f, 0.0f},
        {PARE_FN_EXP, dnnl_eltwise_exp, false, 0.0f, 0.0f},
        {PARE_FN_SQRT, dnnl_eltwise_sqrt, false, 0.0f, 0.0f},
        {PARE_FN_RECIPROCAL, dnnl_eltwise_pow, false, 1.0f, -1.0f},
        {PARE_FN_ABS, dnnl_eltwise_abs, false, 0.0f, 0.0f},
        {PARE_FN_NEG, dnnl_eltwise_linear, false, -1.0f, 0.0f},
        {PARE_FN_ROUND, dnnl_eltwise_round, false, 0.0f, 0.0f},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].function == activation->function) {
            *algorithm = known[i].algorithm;
            *alpha = known[i].own ? activation->alpha : known[i].alpha;
            *beta = known[i].own ? activation->beta : known[i].beta;
            return true;
        }
    }
    return false;
}

bool pare_onednn_append(dnnl_post_ops_t operations, const pare_activation *activation) {
    if (activation->function == PARE_FN_IDENTITY) {
        return true;
    }
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
    return pare_onednn_function(activation, &algorithm, &alpha, &beta) &&
           dnnl_post_ops_append_eltwise(operations, 1.0f, algorithm, alpha, beta) == dnnl_success;
}

bool pare_onednn_implementation_has(const_dnnl_primitive_desc_t primitive, const char *text) {
    const char *name = NULL;
    return dnnl_primitive_desc_query(primitive, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success &&
           name != NULL && strstr(name, text) != NULL;
}

bool pare_onednn_is_reference(const_dnnl_primitive_desc_t primitive) {
    return pare_onednn_implementation_has(primitive, "ref");
}

bool pare_onednn_is_gemm(const_dnnl_primitive_desc_t primitive) {
    return pare_onednn_implementation_has(primitive, "gemm:") && !pare_onednn_implementation_has(primitive, "brgemm");
}

dnnl_status_t pare_onednn_prefer(const_dnnl_op_desc_t operation, const_dnnl_primitive_attr_t attributes,
                                 const char *text, dnnl_primitive_desc_t *primitive) {
    dnnl_primitive_desc_iterator_t iterator = NULL;
    *primitive = NULL;
    dnnl_status_t status =
        dnnl_primitive_desc_iterator_create(&iterator, operation, attributes, pare_onednn_engine(), NULL);
    if (status != dnnl_success) {
        return status == dnnl_iterator_ends ? dnnl_unimplemented : status;
    }
    do {
        dnnl_primitive_desc_t found = dnnl_primitive_desc_iterator_fetch(iterator);
        if (found == NULL) {
            continue;
        }
        bool wanted = text == NULL || pare_onednn_implementation_has(found, text);
        if (*primitive == NULL || wanted) {
            dnnl_primitive_desc_destroy(*primitive);
            *primitive = found;
        } else {
            dnnl_primitive_desc_destroy(found);
        }
        if (wanted) {
            break;
        }
    } while (dnnl_primitive_desc_iterator_next(iterator) == dnnl_success);
    dnnl_primitive_desc_iterator_destroy(iterator);
    return *primitive != NULL ? dnnl_success : dnnl_unimplemented;
}
