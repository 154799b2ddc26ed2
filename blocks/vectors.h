/* What the functions in C share: numbers of 16 and 32 bits in registers of eight floats, and torch's threads. */

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(__x86_64__) && defined(__GNUC__)

#define VECTORS
#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { FLOAT32, BFLOAT16, FLOAT16 };

enum {
    LANES = 8,         /* floats of a register */
    WORTH = 64 * 1024, /* numbers to be read from which a thread is worth waking */
};

/* GOMP_parallel, which runs a function in each thread of torch's. */
typedef void (*Parallel)(void (*)(void *), void *, unsigned, unsigned);

static inline int64_t size_of(int type) { return type == FLOAT32 ? 4 : 2; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

INLINE __m256 load(const char *numbers, int64_t at, int type) {
    if (type == FLOAT32) return _mm256_loadu_ps((const float *)numbers + at);
    __m128i half = _mm_loadu_si128((const __m128i *)((const uint16_t *)numbers + at));
    if (type == FLOAT16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE float load_one(const char *numbers, int64_t at, int type) {
    if (type == FLOAT32) return ((const float *)numbers)[at];
    uint16_t half = ((const uint16_t *)numbers)[at];
    if (type == FLOAT16) return _cvtsh_ss(half);
    union { uint32_t bits; float value; } wide = {(uint32_t)half << 16};
    return wide.value;
}

INLINE float sum(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#endif
