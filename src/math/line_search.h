/* line_search.h: a step along a line that meets the strong Wolfe conditions, for smooth functions.
 * No state of its own: any thread. */
#ifndef TW_MATH_LINE_SEARCH_H
#define TW_MATH_LINE_SEARCH_H

#include <stdbool.h>

/* The function on the line: its value at step t >= 0, and its slope there by t. May give values that are not finite. */
typedef struct tw_line {
    void *context;
    double (*evaluate)(void *context, double step, double *slope);
} tw_line;

/* Searches from `value` and `slope` < 0 at step 0, first trying `step`. True with *step and *reached set: the point
 * meets f(t) <= f(0) + 1e-4 t f'(0)  and  |f'(t)| <= 0.9 |f'(0)| (Nocedal and Wright, Numerical Optimization, 2nd
 * ed., 3.7; 0.9 is their value for quasi-Newton methods). Where values are equal but for rounding, slopes take the
 * place of the first condition: f'(t) <= (1 - 2e-4) |f'(0)| (Hager and Zhang, SIAM J. Optim. 16, 2005, "approximate
 * Wolfe"). A bracket is cut at the secant of its slopes, or in halves. `evaluate` was last called at the step that is
 * accepted. False: no such step in 60 calls. */
bool tw_line_search(const tw_line *line, double value, double slope, double *step, double *reached);

/* The first condition at step t, in either form. For searches that only go back. */
bool tw_line_decreases(double value, double slope, double step, double reached, double reached_slope);

#endif
