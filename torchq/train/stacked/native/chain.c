/* Whole epochs of dense layers and quantizers: each candidate by itself, a few rows at a time, so that nothing
   leaves the nearest caches but the parameters.

   A chain is described by `plan`: LINK_FIELDS numbers for each link, of which LINK_<NAME> says where one stands; they
   are given on the command line, so that build.py is their one home. */

#include <stdlib.h>

#include "formulas.h"
#include "found.h"
#include "products.h"

#define ROWS 64 /* of a batch that go through the chain together */
#define OF(link, name) plan[(link) * LINK_FIELDS + LINK_##name]

/* What a link keeps. Rows are filled up with zeros to whole vectors, `wide` of what is written, `deep` of what is
   read. `reads` and `writes` are the candidate's own; in its row, weights are padded to the widest of the stack. */
typedef struct {
    int64_t reads, writes, deep, wide;
    int64_t apart;   /* rows of weights in the candidate's row */
    const REAL *in;  /* [ROWS, deep] */
    REAL *out;       /* [ROWS, wide] */
    REAL *forward;   /* quantized weights, [reads, wide] */
    REAL *backward;  /* the same, [writes, deep] */
    REAL *bias;      /* quantized [wide] */
    REAL *on_weight; /* gradients: [writes, deep] */
    REAL *on_bias;   /* [wide] */
} Link;

typedef struct {
    const int64_t *plan;
    int64_t links, deepest; /* the first link with parameters: gradients end there */
    Link *link;
    REAL *input;    /* samples, [ROWS, wide] */
    REAL *slope[2]; /* gradients, [ROWS, widest], by turns */
    REAL *row;      /* those of all parameters */
    REAL *zero;     /* [widest] */
    REAL *powers;   /* [classes, ROWS] */
    char *memory;   /* all of these */
} Chain;

static int64_t whole(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

/* The next `count` numbers of the memory at `base`, which may be null while it is measured. */
static REAL *take(char *base, int64_t *used, int64_t count) {
    REAL *found = base ? (REAL *)(base + *used) : NULL;
    *used += whole(count) * (int64_t)sizeof(REAL);
    return found;
}

/* Lay out what a chain keeps; the bytes. What links write: `widths`, or null for the widest of the stack. */
static int64_t laid(Chain *chain, char *base, int64_t parameters, const int64_t *widths) {
    const int64_t *plan = chain->plan;
    int64_t used = 0, widest = whole(OF(0, READS));
    const REAL *in = chain->input = take(base, &used, ROWS * widest);
    chain->deepest = -1;
    for (int64_t l = 0; l < chain->links; l++) {
        Link *link = chain->link + l;
        link->apart = OF(l, READS);
        link->reads = l && widths ? widths[l - 1] : OF(l, READS), link->writes = widths ? widths[l] : OF(l, WRITES);
        link->deep = whole(link->reads), link->wide = whole(link->writes);
        link->in = in;
        in = link->out = take(base, &used, ROWS * link->wide);
        widest = link->wide > widest ? link->wide : widest;
        if (OF(l, WEIGHT) < 0)
            continue;
        if (chain->deepest < 0)
            chain->deepest = l;
        link->forward = take(base, &used, link->reads * link->wide);
        link->backward = take(base, &used, link->writes * link->deep);
        link->bias = take(base, &used, link->wide);
        link->on_weight = take(base, &used, link->writes * link->deep);
        link->on_bias = take(base, &used, link->wide);
    }
    chain->slope[0] = take(base, &used, ROWS * widest);
    chain->slope[1] = take(base, &used, ROWS * widest);
    chain->row = take(base, &used, parameters);
    chain->zero = take(base, &used, widest);
    chain->powers = take(base, &used, ROWS * chain->link[chain->links - 1].writes);
    return used;
}

/* Memory for the widest candidate of a stack; 0 if there is none. */
static int begun(Chain *chain, const int64_t *plan, int64_t links, int64_t parameters) {
    chain->plan = plan, chain->links = links;
    chain->memory = NULL;
    chain->link = calloc((size_t)links, sizeof(Link));
    if (!chain->link)
        return 0;
    const int64_t bytes = laid(chain, NULL, parameters, NULL) + VECTOR_BYTES - 1;
    chain->memory = aligned_alloc(VECTOR_BYTES, (size_t)(bytes / VECTOR_BYTES * VECTOR_BYTES));
    return chain->memory != NULL;
}

/* Make room for a candidate, all zeros. */
static void entered(Chain *chain, int64_t parameters, const int64_t *widths) {
    memset(chain->memory, 0, (size_t)laid(chain, NULL, parameters, widths));
    laid(chain, chain->memory, parameters, widths);
}

static void ended(Chain *chain) {
    free(chain->memory);
    free(chain->link);
}

/* Between [rows, columns], whose rows are `apart`, and [columns, wide]. */
static void turned(const REAL *restrict x, int64_t apart, REAL *restrict out, int64_t rows, int64_t columns,
                   int64_t wide) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[c * wide + r] = x[r * apart + c];
}

static void turned_back(const REAL *restrict x, int64_t wide, REAL *restrict out, int64_t apart, int64_t rows,
                        int64_t columns) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[r * apart + c] = x[c * wide + r];
}

static void masked(REAL *restrict x, const REAL *restrict mask, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        x[i] *= mask[i];
}

/* Quantize the weights of a candidate, as products read them. */
static void prepared(Chain *chain, const REAL *row, const REAL *mask, const REAL *numbers) {
    const int64_t *plan = chain->plan;
    for (int64_t l = 0; l < chain->links; l++) {
        Link *link = chain->link + l;
        const int64_t at = OF(l, WEIGHT), bias = OF(l, BIAS);
        if (at < 0)
            continue;
        const REAL *own = numbers + OF(l, SLOT) * FIELDS;
        if (finds(own)) {
            turned(row + at, link->apart, link->forward, link->writes, link->reads, link->wide);
            found(link->forward, link->reads, link->wide, own);
            turned_back(link->forward, link->wide, link->backward, link->deep, link->writes, link->reads);
        } else
            for (int64_t n = 0; n < link->writes; n++)
                formula(row + at + n * link->apart, link->backward + n * link->deep, link->reads, own);
        for (int64_t n = 0; n < link->writes; n++)
            masked(link->backward + n * link->deep, mask + at + n * link->apart, link->reads);
        turned(link->backward, link->deep, link->forward, link->writes, link->reads, link->wide);
        if (bias >= 0) {
            formula(row + bias, link->bias, link->writes, own + FIELDS);
            masked(link->bias, mask + bias, link->writes);
        }
    }
}

/* The samples of a few rows; `order` says which, null: one after the other. */
static void gathered(Chain *chain, const REAL *x, const int64_t *order, int64_t rows) {
    const int64_t reads = chain->link->reads, wide = chain->link->deep;
    for (int64_t r = 0; r < rows; r++)
        memcpy(chain->input + r * wide, x + (order ? order[r] : r) * reads, (size_t)reads * sizeof(REAL));
}

/* From the input to the logits, which are returned. */
static const REAL *forward(Chain *chain, const REAL *numbers, int64_t rows) {
    const int64_t *plan = chain->plan;
    for (int64_t l = 0; l < chain->links; l++) {
        Link *link = chain->link + l;
        if (OF(l, WEIGHT) < 0)
            formula(link->in, link->out, rows * link->wide, numbers + OF(l, SLOT) * FIELDS);
        else
            multiply(link->in, link->deep, 1, link->forward, link->wide, link->bias, 0, link->out, link->wide, rows,
                     link->reads, link->wide);
    }
    return chain->link[chain->links - 1].out;
}

/* The summed cross entropy of a few rows; where `slope` is given also its gradient times `share`, and where `right`
   is, the right answers are counted. Inside, rows lie side by side: classes are few. */
static double lost(Chain *chain, const REAL *logits, const int64_t *y, const int64_t *order, int64_t rows, REAL share,
                   REAL *slope, double *right) {
    const int64_t classes = chain->link[chain->links - 1].writes, wide = chain->link[chain->links - 1].wide;
    REAL *powers = chain->powers, top[ROWS], total[ROWS] = {0}, scale[ROWS];
    INTEGER best[ROWS] = {0};
    double sum = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < classes; c++)
            powers[c * ROWS + r] = logits[r * wide + c];
    memcpy(top, powers, sizeof top);
    for (int64_t c = 1; c < classes; c++)
        for (int64_t r = 0; r < ROWS; r++) {
            const REAL v = powers[c * ROWS + r];
            const int higher = (v > top[r]) | (v != v);
            best[r] = higher ? (INTEGER)c : best[r];
            top[r] = higher ? v : top[r];
        }
    for (int64_t c = 0; c < classes; c++)
        for (int64_t r = 0; r < ROWS; r++)
            powers[c * ROWS + r] -= top[r];
    for (int64_t r = 0; r < rows; r++) {
        const int64_t label = y[order ? order[r] : r];
        sum -= powers[label * ROWS + r];
        if (right)
            *right += best[r] == label;
    }
    for (int64_t i = 0; i < ROWS * classes; i++)
        powers[i] = EXPONENTIAL(powers[i]);
    for (int64_t c = 0; c < classes; c++)
        for (int64_t r = 0; r < ROWS; r++)
            total[r] += powers[c * ROWS + r];
    for (int64_t r = 0; r < rows; r++)
        sum += LOGARITHM(total[r]);
    if (!slope)
        return sum;
    for (int64_t r = 0; r < ROWS; r++)
        scale[r] = share / total[r];
    for (int64_t c = 0; c < classes; c++)
        for (int64_t r = 0; r < ROWS; r++)
            powers[c * ROWS + r] *= scale[r];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < classes; c++)
            slope[r * wide + c] = powers[c * ROWS + r];
        for (int64_t c = classes; c < wide; c++)
            slope[r * wide + c] = 0;
        slope[r * wide + y[order ? order[r] : r]] -= share;
    }
    return sum;
}

/* From the gradient of the logits in slope[0] to those of the parameters, which are added up. */
static void backward(Chain *chain, const REAL *numbers, int64_t rows) {
    const int64_t *plan = chain->plan;
    const REAL one = 1;
    REAL *slope = chain->slope[0], *other = chain->slope[1];
    for (int64_t l = chain->links - 1; l >= chain->deepest; l--) {
        Link *link = chain->link + l;
        const REAL *own = numbers + OF(l, SLOT) * FIELDS;
        if (OF(l, WEIGHT) < 0) {
            straight(slope, link->in, rows * link->wide, own);
            continue;
        }
        multiply(slope, 1, link->wide, link->in, link->deep, link->on_weight, link->deep, link->on_weight, link->deep,
                 link->writes, rows, link->deep);
        multiply(&one, 0, 0, slope, link->wide, link->on_bias, 0, link->on_bias, 0, 1, rows, link->wide);
        if (l == chain->deepest)
            break;
        multiply(slope, link->wide, 1, link->backward, link->deep, chain->zero, 0, other, link->deep, rows,
                 link->writes, link->deep);
        REAL *made = other;
        other = slope, slope = made;
    }
}

/* The gradients of all parameters in one row, through their quantizers; what was added up begins anew. */
static void collected(Chain *chain, const REAL *row, const REAL *numbers) {
    const int64_t *plan = chain->plan;
    for (int64_t l = 0; l < chain->links; l++) {
        Link *link = chain->link + l;
        const int64_t bias = OF(l, BIAS);
        if (OF(l, WEIGHT) < 0)
            continue;
        const REAL *own = numbers + OF(l, SLOT) * FIELDS;
        for (int64_t n = 0; n < link->writes; n++) {
            const int64_t at = OF(l, WEIGHT) + n * link->apart;
            memcpy(chain->row + at, link->on_weight + n * link->deep, (size_t)link->reads * sizeof(REAL));
            straight(chain->row + at, row + at, link->reads, own);
        }
        memset(link->on_weight, 0, (size_t)(link->writes * link->deep) * sizeof(REAL));
        if (bias >= 0) {
            memcpy(chain->row + bias, link->on_bias, (size_t)link->writes * sizeof(REAL));
            straight(chain->row + bias, row + bias, link->writes, own + FIELDS);
        }
        memset(link->on_bias, 0, (size_t)link->wide * sizeof(REAL));
    }
}

/* Training steps of the candidates from `first` to `last`; 1 if there is no memory.

   widths: [candidates, links], what each link of a candidate writes; x: [samples, features]; y: [samples];
   order: [steps, candidates, rows]; counts: [steps], the rows that count; pace: [steps, paces], see program.py;
   lr: [candidates]; rows, moments and masks: [candidates, parameters]; numbers: [candidates, quantizers, fields];
   losses: [candidates], the summed cross entropy is added. */
int learn(const int64_t *plan, int64_t links, const int64_t *widths, const REAL *x, const int64_t *y,
          const int64_t *order, const int64_t *counts, const REAL *pace, int64_t paces, int64_t steps,
          int64_t candidates, int64_t rows,
          const REAL *lr, REAL *parameters, REAL *one, REAL *two, const REAL *masks, const REAL *numbers,
          int64_t parameter_count, int64_t quantizers, double *losses, int64_t first, int64_t last) {
    Chain chain;
    const int there = begun(&chain, plan, links, parameter_count);
    for (int64_t k = first; there && k < last; k++) {
        entered(&chain, parameter_count, widths + k * links);
        const REAL *own = numbers + k * quantizers * FIELDS, *mask = masks + k * parameter_count;
        REAL *row = parameters + k * parameter_count;
        for (int64_t s = 0; s < steps; s++) {
            const REAL *now = pace + s * paces, share = (REAL)1 / (REAL)counts[s];
            prepared(&chain, row, mask, own);
            for (int64_t at = 0; at < counts[s]; at += ROWS) {
                const int64_t *picked = order + (s * candidates + k) * rows + at;
                const int64_t count = counts[s] - at < ROWS ? counts[s] - at : ROWS;
                gathered(&chain, x, picked, count);
                const REAL *logits = forward(&chain, own, count);
                losses[k] += lost(&chain, logits, y, picked, count, share, chain.slope[0], NULL);
                backward(&chain, own, count);
            }
            collected(&chain, row, own);
            adamw(row, one + k * parameter_count, two + k * parameter_count, chain.row, mask, parameter_count, lr[k],
                  now[1], now[2], now[3]);
        }
    }
    ended(&chain);
    return !there;
}

/* Summed cross entropy and right answers of the candidates on `count` samples; 1 if there is no memory. */
int judge(const int64_t *plan, int64_t links, const int64_t *widths, const REAL *x, const int64_t *y, int64_t count,
          const REAL *parameters, const REAL *masks, const REAL *numbers, int64_t parameter_count, int64_t quantizers,
          double *losses,
          double *right, int64_t first, int64_t last) {
    Chain chain;
    const int there = begun(&chain, plan, links, parameter_count);
    for (int64_t k = first; there && k < last; k++) {
        entered(&chain, parameter_count, widths + k * links);
        const REAL *own = numbers + k * quantizers * FIELDS;
        losses[k] = right[k] = 0;
        prepared(&chain, parameters + k * parameter_count, masks + k * parameter_count, own);
        for (int64_t at = 0; at < count; at += ROWS) {
            const int64_t rows = count - at < ROWS ? count - at : ROWS;
            gathered(&chain, x + at * chain.link->reads, NULL, rows);
            const REAL *logits = forward(&chain, own, rows);
            losses[k] += lost(&chain, logits, y + at, NULL, rows, 1, NULL, right + k);
        }
    }
    ended(&chain);
    return !there;
}
