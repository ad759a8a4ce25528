#include "generators/click.h"

#include "base/hash.h"
#include "generators/random.h"

enum { FIELD_USER = 1, FIELD_AD, FIELD_SITE, FIELD_TOPIC, FIELD_HOUR, FIELD_SITE_AD, FIELD_EVENT };

static const char *const TOPICS[TW_CLICK_TOPICS] = {"news", "sport", "music", "film", "food", "travel", "cars", "games",
    "health", "money", "work", "home", "garden", "books", "art", "science", "nature", "fashion", "pets", "children",
    "politics", "weather", "tools", "phones"};

const char *tw_click_topic(uint32_t topic)
{
    return TOPICS[topic % TW_CLICK_TOPICS];
}

/* The weight of a value. Under drift, a tenth of the values gets a new weight with every epoch. */
static double click_weight(const tw_generator_settings *settings, uint64_t field, uint64_t value, uint64_t epoch)
{
    uint64_t group = tw_mix64(settings->seed ^ tw_mix64(field << 40 ^ value)) % 10;
    uint64_t turns = epoch < group ? 0 : (epoch - group) / 10 + (group > 0 || epoch > 0);
    return tw_bell_of(settings->seed ^ field << 56, turns, value);
}

static void click_draw_topics(tw_random *random, tw_click *out)
{
    uint32_t wanted = 1 + tw_random_below(random, TW_CLICK_MAX_TOPICS);
    out->n_topics = 0;
    while (out->n_topics < wanted) {
        uint32_t topic = tw_random_popular(random, TW_CLICK_TOPICS);
        bool is_new = true;
        for (uint32_t i = 0; i < out->n_topics; i++) {
            is_new = is_new && out->topic[i] != topic;
        }
        if (is_new) {
            out->topic[out->n_topics++] = topic;
        }
    }
}

static double click_margin(
    const tw_generator_settings *settings, const tw_click *click, uint64_t epoch, double log_price)
{
    uint64_t pair = (uint64_t)click->site << 32 | click->ad;
    double sum = -1.9 - 0.35 * log_price;
    sum += 0.6 * click_weight(settings, FIELD_USER, click->user, epoch);
    sum += 0.9 * click_weight(settings, FIELD_AD, click->ad, epoch);
    sum += 0.7 * click_weight(settings, FIELD_SITE, click->site, epoch);
    sum += 0.3 * click_weight(settings, FIELD_HOUR, click->hour, epoch);
    sum += 0.4 * click_weight(settings, FIELD_SITE_AD, pair, epoch);
    for (uint32_t i = 0; i < click->n_topics; i++) {
        sum += 0.4 * click_weight(settings, FIELD_TOPIC, click->topic[i], epoch);
    }
    return sum;
}

void tw_click_draw(const tw_generator_settings *settings, uint64_t index, tw_click *out)
{
    tw_random random = tw_random_of(settings->seed, FIELD_EVENT, index);
    out->time_ms =
        settings->start_ms + (int64_t)(index * settings->step_ms + tw_random_below(&random, settings->step_ms));
    out->hour = (uint32_t)(((out->time_ms / 3600000) % 24 + 24) % 24);
    out->user = tw_random_popular(&random, TW_CLICK_USERS);
    out->ad = tw_random_popular(&random, TW_CLICK_ADS);
    out->site = tw_random_popular(&random, TW_CLICK_SITES);
    click_draw_topics(&random, out);
    double log_price = 0.8 * tw_random_bell(&random);
    out->price_cents = (int64_t)(100 * tw_generator_exp(log_price)) + 1;
    uint64_t epoch = settings->drift_every ? index / settings->drift_every : 0;
    out->probability = tw_generator_sigmoid(click_margin(settings, out, epoch, log_price));
    out->is_clicked = tw_random_uniform(&random) < out->probability;
}
