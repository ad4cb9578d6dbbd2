/* The formulas of torchq/train/stacked/formulas.py and Adam, in one walk over the values each.

   Compiled when the first stack is trained, for floats of REAL_BITS bits. FIELD_<NAME> says where a number of a
   quantizer stands in its row, STAIR, STEPS, PO2 and PLAIN which formula is which; they are given on the command
   line, so that numbers.py is their one home. Everything is written so that a NaN stays one, as in torch. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TILE 2048 /* values that stay in the nearest cache */
#define STRIP 128 /* columns whose sums are taken together */
#define BLOCK 128 /* rows whose sums are taken before they are added to the others */

#if REAL_BITS == 32
/* e^x of a float from -87 to 0 (below: that of -87) to 2 units in the last place, written so that a compiler makes
   it many at once: 2^n e^r with |r| <= log(2) / 2, and e^r by its Taylor series. A NaN stays one. */
static inline float quick_exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float n = rintf(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float sum = 1.0f / 5040.0f;
    sum = sum * r + 1.0f / 720.0f;
    sum = sum * r + 1.0f / 120.0f;
    sum = sum * r + 1.0f / 24.0f;
    sum = sum * r + 1.0f / 6.0f;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    const int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x != x ? x : sum * power;
}

#define REAL float
#define INTEGER int32_t
#define ROUND rintf
#define ABSOLUTE fabsf
#define ROOT sqrtf
#define LOGARITHM logf
#define EXPONENTIAL quick_exponential
#define DIGITS 23
#define OFFSET 127
#define SQRT2_MANTISSA 0x3504F3
#else
#define REAL double
#define INTEGER int64_t
#define ROUND rint
#define ABSOLUTE fabs
#define ROOT sqrt
#define LOGARITHM log
#define EXPONENTIAL exp
#define DIGITS 52
#define OFFSET 1023
#define SQRT2_MANTISSA 0x6A09E667F3BCC
#endif

/* Largest and smallest of two numbers; a NaN in the first stays. */
#define LIFT(v, bound) ((v) < (bound) ? (bound) : (v))
#define CAP(v, bound) ((v) > (bound) ? (bound) : (v))

static void stair(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], inverse = numbers[FIELD_INVERSE], worth = numbers[FIELD_WORTH];
    const REAL low = numbers[FIELD_LOW], high = numbers[FIELD_HIGH];
    for (int64_t i = 0; i < count; i++) {
        REAL v = LIFT(x[i], least);
        REAL code = ROUND(v * inverse);
        code = LIFT(code, low);
        code = CAP(code, high);
        out[i] = code * worth + (REAL)0;
    }
}

static void steps(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], worth = numbers[FIELD_WORTH];
    const REAL upper = numbers[FIELD_UPPER], lower = numbers[FIELD_LOWER];
    for (int64_t i = 0; i < count; i++) {
        REAL v = LIFT(x[i], least);
        REAL made = v < lower ? -worth : (REAL)0;
        made = v >= upper ? worth : made;
        out[i] = v != v ? v : made;
    }
}

/* From the bits of the float, as the logarithm of a float is not exact. */
static void powers(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], low = numbers[FIELD_LOW], high = numbers[FIELD_HIGH];
    const INTEGER mantissa = ((INTEGER)1 << DIGITS) - 1;
    for (int64_t i = 0; i < count; i++) {
        REAL v = LIFT(x[i], least);
        REAL size = ABSOLUTE(v), power;
        INTEGER bits;
        memcpy(&bits, &size, sizeof bits);
        REAL code = (REAL)((bits >> DIGITS) - OFFSET + ((bits & mantissa) > SQRT2_MANTISSA));
        code = size < (REAL)EPSILON ? low : code;
        code = LIFT(code, low);
        code = CAP(code, high);
        bits = (INTEGER)(((INTEGER)code + OFFSET) << DIGITS);
        memcpy(&power, &bits, sizeof power);
        power = v < 0 ? -power : power;
        out[i] = v != v ? v : power;
    }
}

static void plain(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST];
    for (int64_t i = 0; i < count; i++)
        out[i] = LIFT(x[i], least);
}

static void formula(const REAL *x, REAL *out, int64_t count, const REAL *numbers) {
    const int formula = (int)numbers[FIELD_FORMULA];
    if (formula == STAIR)
        stair(x, out, count, numbers);
    else if (formula == STEPS)
        steps(x, out, count, numbers);
    else if (formula == PO2)
        powers(x, out, count, numbers);
    else
        plain(x, out, count, numbers);
}

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

/* The straight-through gradient, in place: nothing passes at `first` and below, at `last` and above. */
void passed(REAL *restrict gradient, const REAL *restrict x, int64_t stride, int64_t count,
                  const REAL *numbers, int64_t numbers_stride, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
        const REAL *row = numbers + k * numbers_stride, *at = x + k * stride;
        const REAL below = row[FIELD_FIRST], above = row[FIELD_LAST];
        REAL *slope = gradient + k * count;
        for (int64_t i = 0; i < count; i++) {
            REAL kept = at[i] > below ? slope[i] : (REAL)0;
            slope[i] = at[i] < above ? kept : (REAL)0;
        }
    }
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

/* AdamW (arXiv:1711.05101) as program.py has it; rows, moments and masks are [candidates, count]. */
void adam(REAL *restrict rows, REAL *restrict one, REAL *restrict two, const REAL *restrict slope,
                const REAL *restrict masks, const REAL *lr, int64_t count, REAL decay, REAL scale, REAL root,
                int64_t first, int64_t last) {
    const REAL pull = (REAL)(1 - BETA_1), kept = (REAL)BETA_2, push = (REAL)(1 - BETA_2);
    for (int64_t k = first; k < last; k++) {
        const REAL shrink = 1 - lr[k] * decay, step = lr[k] * scale;
        const int64_t from = k * count;
        for (int64_t i = from; i < from + count; i++) {
            const REAL g = slope[i];
            const REAL m = one[i] + pull * (g - one[i]);
            const REAL v = kept * two[i] + push * g * g;
            one[i] = m;
            two[i] = v;
            rows[i] = (rows[i] * shrink - step * m / (ROOT(v) * root + (REAL)ADAM_EPSILON)) * masks[i];
        }
    }
}
