/* Quantizers whose scales are found from the weights, as torchq/train/stacked/formulas.py has them.

   Weights are [inputs, wide]: those that share a scale stand in a column, and many columns are computed at once. */

#ifndef TORCHQ_FOUND
#define TORCHQ_FOUND

#include "formulas.h"

#define COLUMNS 64 /* scales that are found together */

/* A weight that is no number and no infinity, which do not count. */
static inline REAL counted(REAL x) { return ABSOLUTE(x) < (REAL)INFINITY ? x : (REAL)0; }

/* Integer codes of at most `high`; ties away from zero. A NaN stays one. */
static inline REAL code_of(REAL x, REAL size, REAL high) {
    const REAL code = FLOOR(size + (REAL)0.5), capped = CAP(code, high);
    const REAL made = x < 0 ? -capped : capped;
    return x == 0 ? (REAL)0 : made;
}

/* The power of two that is nearest to the scale above / below. */
static inline REAL fitting_power(REAL above, REAL below, const REAL *numbers) {
    REAL exponent = exponent_of(above / below + (REAL)EPSILON);
    exponent = LIFT(exponent, numbers[FIELD_LEAST_POWER]);
    exponent = CAP(exponent, numbers[FIELD_MOST_POWER]);
    return power_of(exponent);
}

/* quantized_bits with alpha "auto" or "auto_po2", in place. */
static void found_stair(REAL *restrict x, int64_t inputs, int64_t wide, const REAL *numbers) {
    const REAL unit = numbers[FIELD_UNIT], each = 1 / unit, high = numbers[FIELD_HIGH], worth = numbers[FIELD_WORTH];
    const REAL little = (REAL)EPSILON * numbers[FIELD_INPUTS];
    const int rounded = numbers[FIELD_PO2] != 0;
    for (int64_t left = 0; left < wide; left += COLUMNS) {
        const int64_t width = wide - left < COLUMNS ? wide - left : COLUMNS;
        REAL scale[COLUMNS] = {0}, inverse[COLUMNS], above[COLUMNS], below[COLUMNS];
        for (int64_t d = 0; d < inputs; d++) {
            REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++) {
                row[c] *= each;
                const REAL size = ABSOLUTE(counted(row[c]));
                scale[c] = size > scale[c] ? size : scale[c];
            }
        }
        for (int64_t c = 0; c < width; c++)
            scale[c] /= high;
        if (rounded) {
            for (int64_t c = 0; c < width; c++)
                scale[c] = power_of(exponent_of(scale[c] + (REAL)EPSILON));
            for (int turn = 0; turn < PO2_STEPS; turn++) {
                for (int64_t c = 0; c < width; c++)
                    inverse[c] = 1 / scale[c], above[c] = 0, below[c] = little;
                for (int64_t d = 0; d < inputs; d++) {
                    const REAL *row = x + d * wide + left;
                    for (int64_t c = 0; c < width; c++) {
                        const REAL v = counted(row[c]), code = code_of(v, ABSOLUTE(v) * inverse[c], high);
                        above[c] += v * code;
                        below[c] += code * code;
                    }
                }
                for (int64_t c = 0; c < width; c++)
                    scale[c] = fitting_power(above[c], below[c], numbers);
            }
        }
        for (int64_t d = 0; d < inputs; d++) {
            REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++) {
                const REAL code = code_of(row[c], ABSOLUTE(row[c]) / scale[c], high);
                row[c] = scale[c] * worth * (unit * code / worth);
            }
        }
    }
}

/* binary with alpha "auto" or "auto_po2", in place; padded zeros have signs too, which do not count. */
static void found_signs(REAL *restrict x, int64_t inputs, int64_t wide, const REAL *numbers) {
    const REAL low = numbers[FIELD_LOW], little = (REAL)EPSILON * numbers[FIELD_INPUTS];
    const int rounded = numbers[FIELD_PO2] != 0;
    for (int64_t left = 0; left < wide; left += COLUMNS) {
        const int64_t width = wide - left < COLUMNS ? wide - left : COLUMNS;
        REAL scale[COLUMNS], above[COLUMNS] = {0}, below[COLUMNS];
        for (int64_t c = 0; c < width; c++)
            below[c] = little;
        for (int64_t d = 0; d < (int64_t)numbers[FIELD_INPUTS]; d++) {
            const REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++) {
                const REAL code = row[c] < 0 ? low : row[c] >= 0 ? (REAL)1 : (REAL)0;
                above[c] += counted(row[c]) * code;
                below[c] += code * code;
            }
        }
        for (int64_t c = 0; c < width; c++)
            scale[c] = rounded ? fitting_power(above[c], below[c], numbers) : above[c] / below[c];
        for (int64_t d = 0; d < inputs; d++) {
            REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++)
                row[c] = (row[c] < 0 ? low : row[c] >= 0 ? (REAL)1 : row[c]) * scale[c];
        }
    }
}

/* ternary with alpha "auto" or "auto_po2", in place: band and scale are found in turns. */
static void found_bands(REAL *restrict x, int64_t inputs, int64_t wide, const REAL *numbers) {
    const REAL little = (REAL)EPSILON * numbers[FIELD_INPUTS];
    const int rounded = numbers[FIELD_PO2] != 0;
    for (int64_t left = 0; left < wide; left += COLUMNS) {
        const int64_t width = wide - left < COLUMNS ? wide - left : COLUMNS;
        REAL scale[COLUMNS] = {0}, last[COLUMNS], above[COLUMNS], below[COLUMNS];
        for (int64_t d = 0; d < inputs; d++) {
            const REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++) {
                const REAL size = ABSOLUTE(counted(row[c]));
                scale[c] = size > scale[c] ? size : scale[c];
            }
        }
        for (int64_t c = 0; c < width; c++) {
            scale[c] = 2 * scale[c] / 3;
            scale[c] = rounded ? power_of(exponent_of(scale[c] + (REAL)EPSILON)) : scale[c];
        }
        for (int turn = 0; turn < UNROLLS; turn++) {
            for (int64_t c = 0; c < width; c++)
                last[c] = scale[c], above[c] = 0, below[c] = little;
            for (int64_t d = 0; d < inputs; d++) {
                const REAL *row = x + d * wide + left;
                for (int64_t c = 0; c < width; c++) {
                    const REAL size = ABSOLUTE(last[c] * ROUND(row[c] / last[c])), v = ABSOLUTE(counted(row[c]));
                    const int outside = size >= last[c] / 2;
                    above[c] += outside ? v : (REAL)0;
                    below[c] += outside ? (REAL)1 : (REAL)0;
                }
            }
            for (int64_t c = 0; c < width; c++)
                scale[c] = rounded ? fitting_power(above[c], below[c], numbers) : above[c] / below[c];
        }
        for (int64_t d = 0; d < inputs; d++) {
            REAL *row = x + d * wide + left;
            for (int64_t c = 0; c < width; c++) {
                const REAL v = row[c], size = ABSOLUTE(last[c] * ROUND(v / last[c]));
                const REAL sign = v > 0 ? (REAL)1 : v < 0 ? (REAL)-1 : v, code = size >= last[c] / 2 ? sign : sign * 0;
                row[c] = code * scale[c];
            }
        }
    }
}

/* Whether a quantizer finds its scales. */
static int finds(const REAL *numbers) {
    const int formula = (int)numbers[FIELD_FORMULA];
    return formula == FOUND || formula == SIGNS || formula == BANDS;
}

/* The values of one that does, in place. */
static void found(REAL *x, int64_t inputs, int64_t wide, const REAL *numbers) {
    const int formula = (int)numbers[FIELD_FORMULA];
    if (formula == FOUND)
        found_stair(x, inputs, wide, numbers);
    else if (formula == SIGNS)
        found_signs(x, inputs, wide, numbers);
    else
        found_bands(x, inputs, wide, numbers);
}

#endif
