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

/* quantized_bits with alpha "auto" or "auto_po2", in place. */
static void found(REAL *restrict x, int64_t inputs, int64_t wide, const REAL *numbers) {
    const REAL unit = numbers[FIELD_UNIT], each = 1 / unit, high = numbers[FIELD_HIGH], worth = numbers[FIELD_WORTH];
    const REAL least = numbers[FIELD_LEAST_POWER], most = numbers[FIELD_MOST_POWER];
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
                for (int64_t c = 0; c < width; c++) {
                    REAL exponent = exponent_of(above[c] / below[c] + (REAL)EPSILON);
                    exponent = LIFT(exponent, least);
                    exponent = CAP(exponent, most);
                    scale[c] = power_of(exponent);
                }
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

#endif
