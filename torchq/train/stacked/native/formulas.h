/* What kernels.c and chain.c compute with: the formulas of torchq/train/stacked/formulas.py and AdamW.

   Compiled for floats of REAL_BITS bits. FIELD_<NAME> says where a number of a quantizer stands in its row, STAIR,
   STEPS, PO2 and PLAIN which formula is which; they are given on the command line, so that numbers.py is their one
   home. Everything is written so that a NaN stays one, as in torch. */

#ifndef TORCHQ_FORMULAS
#define TORCHQ_FORMULAS

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "products.h"

#define TILE 2048 /* values that stay in the nearest cache */

#if REAL_BITS == 32
/* e^x of a float from -87 to 0 (below: that of -87) to 2 units in the last place, written so that a compiler makes
   it many at once: 2^n e^r with |r| <= log(2) / 2, and e^r by its Taylor series. A NaN stays one. */
static inline float quick_exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float n = x != x ? 0.0f : rintf(x * 1.44269504f);
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

#define INTEGER int32_t
#define ROUND rintf
#define ABSOLUTE fabsf
#define FLOOR floorf
#define ROOT sqrtf
#define LOGARITHM logf
#define TANH tanhf
#define EXPONENTIAL quick_exponential
#define DIGITS 23
#define OFFSET 127
#define SQRT2_MANTISSA 0x3504F3
#else
#define INTEGER int64_t
#define ROUND rint
#define ABSOLUTE fabs
#define FLOOR floor
#define ROOT sqrt
#define LOGARITHM log
#define TANH tanh
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

/* The exponent of the power of two that is nearest to a normal number in its logarithm; from the bits of the float, as
   the logarithm of a float is not exact. */
static inline REAL exponent_of(REAL size) {
    const INTEGER mantissa = ((INTEGER)1 << DIGITS) - 1;
    INTEGER bits;
    memcpy(&bits, &size, sizeof bits);
    return (REAL)((bits >> DIGITS) - OFFSET + ((bits & mantissa) > SQRT2_MANTISSA));
}

static inline REAL power_of(REAL exponent) {
    const INTEGER bits = (INTEGER)(((INTEGER)exponent + OFFSET) << DIGITS);
    REAL power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

static void powers(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], low = numbers[FIELD_LOW], high = numbers[FIELD_HIGH];
    for (int64_t i = 0; i < count; i++) {
        REAL v = LIFT(x[i], least), size = ABSOLUTE(v), code = exponent_of(size);
        code = size < (REAL)EPSILON ? low : code;
        code = LIFT(code, low);
        code = CAP(code, high);
        REAL power = power_of(code);
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

/* The straight-through gradient, in place: nothing passes at `first` and below, at `last` and above. */
static void gate(REAL *restrict slope, const REAL *restrict x, int64_t count, const REAL *numbers) {
    const REAL below = numbers[FIELD_FIRST], above = numbers[FIELD_LAST];
    for (int64_t i = 0; i < count; i++) {
        REAL kept = x[i] > below ? slope[i] : (REAL)0;
        slope[i] = x[i] < above ? kept : (REAL)0;
    }
}

/* The same where the gradient may also be that of tanh; nothing is done where all passes. */
static void straight(REAL *restrict slope, const REAL *restrict x, int64_t count, const REAL *numbers) {
    if (numbers[FIELD_TANH] != 0)
        for (int64_t i = 0; i < count; i++) {
            const REAL curve = TANH(LIFT(x[i], numbers[FIELD_LEAST]));
            slope[i] *= 1 - curve * curve;
        }
    if (numbers[FIELD_FIRST] != -(REAL)INFINITY || numbers[FIELD_LAST] != (REAL)INFINITY)
        gate(slope, x, count, numbers);
}

/* AdamW (arXiv:1711.05101) as program.py has it, on one candidate's parameters and moments. */
static void adamw(REAL *restrict row, REAL *restrict one, REAL *restrict two, const REAL *restrict slope,
                  const REAL *restrict mask, int64_t count, REAL lr, REAL scale, REAL decay, REAL root) {
    const REAL pull = (REAL)(1 - BETA_1), kept = (REAL)BETA_2, push = (REAL)(1 - BETA_2);
    const REAL shrink = 1 - lr * decay, step = lr * scale;
    for (int64_t i = 0; i < count; i++) {
        const REAL g = slope[i];
        const REAL m = one[i] + pull * (g - one[i]);
        const REAL v = kept * two[i] + push * g * g;
        one[i] = m;
        two[i] = v;
        row[i] = (row[i] * shrink - step * m / (ROOT(v) * root + (REAL)ADAM_EPSILON)) * mask[i];
    }
}

#endif
