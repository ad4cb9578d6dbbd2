/* The kernels for one floating-point type. Included by kernels.c, once for each. */

/* Largest and smallest of two numbers; a NaN in the first stays. */
#define NAME_LIFT(v, bound) ((v) < (bound) ? (bound) : (v))
#define NAME_CAP(v, bound) ((v) > (bound) ? (bound) : (v))

static void NAME(stair)(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], inverse = numbers[FIELD_INVERSE], worth = numbers[FIELD_WORTH];
    const REAL low = numbers[FIELD_LOW], high = numbers[FIELD_HIGH];
    for (int64_t i = 0; i < count; i++) {
        REAL v = NAME_LIFT(x[i], least);
        REAL code = ROUND(v * inverse);
        code = NAME_LIFT(code, low);
        code = NAME_CAP(code, high);
        out[i] = code * worth + (REAL)0;
    }
}

static void NAME(steps)(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], worth = numbers[FIELD_WORTH];
    const REAL upper = numbers[FIELD_UPPER], lower = numbers[FIELD_LOWER];
    for (int64_t i = 0; i < count; i++) {
        REAL v = NAME_LIFT(x[i], least);
        REAL made = v < lower ? -worth : (REAL)0;
        made = v >= upper ? worth : made;
        out[i] = v != v ? v : made;
    }
}

/* From the bits of the float, as the logarithm of a float is not exact. */
static void NAME(powers)(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST], low = numbers[FIELD_LOW], high = numbers[FIELD_HIGH];
    const INTEGER mantissa = ((INTEGER)1 << DIGITS) - 1;
    for (int64_t i = 0; i < count; i++) {
        REAL v = NAME_LIFT(x[i], least);
        REAL size = ABSOLUTE(v), power;
        INTEGER bits;
        memcpy(&bits, &size, sizeof bits);
        REAL code = (REAL)((bits >> DIGITS) - OFFSET + ((bits & mantissa) > SQRT2_MANTISSA));
        code = size < (REAL)EPSILON ? low : code;
        code = NAME_LIFT(code, low);
        code = NAME_CAP(code, high);
        bits = (INTEGER)(((INTEGER)code + OFFSET) << DIGITS);
        memcpy(&power, &bits, sizeof power);
        power = v < 0 ? -power : power;
        out[i] = v != v ? v : power;
    }
}

static void NAME(plain)(const REAL *restrict x, REAL *restrict out, int64_t count, const REAL *numbers) {
    const REAL least = numbers[FIELD_LEAST];
    for (int64_t i = 0; i < count; i++)
        out[i] = NAME_LIFT(x[i], least);
}

static void NAME(formula)(const REAL *x, REAL *out, int64_t count, const REAL *numbers) {
    const int formula = (int)numbers[FIELD_FORMULA];
    if (formula == STAIR)
        NAME(stair)(x, out, count, numbers);
    else if (formula == STEPS)
        NAME(steps)(x, out, count, numbers);
    else if (formula == PO2)
        NAME(powers)(x, out, count, numbers);
    else
        NAME(plain)(x, out, count, numbers);
}

/* Quantized values, from `first` to `last` candidate.

   x: [candidates, count], or one that stands for all (stride 0); out: [candidates, count];
   numbers: [candidates, fields] with their stride; mask: null, or 1 where a value is, with its stride. */
void NAME(values)(const REAL *x, int64_t stride, REAL *out, int64_t count, const REAL *numbers,
                  int64_t numbers_stride, const REAL *mask, int64_t mask_stride, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
        REAL *to = out + k * count;
        NAME(formula)(x + k * stride, to, count, numbers + k * numbers_stride);
        if (mask) {
            const REAL *keep = mask + k * mask_stride;
            for (int64_t i = 0; i < count; i++)
                to[i] *= keep[i];
        }
    }
}

/* Quantized values of sums: offsets, one for each column, are added to x in place before.

   x and out: [candidates, rows, columns]; offset: [candidates, columns]. */
void NAME(shifted)(REAL *restrict x, const REAL *restrict offset, REAL *out, int64_t rows, int64_t columns,
                   const REAL *numbers, int64_t numbers_stride, int64_t first, int64_t last) {
    const int64_t tile = columns < TILE ? TILE / columns : 1; /* rows that stay in the nearest cache */
    for (int64_t k = first; k < last; k++) {
        const REAL *add = offset + k * columns, *row = numbers + k * numbers_stride;
        for (int64_t at = 0; at < rows; at += tile) {
            const int64_t end = at + tile < rows ? at + tile : rows, from = (k * rows + at) * columns;
            for (int64_t r = at; r < end; r++) {
                REAL *sum = x + (k * rows + r) * columns;
                for (int64_t c = 0; c < columns; c++)
                    sum[c] += add[c];
            }
            NAME(formula)(x + from, out + from, (end - at) * columns, row);
        }
    }
}

/* The straight-through gradient, in place: nothing passes at `first` and below, at `last` and above. */
void NAME(passed)(REAL *restrict gradient, const REAL *restrict x, int64_t stride, int64_t count,
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

/* AdamW (arXiv:1711.05101) as program.py has it; rows, moments and masks are [candidates, count]. */
void NAME(adam)(REAL *restrict rows, REAL *restrict one, REAL *restrict two, const REAL *restrict slope,
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

#undef NAME_LIFT
#undef NAME_CAP
