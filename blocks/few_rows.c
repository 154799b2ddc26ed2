/* Products of a few rows with a matrix that lies row by row in memory: y = x Wᵀ + b.

   Such a product takes as long as reading W. One core reads memory fastest from several places at once, so the outputs
   are cut into a few runs and one output of each is computed at a time. What is read is used for up to four rows before
   it leaves the registers, and for the other rows before it leaves the cache.

   Each sum is made in the same order however many rows, runs and threads there are: a row gives the same bits alone and
   in a batch. Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication". */

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { FLOAT32, BFLOAT16, FLOAT16 };

enum {
    LANES = 8,          /* floats of a register */
    PIECE = 1024,       /* inputs that are summed before they are added to the output: their error grows with it */
    CACHED = 32 * 1024, /* floats of x that stay in the cache while all of W goes by */
    WORTH = 64 * 1024,  /* numbers of W from which a thread is worth waking */
};

typedef struct {
    const float *x, *bias;
    const char *w;
    float *y;
    int64_t rows, inputs, outputs, stride; /* of one row of W to the next, in numbers */
    int64_t parts, next;
    int type;
} Product;

typedef void (*Parallel)(void (*)(void *), void *, unsigned, unsigned);

INLINE __m256 load(const char *w, int64_t at, int type) {
    if (type == FLOAT32) return _mm256_loadu_ps((const float *)w + at);
    __m128i half = _mm_loadu_si128((const __m128i *)((const uint16_t *)w + at));
    if (type == FLOAT16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE float load_one(const char *w, int64_t at, int type) {
    if (type == FLOAT32) return ((const float *)w)[at];
    uint16_t half = ((const uint16_t *)w)[at];
    if (type == FLOAT16) return _cvtsh_ss(half);
    union { uint32_t bits; float value; } wide = {(uint32_t)half << 16};
    return wide.value;
}

INLINE float sum(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Add the inputs [from, to) to outputs o, o + run, ... of `runs` runs, for rows r, r + 1, ... With many rows memory would
   rest while they are computed: each tile fetches its share of the weights that come next, `next` numbers further on. */
INLINE void tile(const Product *p, const int rows, const int runs, const int type, int64_t r, int64_t o, int64_t run,
                 int64_t from, int64_t to, int64_t next) {
    const int64_t size = type == FLOAT32 ? 4 : 2;
    const float *x = p->x + r * p->inputs;
    const char *w = p->w + o * p->stride * size;
    const int64_t apart = run * p->stride;
    const int64_t share = p->rows <= 4 ? LANES : p->rows <= 8 ? LANES / 2 : p->rows <= 16 ? LANES / 4 : LANES / 8;
    const char *ahead = w + (from + next + r / 4 * share * ((to - from) / LANES)) * size;
    __m256 sums[4][6];
    int64_t i = from;
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < runs; b++) sums[a][b] = _mm256_setzero_ps();
    for (; i + LANES <= to; i += LANES) {
        __m256 weights[6];
        for (int b = 0; b < runs; b++) weights[b] = load(w, b * apart + i, type);
        if (runs == 3) { /* four rows or more */
            for (int b = 0; b < runs; b++) _mm_prefetch(ahead + b * apart * size, _MM_HINT_T0);
            ahead += share * size;
        }
        for (int a = 0; a < rows; a++) {
            __m256 values = _mm256_loadu_ps(x + a * p->inputs + i);
            for (int b = 0; b < runs; b++) sums[a][b] = _mm256_fmadd_ps(values, weights[b], sums[a][b]);
        }
    }
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < runs; b++) {
            float total = sum(sums[a][b]);
            for (int64_t k = i; k < to; k++) total += x[a * p->inputs + k] * load_one(w, b * apart + k, type);
            p->y[(r + a) * p->outputs + o + b * run] += total;
        }
}

/* All rows of a tile, four at a time. Only as many sums as there are registers for are ever asked for. */
INLINE void tiles(const Product *p, const int runs, const int type, int64_t o, int64_t run, int64_t from, int64_t to,
                  int64_t next) {
    int64_t r = 0;
    if (runs <= 3)
        for (; r + 4 <= p->rows; r += 4) tile(p, 4, runs, type, r, o, run, from, to, next);
    if (runs <= 4 && p->rows - r == 3) tile(p, 3, runs, type, r, o, run, from, to, next);
    if (p->rows - r == 2) tile(p, 2, runs, type, r, o, run, from, to, next);
    if (p->rows - r == 1) tile(p, 1, runs, type, r, o, run, from, to, next);
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Outputs [first, last), their runs side by side. */
INLINE void outputs(const Product *p, const int runs, const int type, int64_t first, int64_t last) {
    const int64_t run = (last - first) / runs, end = first + run * runs;
    const int64_t cached = p->rows * p->inputs <= CACHED ? p->inputs : PIECE;
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t o = first; o < last; o++) p->y[r * p->outputs + o] = p->bias ? p->bias[o] : 0;
    for (int64_t start = 0; start < p->inputs; start += cached) {
        const int64_t stop = least(start + cached, p->inputs);
        for (int64_t o = first; o < first + run; o++)
            for (int64_t from = start; from < stop; from += PIECE) {
                const int64_t to = least(from + PIECE, stop);
                tiles(p, runs, type, o, run, from, to, to < stop ? PIECE : p->stride - from + start);
            }
        for (int64_t o = end; o < last; o++)
            for (int64_t from = start; from < stop; from += PIECE)
                tiles(p, 1, type, o, 0, from, least(from + PIECE, stop), 0);
    }
}

INLINE void by_rows(const Product *p, const int type, int64_t first, int64_t last) {
    if (p->rows <= 2) outputs(p, 6, type, first, last);
    else if (p->rows == 3) outputs(p, 4, type, first, last);
    else outputs(p, 3, type, first, last);
}

/* What one thread does: parts of the outputs, until none is left. */
TARGET static void work(void *product) {
    Product *p = product;
    for (int64_t part; (part = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED)) < p->parts;) {
        const int64_t first = p->outputs * part / p->parts, last = p->outputs * (part + 1) / p->parts;
        if (p->type == FLOAT32) by_rows(p, FLOAT32, first, last);
        else if (p->type == BFLOAT16) by_rows(p, BFLOAT16, first, last);
        else by_rows(p, FLOAT16, first, last);
    }
}

/* Whether this processor has the instructions. */
EXPORT int few_rows_ready(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

/* x [rows, inputs] and bias [outputs] (or null) of float32, w [outputs, inputs] of `type`, its rows `stride` numbers
   apart; y [rows, outputs] of float32 is written. `parallel` is GOMP_parallel, which runs a function in each thread. */
EXPORT void few_rows(const float *x, const void *w, const float *bias, float *y, int64_t rows, int64_t inputs,
                     int64_t outputs, int64_t stride, int type, int64_t threads, Parallel parallel) {
    threads = parallel ? least(threads, 1 + inputs * outputs / WORTH) : 1;
    Product p = {x, bias, w, y, rows, inputs, outputs, stride, threads, 0, type};
    if (threads > 1) parallel(work, &p, (unsigned)threads, 0);
    else work(&p);
}

#else

EXPORT int few_rows_ready(void) { return 0; }

#endif

/* Python takes this file for a module of its own, but only its functions are called. */
EXPORT void *PyInit__few_rows(void) { return 0; }
