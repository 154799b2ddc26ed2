/* Attention of a few queries: y = softmax(q Kᵀ · scale + mask) V.

   It takes as long as reading K and V, of which only what a query sees is read. Its numbers are made in the same order
   whatever else is in the batch, wherever the keys lie that it does not see, and however many threads there are: a text
   gives the same bits alone and, behind padding, in a batch. Vaswani et al. 2017, arXiv:1706.03762. */

#include "vectors.h"

#if defined(VECTORS)

#include <math.h>

enum { SIDE = 4 }; /* keys whose scores are made side by side */

/* Of [batch, heads, queries or keys, numbers]; how far apart they lie, in numbers, 0 where all are the same. */
typedef struct {
    const char *data;
    int64_t batch, head, row, column;
} Numbers;

typedef struct {
    Numbers q, k, v, mask;
    float *y, *scratch;
    int64_t batch, heads, groups, queries, keys, width, value_width; /* heads of keys, `groups` heads of queries to each */
    int64_t parts, next;
    float scale;
    int type, added; /* whether a mask is added, or tells what is visible */
} Attention;

/* What one thread works with. */
typedef struct {
    float *query;  /* [width], times the scale */
    float *scores; /* [keys + LANES] of the keys that are seen, then their weights */
    int32_t *seen; /* [keys]: which they are */
} Scratch;

static inline int64_t scratch_size(const Attention *a) { return a->width + 2 * (a->keys + LANES); }

/* Of numbers up to 0, within one unit in the last place; NaN stays NaN. Cody & Waite 1980, "Software Manual for the
   Elementary Functions": e^x = 2^n e^r. The polynomial is that of Moshier's Cephes library. */
INLINE __m256 exponential(__m256 x) {
    const int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), nearest);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x); /* ln 2 in two parts, the first short */
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 y = _mm256_set1_ps(1.9875691500e-4f);
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.3981999507e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(8.3334519073e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(4.1665795894e-2f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.6666665459e-1f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.0000001201e-1f));
    y = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), y, r), _mm256_set1_ps(1));
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    const __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87), _CMP_LT_OQ); /* 2^n is no normal number */
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(y, _mm256_castsi256_ps(power)));
}

/* Which keys a query sees, and what is added to their scores, which begin with it. Returns how many. What is added can
   hide a key, too: beside a number that far down all others vanish, unless all are. */
INLINE int64_t look(const Attention *a, const int type, int64_t mask, Scratch to) {
    const float hidden = type == FLOAT16 ? -65504.f / 2 : -3.3895e38f / 2; /* of which finite scores change nothing */
    int64_t count = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        const int64_t at = mask + j * a->mask.column;
        to.seen[count] = (int32_t)j;
        to.scores[count] = a->mask.data && a->added ? load_one(a->mask.data, at, type) : 0;
        count += !a->mask.data || (a->added ? !(to.scores[count] <= hidden) : a->mask.data[at]);
    }
    if (!count && a->mask.data && a->added)
        for (; count < a->keys; count++) {
            to.seen[count] = (int32_t)count;
            to.scores[count] = load_one(a->mask.data, mask + count * a->mask.column, type);
        }
    return count;
}

/* Products of a query with SIDE keys. */
INLINE void dots(const float *query, const char *const keys[SIDE], int64_t width, const int type, float *products) {
    __m256 sums[SIDE];
    int64_t i = 0;
    for (int s = 0; s < SIDE; s++) sums[s] = _mm256_setzero_ps();
    for (; i + LANES <= width; i += LANES) {
        const __m256 values = _mm256_loadu_ps(query + i);
        for (int s = 0; s < SIDE; s++) sums[s] = _mm256_fmadd_ps(values, load(keys[s], i, type), sums[s]);
    }
    const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
    _mm_storeu_ps(products, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
    for (; i < width; i++)
        for (int s = 0; s < SIDE; s++) products[s] += query[i] * load_one(keys[s], i, type);
}

/* Add the products to the scores. Returns the highest. (With NaN among them all weights become NaN, whatever it is.) */
INLINE float score(const Attention *a, const int type, const char *keys, int64_t count, Scratch of) {
    float highest = -INFINITY;
    for (int64_t j = 0; j < count; j += SIDE) {
        const char *rows[SIDE];
        float products[SIDE];
        for (int s = 0; s < SIDE; s++) rows[s] = keys + of.seen[least(j + s, count - 1)] * a->k.row * size_of(type);
        dots(of.query, rows, a->width, type, products);
        for (int s = 0; s < SIDE && j + s < count; s++) {
            const float one = of.scores[j + s] += products[s];
            if (!(one <= highest)) highest = one;
        }
    }
    return highest;
}

/* Make weights of the scores, which are yet to be divided by their sum, which is returned. */
INLINE float weigh(float *scores, int64_t count, float highest) {
    __m256 sums = _mm256_setzero_ps();
    for (int s = 0; s < LANES; s++) scores[count + s] = -INFINITY;
    for (int64_t j = 0; j < count; j += LANES) {
        const __m256 weights = exponential(_mm256_sub_ps(_mm256_loadu_ps(scores + j), _mm256_set1_ps(highest)));
        _mm256_storeu_ps(scores + j, weights);
        sums = _mm256_add_ps(sums, weights);
    }
    return sum(sums);
}

/* Weighted sums of values from the column `from` on, as many registers of them at a time as are given. Returns the column
   that is next. */
INLINE int64_t mix(const Attention *a, const int type, const int registers, const char *values, int64_t count, Scratch by,
                   float factor, int64_t from, float *y) {
    for (; from + registers * LANES <= a->value_width; from += registers * LANES) {
        __m256 sums[8];
        for (int s = 0; s < registers; s++) sums[s] = _mm256_setzero_ps();
        for (int64_t j = 0; j < count; j++) {
            const __m256 weight = _mm256_broadcast_ss(by.scores + j);
            const char *row = values + by.seen[j] * a->v.row * size_of(type);
            for (int s = 0; s < registers; s++)
                sums[s] = _mm256_fmadd_ps(weight, load(row, from + s * LANES, type), sums[s]);
        }
        for (int s = 0; s < registers; s++)
            _mm256_storeu_ps(y + from + s * LANES, _mm256_mul_ps(sums[s], _mm256_set1_ps(factor)));
    }
    return from;
}

/* One query: what it sees is zeros if that is nothing. */
INLINE void attend(const Attention *a, const int type, int64_t b, int64_t group, int64_t l, Scratch scratch) {
    const int64_t size = size_of(type), shared = group / a->groups;
    const char *query = a->q.data + (b * a->q.batch + group * a->q.head + l * a->q.row) * size;
    const char *keys = a->k.data + (b * a->k.batch + shared * a->k.head) * size;
    const char *values = a->v.data + (b * a->v.batch + shared * a->v.head) * size;
    float *y = a->y + ((b * a->queries + l) * a->heads * a->groups + group) * a->value_width;
    int64_t count = look(a, type, b * a->mask.batch + group * a->mask.head + l * a->mask.row, scratch), i = 0;
    for (int64_t d = 0; d < a->width; d++) scratch.query[d] = load_one(query, d, type) * a->scale;
    const float highest = score(a, type, keys, count, scratch);
    if (highest == -INFINITY) count = 0;
    const float total = weigh(scratch.scores, count, highest), factor = count ? 1 / total : 0;
    i = mix(a, type, 8, values, count, scratch, factor, i, y);
    i = mix(a, type, 1, values, count, scratch, factor, i, y);
    for (; i < a->value_width; i++) {
        float one = 0;
        for (int64_t j = 0; j < count; j++) one += scratch.scores[j] * load_one(values, scratch.seen[j] * a->v.row + i, type);
        y[i] = one * factor;
    }
}

/* What one thread does: parts of all heads of all texts, until none is left. */
TARGET static void work(void *attention) {
    Attention *a = attention;
    const int64_t all = a->batch * a->heads;
    for (int64_t part; (part = __atomic_fetch_add(&a->next, 1, __ATOMIC_RELAXED)) < a->parts;) {
        float *own = a->scratch + part * scratch_size(a), *scores = own + a->width;
        const Scratch scratch = {own, scores, (int32_t *)(scores + a->keys + LANES)};
        for (int64_t head = all * part / a->parts; head < all * (part + 1) / a->parts; head++)
            for (int64_t i = 0; i < a->groups * a->queries; i++) {
                const int64_t b = head / a->heads, group = head % a->heads * a->groups + i / a->queries, l = i % a->queries;
                if (a->type == FLOAT32) attend(a, FLOAT32, b, group, l, scratch);
                else if (a->type == BFLOAT16) attend(a, BFLOAT16, b, group, l, scratch);
                else attend(a, FLOAT16, b, group, l, scratch);
            }
    }
}

/* q [batch, heads · groups, queries, width], k [batch, heads, keys, width], v [batch, heads, keys, value_width] of `type`;
   mask [batch, heads · groups, queries, keys] of bytes, or of `type` if it is `added`, or null. `sizes` are the numbers of
   Attention from `batch` on, `strides` three each of q, k and v, whose columns lie side by side, and four of the mask.
   y [batch, queries, heads · groups, value_width] of float32 is written; `scratch` [threads, width + 2 · (keys + LANES)]. */
EXPORT void few_queries(const void *q, const void *k, const void *v, const void *mask, float *y, float *scratch,
                        const int64_t *sizes, const int64_t *strides, float scale, int type, int added, int64_t threads,
                        Parallel parallel) {
    const int64_t *s = strides;
    const int64_t numbers = sizes[0] * sizes[1] * sizes[4] * (sizes[5] + sizes[6]);
    threads = parallel ? least(threads, 1 + numbers / WORTH) : 1;
    Attention a = {
        {q, s[0], s[1], s[2], 1}, {k, s[3], s[4], s[5], 1}, {v, s[6], s[7], s[8], 1}, {mask, s[9], s[10], s[11], s[12]},
        y, scratch, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], threads, 0, scale, type, added,
    };
    if (threads > 1) parallel(work, &a, (unsigned)threads, 0);
    else work(&a);
}

#endif
