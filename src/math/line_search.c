#include "math/line_search.h"

#include <math.h>

enum { LINE_CALLS = 60 };

static const double LINE_DECREASE = 1e-4, LINE_CURVATURE = 0.9;
static const double LINE_NOISE = 1e-13; /* relative rounding error of a value */

typedef struct line_point {
    double step, value, slope;
} line_point;

bool tw_line_decreases(double value, double slope, double step, double reached, double reached_slope)
{
    if (!isfinite(reached) || !isfinite(reached_slope))
        return false;
    if (reached <= value + LINE_DECREASE * step * slope)
        return true;
    return fabs(reached - value) <= LINE_NOISE * fabs(value) && reached_slope <= (2.0 * LINE_DECREASE - 1.0) * slope;
}

/* The next step while nothing bounds the bracket above: where the slope would be 0 if it were linear in t. */
static double line_extend(const line_point *start, const line_point *low)
{
    double wanted = low->step * start->slope / (start->slope - low->slope);
    if (!(wanted > 2.0 * low->step))
        return 2.0 * low->step;
    return wanted < 10.0 * low->step ? wanted : 10.0 * low->step;
}

static double line_cut(const line_point *low, const line_point *high, bool is_slow)
{
    double width = high->step - low->step;
    if (!isfinite(high->value) || !isfinite(high->slope))
        return low->step + 0.1 * width;
    if (is_slow || high->slope <= 0.0)
        return low->step + 0.5 * width;
    double part = low->slope / (low->slope - high->slope);
    return low->step + width * (part < 0.1 ? 0.1 : part > 0.9 ? 0.9 : part);
}

bool tw_line_search(const tw_line *line, double value, double slope, double *step, double *reached)
{
    const line_point start = {0.0, value, slope};
    line_point low = start, high = {.step = INFINITY}, at = {.step = *step};
    double width = INFINITY;
    for (int call = 0; call < LINE_CALLS; call++) {
        at.value = line->evaluate(line->context, at.step, &at.slope);
        bool is_low = tw_line_decreases(value, slope, at.step, at.value, at.slope);
        if (is_low && fabs(at.slope) <= LINE_CURVATURE * -slope) {
            *step = at.step;
            *reached = at.value;
            return true;
        }
        /* A step that is accepted lies between one that goes down steeply and one that is too high or goes up. */
        if (is_low && at.slope < 0.0)
            low = at;
        else
            high = at;
        double before = width;
        width = high.step - low.step;
        if (isinf(high.step)) {
            at.step = line_extend(&start, &low);
            continue;
        }
        if (width <= 1e-15 * high.step)
            return false;
        at.step = line_cut(&low, &high, width > 0.5 * before);
    }
    return false;
}
