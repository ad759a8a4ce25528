/* trust_region.h: the step of a trust-region Newton method: conjugate gradients for the quadratic model, stopped at the
 * region's border (Steihaug, SIAM J. Numer. Anal. 20, 1983; Nocedal and Wright, algorithm 7.2), preconditioned by the
 * Hessian's diagonal M, which also shapes the region: |s|_M = sqrt(sum M_j s_j^2) <= radius.
 * No state of its own: any thread. */
#ifndef TW_MATH_TRUST_REGION_H
#define TW_MATH_TRUST_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tw_quadratic {
    size_t n;
    const double *gradient, *diagonal; /* [n]; diagonal > 0 */
    void *context;
    void (*product)(void *context, const double *direction, double *product); /* H direction, H positive semidefinite */
} tw_quadratic;

typedef struct tw_trust_step {
    double decrease; /* of the model: -(g's + s'Hs / 2) >= 0 */
    double length;   /* |s|_M */
    bool is_at_border;
    uint32_t products; /* calls of `product` */
} tw_trust_step;

/* Minimizes g's + s'Hs / 2 over |s|_M <= radius until the residual g + Hs has at most `part` of g's size, both in the
 * norm sqrt(sum v_j^2 / M_j), or after n + 50 products. step [n]; work [4 n] is scratch. */
tw_trust_step tw_trust_solve(const tw_quadratic *quadratic, double radius, double part, double *step, double *work);

#endif
