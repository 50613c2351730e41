#include "pare/runtime.h"

#ifdef PARE_HAVE_ONEDNN
#include "onednn/onednn_kernels.h"
#endif

const char *pare_version(void) {
    return PARE_VERSION;
}

const char *pare_backend(void) {
#ifdef PARE_HAVE_ONEDNN
    return pare_onednn_version();
#else
    return "none";
#endif
}
