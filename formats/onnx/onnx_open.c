/* Opening a model: what kind of file it is, scan, unpack within a byte budget,
 * and what belongs to the file as a whole. */
#include "onnx_internal.h"

#include <string.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/file.h"

enum { OLDEST_IR = 3, NEWEST_IR = 10 };

/* protobuf-c's messages live and die together, so they share an arena; freeing
 * one piece does nothing. */
typedef struct pare_onnx_memory {
    pare_arena arena;
    size_t refused; /* bytes of the first request that was not met */
} pare_onnx_memory;

static void *budget_alloc(void *data, size_t size) {
    pare_onnx_memory *memory = data;
    void *piece = memory->refused == 0 ? pare_arena_alloc(&memory->arena, 1, size) : NULL;
    if (piece == NULL && memory->refused == 0) {
        memory->refused = size != 0 ? size : 1;
    }
    return piece;
}

static void budget_free(void *data, void *piece) {
    (void)data;
    (void)piece;
}

static bool starts_with(const uint8_t *data, size_t size, size_t at, const char *magic, size_t bytes) {
    return size >= at + bytes && memcmp(data + at, magic, bytes) == 0;
}

static bool looks_like_text(const uint8_t *data, size_t size) {
    const size_t look = size < 512 ? size : 512;
    for (size_t i = 0; i < look; i++) {
        const bool space = data[i] == '\t' || data[i] == '\n' || data[i] == '\r';
        if ((data[i] < 0x20 && !space) || data[i] == 0x7f) {
            return false;
        }
    }
    /* Up to three bytes of a character may be cut off at the end. */
    for (size_t cut = 0; cut < 4 && cut < look; cut++) {
        if (pare_is_utf8((const char *)data, look - cut)) {
            return true;
        }
    }
    return false;
}

const char *pare_onnx_file_kind(const uint8_t *data, size_t size) {
    static const struct {
        const char *magic;
        uint8_t bytes, at;
        const char *kind;
    } kinds[] = {
        {"PARE", 4, 0, "a Pare container (.pare)"},
        {"\x89PNG", 4, 0, "a PNG image"},
        {"\xff\xd8\xff", 3, 0, "a JPEG image"},
        {"\x1f\x8b", 2, 0, "gzip data (unpack it first)"},
        {"\x28\xb5\x2f\xfd", 4, 0, "zstd data (unpack it first)"},
        {"PK\x03\x04", 4, 0, "a ZIP archive (of a PyTorch model, perhaps)"},
        {"\x7f"
         "ELF",
         4, 0, "an ELF program"},
        {"\x93NUMPY", 6, 0, "a NumPy array"},
        {"\x89HDF", 4, 0, "an HDF5 file"},
        {"GGUF", 4, 0, "a GGUF file"},
        {"TFL3", 4, 4, "a TensorFlow Lite model"},
        {"ORTM", 4, 4, "an ONNX Runtime .ort model"},
    };
    if (size == 0) {
        return "an empty file";
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (starts_with(data, size, kinds[i].at, kinds[i].magic, kinds[i].bytes)) {
            return kinds[i].kind;
        }
    }
    return looks_like_text(data, size) ? "text" : NULL;
}

/* The scan's own message where the bytes begin like a model. */
static pare_status scan_or_diagnose(const uint8_t *data, size_t size, const pare_onnx_limits *limits,
                                    pare_error *error) {
    pare_status status = pare_onnx_scan(data, size, limits, error);
    if (status == PARE_LIMIT || (status == PARE_OK && size != 0)) {
        return status;
    }
    const char *kind = pare_onnx_file_kind(data, size);
    if (kind == NULL && !pare_onnx_is_plausible(data, size)) {
        kind = "bytes of an unknown kind";
    }
    return kind != NULL ? pare_fail(error, PARE_BAD_INPUT, "expected an ONNX model, found %s", kind) : status;
}

static bool is_default_domain(const char *domain) {
    return domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

static pare_status check_opsets(const Onnx__ModelProto *model, pare_error *error) {
    if (model->n_opset_import == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an opset_import, found none");
    }
    if (model->n_opset_import > 256) {
        return pare_fail(error, PARE_LIMIT, "expected at most 256 opset imports, found %zu", model->n_opset_import);
    }
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = model->opset_import[i];
        const char *domain = is_default_domain(set->domain) ? "ai.onnx" : set->domain;
        if (!set->has_version || set->version <= 0 || set->version > INT32_MAX) {
            return pare_fail(error, PARE_BAD_INPUT, "opset_import \"%s\": expected a version from 1, found %lld",
                             domain, set->has_version ? (long long)set->version : 0);
        }
        for (size_t j = 0; j < i; j++) {
            const char *other = model->opset_import[j]->domain;
            if (strcmp(is_default_domain(other) ? "ai.onnx" : other, domain) == 0) {
                return pare_fail(error, PARE_BAD_INPUT,
                                 "opset_import \"%s\": expected one version, found both %lld and %lld", domain,
                                 (long long)model->opset_import[j]->version, (long long)set->version);
            }
        }
    }
    return PARE_OK;
}

static pare_status check_model(const Onnx__ModelProto *model, pare_error *error) {
    if (!model->has_ir_version) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an ir_version, found none");
    }
    if (model->ir_version < 1) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an ir_version from %d to %d, found %lld", OLDEST_IR,
                         NEWEST_IR, (long long)model->ir_version);
    }
    if (model->ir_version < OLDEST_IR || model->ir_version > NEWEST_IR) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected an ir_version from %d to %d, found %lld", OLDEST_IR,
                         NEWEST_IR, (long long)model->ir_version);
    }
    PARE_TRY(check_opsets(model, error));
    if (model->graph == NULL) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a graph, found none");
    }
    if (model->n_functions != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected no model-local functions, found %zu (inline them first)",
                         model->n_functions);
    }
    if (model->n_training_info != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected a model for inference, found training_info");
    }
    if (model->graph->n_sparse_initializer != 0) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected dense initializers, found %zu sparse ones",
                         model->graph->n_sparse_initializer);
    }
    return pare_onnx_external_check_overlap(model->graph, error);
}

static pare_status unpack(const uint8_t *data, size_t size, pare_onnx_file *file, pare_error *error) {
    pare_onnx_memory *memory = file->memory;
    file->proto = onnx__model_proto__unpack(&file->allocator, size, data);
    if (file->proto != NULL) {
        return PARE_OK;
    }
    if (memory->refused == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an ONNX model, found bytes that do not unpack");
    }
    if (memory->refused > memory->arena.limit - memory->arena.used) {
        return pare_fail(error, PARE_LIMIT, "expected to unpack the model within %zu bytes, found that it needs more",
                         memory->arena.limit);
    }
    return pare_fail_memory(error, memory->refused);
}

static char *copy_text(const char *text, size_t bytes) {
    char *copy = pare_alloc(bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

pare_status pare_onnx_from_bytes(const uint8_t *data, size_t size, const char *folder, const pare_onnx_limits *limits,
                                 pare_onnx_file *file, pare_error *error) {
    if (file == NULL || (data == NULL && size != 0)) {
        return pare_fail(error, PARE_USAGE, "pare_onnx_from_bytes: expected bytes and a file to fill, found NULL");
    }
    *file = (pare_onnx_file){.file_bytes = size};
    PARE_TRY(scan_or_diagnose(data, size, limits, error));
    pare_status status = PARE_OK;
    file->memory = pare_alloc_zero(1, sizeof *file->memory);
    if (file->memory == NULL) {
        status = pare_fail_memory(error, sizeof *file->memory);
        goto done;
    }
    pare_arena_init(&file->memory->arena, pare_onnx_limits_resolve(limits, size).unpack_bytes);
    file->allocator = (ProtobufCAllocator){budget_alloc, budget_free, file->memory};
    if (folder != NULL) {
        file->folder = copy_text(folder, strlen(folder));
        if (file->folder == NULL) {
            status = pare_fail_memory(error, strlen(folder) + 1);
            goto done;
        }
    }
    status = unpack(data, size, file, error);
    if (status == PARE_OK) {
        status = check_model(file->proto, error);
    }
done:
    if (status != PARE_OK) {
        pare_onnx_close(file);
    }
    return status;
}

/* The folder part of a path as the user gave it. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return copy_text(".", 1);
    }
    return slash == path ? copy_text("/", 1) : copy_text(path, (size_t)(slash - path));
}

pare_status pare_onnx_open(const char *path, const pare_onnx_limits *limits, pare_onnx_file *file, pare_error *error) {
    if (path == NULL || file == NULL) {
        return pare_fail(error, PARE_USAGE, "pare_onnx_open: expected a path and a file to fill, found NULL");
    }
    *file = (pare_onnx_file){0};
    uint8_t *data = NULL;
    size_t size = 0;
    PARE_TRY(pare_file_read(path, pare_onnx_limits_resolve(limits, 0).file_bytes, &data, &size, error));
    pare_status status;
    char *folder = folder_of(path);
    if (folder == NULL) {
        status = pare_fail_memory(error, strlen(path));
        goto done;
    }
    status = pare_onnx_from_bytes(data, size, folder, limits, file, error);
    if (status != PARE_OK && error != NULL && error->offset != PARE_NO_OFFSET) {
        pare_error_prefix(error, "%s: at byte %llu: ", path, (unsigned long long)error->offset);
    } else if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", path);
    }
done:
    pare_free(folder);
    pare_free(data);
    return status;
}

void pare_onnx_close(pare_onnx_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->memory != NULL) {
        pare_arena_free(&file->memory->arena);
    }
    pare_free(file->memory);
    pare_free(file->folder);
    *file = (pare_onnx_file){0};
}
