/* click.h: one drawn click event, shared by the kinds that write it as JSON lines and as VW text.
 *
 * The planted model: P(click) = sigmoid(-1.9 + user + ad + site + sum of cat + hour + (site, ad) - 0.35 log(price)),
 * each weight a bell-shaped number that belongs to its value. Popular values come more often: the chance of id i is
 * about 1 / (i + 1). */
#ifndef TW_GENERATORS_CLICK_H
#define TW_GENERATORS_CLICK_H

#include "generators/generator.h"

enum { TW_CLICK_USERS = 5000, TW_CLICK_ADS = 800, TW_CLICK_SITES = 200, TW_CLICK_TOPICS = 24, TW_CLICK_MAX_TOPICS = 3 };

typedef struct tw_click {
    int64_t time_ms;
    uint32_t user, ad, site, hour;
    uint32_t n_topics, topic[TW_CLICK_MAX_TOPICS]; /* different from each other */
    int64_t price_cents;
    double probability; /* of a click under the planted model */
    bool is_clicked;
} tw_click;

void tw_click_draw(const tw_generator_settings *settings, uint64_t index, tw_click *out);

/* The word of a topic, "sport". */
const char *tw_click_topic(uint32_t topic);

#endif
