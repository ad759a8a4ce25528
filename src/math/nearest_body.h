/* nearest_body.h: the search for the nearest centre; included by kernels.c once for each instruction set, with
 * TW_TARGET and TW_NAME defined: the compiler cuts vectors to the registers of the function that they first appear in,
 * so this cannot be inlined from a common one. No include guard. */
TW_TARGET TW_INLINE tw_tail TW_NAME(tail)(const float *x, size_t d)
{
    tw_tail tail;
    float value[TW_LANES] = {0};
    int32_t mask[TW_LANES] = {0};
    size_t whole = d - d % TW_LANES;
    for (size_t i = whole; i < d; i++) {
        value[i - whole] = x[i];
        mask[i - whole] = -1;
    }
    memcpy(&tail.low, value, sizeof tail.low);
    memcpy(&tail.high, value + 8, sizeof tail.high);
    memcpy(&tail.low_mask, mask, sizeof tail.low_mask);
    memcpy(&tail.high_mask, mask + 8, sizeof tail.high_mask);
    return tail;
}

TW_TARGET TW_INLINE tw_lanes4 TW_NAME(fold)(const tw_lanes8 *at)
{
    tw_lanes8 v = *at;
    return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

/* The end of tw_tree_sum of TW_GROUP sums at once; transposed, so that its last two levels are three additions. */
TW_TARGET TW_INLINE tw_lanes4 TW_NAME(tree_sums)(const tw_lanes8 *v)
{
    tw_lanes4 q0 = TW_NAME(fold)(v + 0), q1 = TW_NAME(fold)(v + 1), q2 = TW_NAME(fold)(v + 2),
              q3 = TW_NAME(fold)(v + 3);
    tw_lanes4 a = __builtin_shufflevector(q0, q1, 0, 4, 1, 5), b = __builtin_shufflevector(q2, q3, 0, 4, 1, 5);
    tw_lanes4 c = __builtin_shufflevector(q0, q1, 2, 6, 3, 7), d = __builtin_shufflevector(q2, q3, 2, 6, 3, 7);
    tw_lanes4 even = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(c, d, 0, 1, 4, 5);
    tw_lanes4 odd = __builtin_shufflevector(a, b, 2, 3, 6, 7) + __builtin_shufflevector(c, d, 2, 3, 6, 7);
    return even + odd;
}

/* Adds the squares of x less c, in all lanes or where the mask has bits. */
TW_TARGET TW_INLINE void TW_NAME(square)(
    tw_lanes8 *low, tw_lanes8 *high, const float *restrict c, const tw_tail *x, bool is_masked)
{
    tw_lanes8 a, b;
    memcpy(&a, c, sizeof a);
    memcpy(&b, c + 8, sizeof b);
    a = x->low - a;
    b = x->high - b;
    if (is_masked) {
        a = (tw_lanes8)((tw_flags8)a & x->low_mask);
        b = (tw_lanes8)((tw_flags8)b & x->high_mask);
    }
    *low += a * a;
    *high += b * b;
}

/* Distances of TW_GROUP centres, side by side so that their sums do not wait for each other. The bits are those of
 * body_distance. Reads all TW_LANES floats at a centre's tail: another centre must follow the group. */
TW_TARGET TW_INLINE tw_lanes4 TW_NAME(distances)(
    const float *restrict x, const tw_tail *tail, const float *restrict c, size_t stride, size_t d)
{
    tw_lanes8 l0 = {0}, l1 = {0}, l2 = {0}, l3 = {0}, h0 = {0}, h1 = {0}, h2 = {0}, h3 = {0};
    tw_tail at = {.low = {0}};
    size_t whole = d - d % TW_LANES;
    for (size_t i = 0; i < whole; i += TW_LANES) {
        memcpy(&at.low, x + i, sizeof at.low);
        memcpy(&at.high, x + i + 8, sizeof at.high);
        TW_NAME(square)(&l0, &h0, c + i, &at, false);
        TW_NAME(square)(&l1, &h1, c + stride + i, &at, false);
        TW_NAME(square)(&l2, &h2, c + 2 * stride + i, &at, false);
        TW_NAME(square)(&l3, &h3, c + 3 * stride + i, &at, false);
    }
    if (whole < d) {
        c += whole;
        TW_NAME(square)(&l0, &h0, c, tail, true);
        TW_NAME(square)(&l1, &h1, c + stride, tail, true);
        TW_NAME(square)(&l2, &h2, c + 2 * stride, tail, true);
        TW_NAME(square)(&l3, &h3, c + 3 * stride, tail, true);
    }
    const tw_lanes8 sum[TW_GROUP] = {l0 + h0, l1 + h1, l2 + h2, l3 + h3};
    return TW_NAME(tree_sums)(sum);
}

/* Groups that hold no nearer centre, nearly all, cost one comparison. */
TW_TARGET static uint32_t TW_NAME(nearest)(
    const float *x, const float *centres, size_t stride, uint32_t count, size_t width, float *distance)
{
    uint32_t best = 0, i = 0;
    float least = INFINITY, other[TW_GROUP];
    bool is_grouped = width > 2 && count > TW_GROUP && stride + width >= TW_LANES;
    tw_tail tail = TW_NAME(tail)(x, is_grouped ? width : 0);
    for (; is_grouped && i + TW_GROUP < count; i += TW_GROUP) {
        tw_lanes4 total = TW_NAME(distances)(x, &tail, centres + i * stride, stride, width);
        tw_flags4 is_less = total < (tw_lanes4){least, least, least, least};
        uint64_t flags[2];
        memcpy(flags, &is_less, sizeof flags);
        if (!(flags[0] | flags[1])) {
            continue;
        }
        memcpy(other, &total, sizeof other);
        for (uint32_t g = 0; g < TW_GROUP; g++) {
            best = other[g] < least ? i + g : best;
            least = other[g] < least ? other[g] : least;
        }
    }
    for (; i < count; i++) {
        other[0] = body_distance(x, centres + i * stride, width);
        best = other[0] < least ? i : best;
        least = other[0] < least ? other[0] : least;
    }
    *distance = least;
    return best;
}
