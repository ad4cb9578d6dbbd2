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

#define REAL float
#define INTEGER int32_t
#define NAME(x) x##_float32
#define ROUND rintf
#define ABSOLUTE fabsf
#define ROOT sqrtf
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
#undef DIGITS
#undef OFFSET
#undef SQRT2_MANTISSA

#define REAL double
#define INTEGER int64_t
#define NAME(x) x##_float64
#define ROUND rint
#define ABSOLUTE fabs
#define ROOT sqrt
#define DIGITS 52
#define OFFSET 1023
#define SQRT2_MANTISSA 0x6A09E667F3BCC
#include "typed.h"
