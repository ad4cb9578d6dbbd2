/* The formulas of torchq/train/stacked/formulas.py and Adam, in one walk over the values each.

   Compiled when the first stack is trained. FIELD_<NAME> says where a number of a quantizer stands in its
   row, STAIR, STEPS, PO2 and PLAIN which formula is which; both are given on the command line, so that
   numbers.py is their one home. Everything is written so that a NaN stays one, as in torch. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TILE 2048 /* values that stay in the nearest cache */
#define STRIP 128 /* columns whose sums are taken together */
#define BLOCK 128 /* rows whose sums are taken before they are added to the others */

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
#define NAME(x) x##_float32
#define ROUND rintf
#define ABSOLUTE fabsf
#define ROOT sqrtf
#define LOGARITHM logf
#define EXPONENTIAL quick_exponential
#define DIGITS 23
#define OFFSET 127
#define SQRT2_MANTISSA 0x3504F3
#include "typed.h"
#undef REAL
#undef INTEGER
#undef NAME
#undef ROUND
#undef ABSOLUTE
#undef ROOT
#undef LOGARITHM
#undef EXPONENTIAL
#undef DIGITS
#undef OFFSET
#undef SQRT2_MANTISSA

#define REAL double
#define INTEGER int64_t
#define NAME(x) x##_float64
#define ROUND rint
#define ABSOLUTE fabs
#define ROOT sqrt
#define LOGARITHM log
#define EXPONENTIAL exp
#define DIGITS 52
#define OFFSET 1023
#define SQRT2_MANTISSA 0x6A09E667F3BCC
#include "typed.h"
