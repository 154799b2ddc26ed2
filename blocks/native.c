/* The library as a whole: whether it can be used here. */

#include "vectors.h"

#if defined(VECTORS)
EXPORT int ready(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
#else
EXPORT int ready(void) { return 0; }
#endif

/* Python takes the library for a module of its own, but only its functions are called. */
EXPORT void *PyInit__native(void) { return 0; }
