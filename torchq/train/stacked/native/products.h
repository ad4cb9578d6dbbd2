/* Matrix products that stay in the nearest caches: products.c. */

#ifndef TORCHQ_PRODUCTS
#define TORCHQ_PRODUCTS

#include <stdint.h>

#if REAL_BITS == 32
#define REAL float
#else
#define REAL double
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#define LANES (VECTOR_BYTES / (REAL_BITS / 8)) /* numbers that the processor computes at once */

/* out[i][c] = from[i][c] + the sum over d of a[i][d] * b[d][c].

   a's values lie `row` apart along i and `column` apart along d; rows of b, from and out are `b_row`, `from_row`
   (0: one for all) and `out_row` apart and begin at whole vectors; `columns` is a multiple of LANES. */
void multiply(const REAL *a, int64_t row, int64_t column, const REAL *b, int64_t b_row, const REAL *from,
              int64_t from_row, REAL *out, int64_t out_row, int64_t rows, int64_t depth, int64_t columns);

#endif
