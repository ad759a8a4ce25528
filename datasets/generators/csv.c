/* csv: a table of customers with a header: numbers, words, missing values (empty fields), a quoted field with a comma
 * in it, and the binary label "left". The planted model is linear in age, income, tenure and calls, with a weight for
 * every plan, region and channel. */
#include "generators/kinds.h"
#include "generators/random.h"

enum { N_PLANS = 4, N_REGIONS = 8, N_CHANNELS = 3 };
enum { FIELD_PLAN = 1, FIELD_REGION, FIELD_CHANNEL, PURPOSE_EVENT };

static const char *const PLANS[N_PLANS] = {"basic", "plus", "\"family, yearly\"", "business"};
static const char *const REGIONS[N_REGIONS] = {"north", "south", "east", "west", "coast", "hills", "city", "islands"};
static const char *const CHANNELS[N_CHANNELS] = {"web", "shop", "phone"};

/* `scaled` with `decimals`, or nothing for a missing value; a comma behind. */
static void csv_add_number(tw_line *line, bool is_missing, int64_t scaled, unsigned decimals)
{
    if (!is_missing) {
        tw_line_add_fixed(line, scaled, decimals);
    }
    tw_line_add(line, ",");
}

static void csv_add_word(tw_line *line, const char *word)
{
    tw_line_add(line, word);
    tw_line_add(line, ",");
}

static void csv_write(const tw_generator_settings *settings, uint64_t index, tw_line *line)
{
    tw_random random = tw_random_of(settings->seed, PURPOSE_EVENT, index);
    uint64_t epoch = settings->drift_every ? index / settings->drift_every : 0;
    double age = tw_random_bell(&random), income = tw_random_bell(&random), tenure = tw_random_uniform(&random);
    uint32_t calls = tw_random_popular(&random, 12);
    uint32_t plan = tw_random_below(&random, N_PLANS), region = tw_random_popular(&random, N_REGIONS);
    uint32_t channel = tw_random_below(&random, N_CHANNELS);
    bool no_age = tw_random_uniform(&random) < 0.05, no_income = tw_random_uniform(&random) < 0.1;
    bool no_region = tw_random_uniform(&random) < 0.03;
    double margin = -2.3 - 0.5 * age * !no_age - 0.6 * income * !no_income - 1.8 * (tenure - 0.5) + 0.22 * calls;
    margin += 0.7 * tw_bell_of(settings->seed + epoch, FIELD_PLAN, plan);
    margin += no_region ? 0 : 0.6 * tw_bell_of(settings->seed + epoch, FIELD_REGION, region);
    margin += 0.4 * tw_bell_of(settings->seed + epoch, FIELD_CHANNEL, channel);
    tw_line_add(line, "c");
    tw_line_add_int(line, (int64_t)index + 1);
    tw_line_add(line, ",");
    csv_add_number(line, no_age, (int64_t)(44 + 12 * age), 0);
    csv_add_number(line, no_income, (int64_t)(3200000 * tw_generator_exp(0.45 * income)), 2);
    csv_add_number(line, false, (int64_t)(tenure * 1200), 1);
    csv_add_number(line, false, calls, 0);
    csv_add_word(line, PLANS[plan]);
    csv_add_word(line, no_region ? "" : REGIONS[region]);
    csv_add_word(line, CHANNELS[channel]);
    tw_line_add(line, tw_random_uniform(&random) < tw_generator_sigmoid(margin) ? "1\n" : "0\n");
}

const tw_generator_ops tw_generator_csv = {
    .kind = {"csv", "table of customers with a header, missing values and a binary label", "csv"},
    .header = "customer,age,income,tenure,calls,plan,region,channel,left\n",
    .write = csv_write,
};
