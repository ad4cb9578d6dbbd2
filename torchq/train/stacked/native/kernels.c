/* Quantizers, their gradients, batch norms, the loss and Adam, in one walk over the values of all candidates each. */

#include "formulas.h"

#define STRIP 128 /* columns whose sums are taken together */
#define BLOCK 128 /* rows whose sums are taken before they are added to the others */

/* Quantized values, from `first` to `last` candidate.

   x: [candidates, count], or one that stands for all (stride 0); out: [candidates, count];
   numbers: [candidates, fields] with their stride; mask: null, or 1 where a value is, with its stride. */
void values(const REAL *x, int64_t stride, REAL *out, int64_t count, const REAL *numbers,
                  int64_t numbers_stride, const REAL *mask, int64_t mask_stride, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
        REAL *to = out + k * count;
        formula(x + k * stride, to, count, numbers + k * numbers_stride);
        if (mask) {
            const REAL *keep = mask + k * mask_stride;
            for (int64_t i = 0; i < count; i++)
                to[i] *= keep[i];
        }
    }
}

/* Quantized values of sums: x, times a factor for each column, plus an offset for each, which stays in x.

   x and out: [candidates, rows, columns]; factor (or null) and offset: [candidates, columns]. */
void shifted(REAL *restrict x, const REAL *restrict factor, const REAL *restrict offset, REAL *out,
                   int64_t rows, int64_t columns, const REAL *numbers, int64_t numbers_stride, int64_t first,
                   int64_t last) {
    const int64_t tile = columns < TILE ? TILE / columns : 1; /* rows that stay in the nearest cache */
    for (int64_t k = first; k < last; k++) {
        const REAL *add = offset + k * columns, *row = numbers + k * numbers_stride;
        for (int64_t at = 0; at < rows; at += tile) {
            const int64_t end = at + tile < rows ? at + tile : rows, from = (k * rows + at) * columns;
            for (int64_t r = at; r < end; r++) {
                REAL *sum = x + (k * rows + r) * columns;
                if (factor)
                    for (int64_t c = 0; c < columns; c++)
                        sum[c] *= factor[k * columns + c];
                for (int64_t c = 0; c < columns; c++)
                    sum[c] += add[c];
            }
            formula(x + from, out + from, (end - at) * columns, row);
        }
    }
}

/* The straight-through gradient, in place. */
void passed(REAL *gradient, const REAL *x, int64_t stride, int64_t count, const REAL *numbers,
            int64_t numbers_stride, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++)
        gate(gradient + k * count, x + k * stride, count, numbers + k * numbers_stride);
}

/* [candidates, columns]: means over the rows whose share is not 0, where mean is null; of (x - mean)^2 else.
   Sums are divided at the end, those of means counted from the first row: a column that never changes is its mean. */
void moment(const REAL *restrict x, const REAL *restrict share, const REAL *restrict mean, REAL *restrict out,
                  int64_t rows, int64_t columns, int64_t first, int64_t last) {
    REAL counted = 0;
    for (int64_t r = 0; r < rows; r++)
        counted += share[r] != 0;
    for (int64_t k = first; k < last; k++)
        for (int64_t left = 0; left < columns; left += STRIP) {
            const int64_t width = columns - left < STRIP ? columns - left : STRIP;
            const REAL *middle = mean ? mean + k * columns + left : x + k * rows * columns + left;
            REAL total[STRIP] = {0}, part[STRIP];
            for (int64_t at = 0; at < rows; at += BLOCK) {
                const int64_t end = at + BLOCK < rows ? at + BLOCK : rows;
                memset(part, 0, sizeof part);
                for (int64_t r = at; r < end; r++) {
                    const REAL *row = x + (k * rows + r) * columns + left;
                    if (share[r] == 0)
                        continue;
                    if (mean)
                        for (int64_t c = 0; c < width; c++)
                            part[c] += (row[c] - middle[c]) * (row[c] - middle[c]);
                    else
                        for (int64_t c = 0; c < width; c++)
                            part[c] += row[c] - middle[c];
                }
                for (int64_t c = 0; c < width; c++)
                    total[c] += part[c];
            }
            for (int64_t c = 0; c < width; c++)
                out[k * columns + left + c] = total[c] / counted + (mean ? 0 : middle[c]);
        }
}

/* Sums over rows of gradient, and of gradient * (x - mean) (or gradient * x where mean is null). */
void slopes(const REAL *restrict gradient, const REAL *restrict x, const REAL *restrict mean,
                  REAL *restrict sums, REAL *restrict along, int64_t rows, int64_t columns, int64_t first,
                  int64_t last) {
    for (int64_t k = first; k < last; k++)
        for (int64_t left = 0; left < columns; left += STRIP) {
            const int64_t width = columns - left < STRIP ? columns - left : STRIP;
            REAL one[STRIP] = {0}, two[STRIP] = {0}, part[STRIP], other[STRIP], middle[STRIP] = {0};
            if (mean)
                memcpy(middle, mean + k * columns + left, width * sizeof(REAL));
            for (int64_t at = 0; at < rows; at += BLOCK) {
                const int64_t end = at + BLOCK < rows ? at + BLOCK : rows;
                memset(part, 0, sizeof part);
                memset(other, 0, sizeof other);
                for (int64_t r = at; r < end; r++) {
                    const REAL *slope = gradient + (k * rows + r) * columns + left;
                    const REAL *row = x + (k * rows + r) * columns + left;
                    for (int64_t c = 0; c < width; c++) {
                        part[c] += slope[c];
                        other[c] += slope[c] * (row[c] - middle[c]);
                    }
                }
                for (int64_t c = 0; c < width; c++) {
                    one[c] += part[c];
                    two[c] += other[c];
                }
            }
            memcpy(sums + k * columns + left, one, width * sizeof(REAL));
            memcpy(along + k * columns + left, two, width * sizeof(REAL));
        }
}

/* What a batch norm passes back through its statistics:
   out = gradient * scale - share * (constant + slope * (x - mean)); without scale, gradient is not read.
   All but gradient, x, out ([candidates, rows, columns]) and share ([rows]) are [candidates, columns];
   out may be gradient or x. */
void returned(const REAL *gradient, const REAL *x, REAL *out, const REAL *restrict share,
                    const REAL *restrict scale, const REAL *restrict constant, const REAL *restrict slope,
                    const REAL *restrict mean, int64_t rows, int64_t columns, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t from = (k * rows + r) * columns, column = k * columns;
            const REAL weight = share[r];
            if (scale)
                for (int64_t c = 0; c < columns; c++) {
                    REAL moved = constant[column + c] + slope[column + c] * (x[from + c] - mean[column + c]);
                    out[from + c] = gradient[from + c] * scale[column + c] - weight * moved;
                }
            else
                for (int64_t c = 0; c < columns; c++) {
                    REAL moved = constant[column + c] + slope[column + c] * (x[from + c] - mean[column + c]);
                    out[from + c] = -weight * moved;
                }
        }
}

/* The samples of each candidate's batch: x is [samples, columns], order [candidates, rows]. */
void picked(const REAL *restrict x, const int64_t *restrict order, REAL *restrict out, int64_t rows, int64_t columns,
            int64_t first, int64_t last) {
    for (int64_t place = first * rows; place < last * rows; place++)
        memcpy(out + place * columns, x + order[place] * columns, columns * sizeof(REAL));
}

/* Sums over rows, [candidates, columns]. */
void total(const REAL *restrict x, REAL *restrict out, int64_t rows, int64_t columns, int64_t first,
                 int64_t last) {
    for (int64_t k = first; k < last; k++)
        for (int64_t left = 0; left < columns; left += STRIP) {
            const int64_t width = columns - left < STRIP ? columns - left : STRIP;
            REAL total[STRIP] = {0}, part[STRIP];
            for (int64_t at = 0; at < rows; at += BLOCK) {
                const int64_t end = at + BLOCK < rows ? at + BLOCK : rows;
                memset(part, 0, sizeof part);
                for (int64_t r = at; r < end; r++) {
                    const REAL *row = x + (k * rows + r) * columns + left;
                    for (int64_t c = 0; c < width; c++)
                        part[c] += row[c];
                }
                for (int64_t c = 0; c < width; c++)
                    total[c] += part[c];
            }
            memcpy(out + k * columns + left, total, width * sizeof(REAL));
        }
}

/* The mean cross entropy of each candidate and its gradient.

   logits: [candidates, rows, classes] with the strides given; y: [candidates, rows]; share: [rows];
   value: [candidates]; gradient: [candidates, rows, classes]. */
void entropy(const REAL *restrict logits, int64_t of_candidate, int64_t of_row, int64_t of_class,
                   const int64_t *restrict y, const REAL *restrict share, REAL *restrict value,
                   REAL *restrict gradient, int64_t rows, int64_t classes, int64_t first, int64_t last) {
    const int64_t tile = classes < TILE ? TILE / classes : 1;
    for (int64_t k = first; k < last; k++) {
        REAL whole = 0;
        for (int64_t at = 0; at < rows; at += tile) {
            const int64_t end = at + tile < rows ? at + tile : rows;
            REAL *slope = gradient + (k * rows + at) * classes, part = 0;
            for (int64_t r = at; r < end; r++) {
                const REAL *from = logits + k * of_candidate + r * of_row;
                REAL *to = slope + (r - at) * classes, top = from[0];
                for (int64_t c = 1; c < classes; c++) {
                    const REAL v = from[c * of_class];
                    top = v > top || v != v ? v : top;
                }
                for (int64_t c = 0; c < classes; c++)
                    to[c] = from[c * of_class] - top;
                part -= to[y[k * rows + r]] * share[r];
            }
            for (int64_t i = 0; i < (end - at) * classes; i++)
                slope[i] = EXPONENTIAL(slope[i]);
            for (int64_t r = at; r < end; r++) {
                REAL *to = slope + (r - at) * classes, total = 0;
                for (int64_t c = 0; c < classes; c++)
                    total += to[c];
                part += LOGARITHM(total) * share[r];
                const REAL scale = share[r] / total;
                for (int64_t c = 0; c < classes; c++)
                    to[c] *= scale;
                to[y[k * rows + r]] -= share[r];
            }
            whole += part;
        }
        value[k] = whole;
    }
}

/* AdamW; rows, moments and masks are [candidates, count]. */
void adam(REAL *rows, REAL *one, REAL *two, const REAL *slope, const REAL *masks, const REAL *lr, int64_t count,
          REAL decay, REAL scale, REAL root, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
        const int64_t at = k * count;
        adamw(rows + at, one + at, two + at, slope + at, masks + at, count, lr[k], scale, decay, root);
    }
}
