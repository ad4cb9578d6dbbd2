/* Matrix products of a few dozen rows and columns, computed in the processor's registers.

   The only file in which a product and a sum may become one operation: it is compiled so. */

#include "products.h"

typedef REAL vector __attribute__((vector_size(VECTOR_BYTES), aligned(VECTOR_BYTES)));

#define INLINE static inline __attribute__((always_inline))
#define MOST 8 /* rows of a tile */
#if defined(__AVX512F__) || defined(__aarch64__)
#define WIDEST 4 /* vectors of a tile: 32 registers hold 4 rows of 4 vectors, and what they are made of */
#else
#define WIDEST 2
#endif

/* `rows` rows and `width` vectors of the product; both are constants where it is called. */
INLINE void tile(const int rows, const int width, const REAL *a, int64_t row, int64_t column, const REAL *b,
                 int64_t b_row, const REAL *from, int64_t from_row, REAL *out, int64_t out_row, int64_t depth) {
    vector sum[MOST][WIDEST];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < width; j++)
            sum[i][j] = *(const vector *)(from + i * from_row + j * LANES);
    for (int64_t d = 0; d < depth; d++) {
        vector right[WIDEST];
#pragma GCC unroll 4
        for (int j = 0; j < width; j++)
            right[j] = *(const vector *)(b + d * b_row + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const REAL left = a[i * row + d * column];
#pragma GCC unroll 4
            for (int j = 0; j < width; j++)
                sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < width; j++)
            *(vector *)(out + i * out_row + j * LANES) = sum[i][j];
}

/* All rows of `width` vectors, in tiles of at most `most` rows. */
INLINE void panel(const int most, const int width, const REAL *a, int64_t row, int64_t column, const REAL *b,
                  int64_t b_row, const REAL *from, int64_t from_row, REAL *out, int64_t out_row, int64_t rows,
                  int64_t depth) {
    int64_t i = 0;
#define TILES(size)                                                                                                  \
    for (; size <= most && i + size <= rows; i += size)                                                              \
    tile(size, width, a + i * row, row, column, b, b_row, from + i * from_row, from_row, out + i * out_row, out_row, \
         depth)
    TILES(8);
    TILES(4);
    TILES(2);
    TILES(1);
}

void multiply(const REAL *a, int64_t row, int64_t column, const REAL *b, int64_t b_row, const REAL *from,
              int64_t from_row, REAL *out, int64_t out_row, int64_t rows, int64_t depth, int64_t columns) {
    int64_t c = 0;
#define PANELS(most, width)                                                                                         \
    for (; width <= WIDEST && c + width * LANES <= columns; c += width * LANES)                                     \
    panel(most, width, a, row, column, b + c, b_row, from + c, from_row, out + c, out_row, rows, depth)
#if WIDEST == 4
    PANELS(4, 4);
    PANELS(8, 2);
#else
    PANELS(4, 2);
#endif
    PANELS(8, 1);
}
