/* Products of a few rows with a matrix that lies row by row in memory: y = x Wᵀ + b.

   Such a product takes as long as reading W. One core reads memory fastest from several places at once, so the outputs
   are cut into a few runs and one output of each is computed at a time. What is read is used for up to four rows before
   it leaves the registers, and for the other rows before it leaves the cache.

   Each sum is made in the same order however many rows, runs and threads there are: a row gives the same bits alone and
   in a batch. Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication". */

#include "vectors.h"

#if defined(VECTORS)

enum {
    PIECE = 1024,       /* inputs that are summed before they are added to the output: their error grows with it */
    CACHED = 32 * 1024, /* floats of x that stay in the cache while all of W goes by */
};

/* How many runs there are registers for, with one or two rows, three, and four or more. */
enum { RUNS_OF_TWO = 6, RUNS_OF_THREE = 4, RUNS_OF_FOUR = 3 };

typedef struct {
    const float *x;
    const char *w, *bias;
    float *y;
    int64_t rows, inputs, outputs, stride; /* of one row of W to the next, in numbers */
    int64_t parts, next;
    int type;
} Product;

/* Add the inputs [from, to) to outputs o, o + run, ... of `runs` runs, for rows r, r + 1, ... With many rows memory would
   rest while they are computed: each tile fetches its share of the weights that come next, `next` numbers further on. */
INLINE void tile(const Product *p, const int rows, const int runs, const int type, int64_t r, int64_t o, int64_t run,
                 int64_t from, int64_t to, int64_t next) {
    const int64_t size = size_of(type);
    const float *x = p->x + r * p->inputs;
    const char *w = p->w + o * p->stride * size;
    const int64_t apart = run * p->stride;
    const int64_t share = LANES / ((p->rows + 3) / 4);
    const char *ahead = w + (from + next + r / 4 * share * ((to - from) / LANES)) * size;
    __m256 sums[4][RUNS_OF_TWO];
    int64_t i = from;
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < runs; b++) sums[a][b] = _mm256_setzero_ps();
    for (; i + LANES <= to; i += LANES) {
        __m256 weights[RUNS_OF_TWO];
        for (int b = 0; b < runs; b++) weights[b] = load(w, b * apart + i, type);
        if (runs == RUNS_OF_FOUR) {
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
    if (runs <= RUNS_OF_FOUR)
        for (; r + 4 <= p->rows; r += 4) tile(p, 4, runs, type, r, o, run, from, to, next);
    if (runs <= RUNS_OF_THREE && p->rows - r == 3) tile(p, 3, runs, type, r, o, run, from, to, next);
    if (p->rows - r == 2) tile(p, 2, runs, type, r, o, run, from, to, next);
    if (p->rows - r == 1) tile(p, 1, runs, type, r, o, run, from, to, next);
}

/* Outputs [first, last), their runs side by side. */
INLINE void outputs(const Product *p, const int runs, const int type, int64_t first, int64_t last) {
    const int64_t run = (last - first) / runs, end = first + run * runs;
    const int64_t cached = p->rows * p->inputs <= CACHED ? p->inputs : PIECE;
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t o = first; o < last; o++) p->y[r * p->outputs + o] = p->bias ? load_one(p->bias, o, type) : 0;
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
    if (p->rows <= 2) outputs(p, RUNS_OF_TWO, type, first, last);
    else if (p->rows == 3) outputs(p, RUNS_OF_THREE, type, first, last);
    else outputs(p, RUNS_OF_FOUR, type, first, last);
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

/* x [rows, inputs] of float32; w [outputs, inputs], its rows `stride` numbers apart, and bias [outputs] (or null) of
   `type`; y [rows, outputs] of float32 is written. */
EXPORT void few_rows(const float *x, const void *w, const void *bias, float *y, int64_t rows, int64_t inputs,
                     int64_t outputs, int64_t stride, int type, int64_t threads, Parallel parallel) {
    threads = parallel ? least(threads, 1 + inputs * outputs / WORTH) : 1;
    Product p = {x, w, bias, y, rows, inputs, outputs, stride, threads, 0, type};
    if (threads > 1) parallel(work, &p, (unsigned)threads, 0);
    else work(&p);
}

#endif
