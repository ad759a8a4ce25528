/* sensors: readings of machines that move between five hidden states, one JSON object a line. A machine stays in a
 * state for STRETCH of its readings; a reading is its state's centre plus bell-shaped noise. The field "state" tells
 * the planted state and is not meant as a feature. Under drift, the centres move once every `drift_every` events. */
#include "generators/kinds.h"
#include "generators/random.h"

enum { MACHINES = 12, STATES = 5, STRETCH = 40, CHANNELS = 4 };
enum { PURPOSE_STATE = 1, PURPOSE_READING, PURPOSE_CENTRE = 16 };

typedef struct channel {
    const char *name;
    double low, high, noise;
    unsigned decimals;
} channel;

static const channel CHANNEL[CHANNELS] = {
    {"temp", 35, 95, 1.6, 2},
    {"vibration", 0.2, 4.2, 0.11, 3},
    {"current", 4, 28, 0.7, 2},
    {"pressure", 1, 9, 0.2, 3},
};

/* Centres of one channel lie on STATES evenly spaced levels in an order of the channel's own, so that states never
 * meet. */
static double sensors_centre(const tw_generator_settings *settings, unsigned at, uint32_t state, uint64_t epoch)
{
    static const uint32_t STRIDE[CHANNELS] = {1, 2, 3, 4};
    tw_random random = tw_random_of(settings->seed, PURPOSE_CENTRE + at, epoch);
    uint32_t level = (state * STRIDE[at] + tw_random_below(&random, STATES)) % STATES;
    double part = ((double)level + 0.5 + 0.2 * tw_random_bell(&random) / 5) / STATES;
    return CHANNEL[at].low + (CHANNEL[at].high - CHANNEL[at].low) * part;
}

static void sensors_write(const tw_generator_settings *settings, uint64_t index, tw_line *line)
{
    static const int64_t POWER[] = {1, 10, 100, 1000};
    uint64_t machine = index % MACHINES, stretch = index / MACHINES / STRETCH;
    uint64_t epoch = settings->drift_every ? index / settings->drift_every : 0;
    tw_random mode = tw_random_of(settings->seed, PURPOSE_STATE, stretch * MACHINES + machine);
    uint32_t state = tw_random_below(&mode, STATES);
    tw_random random = tw_random_of(settings->seed, PURPOSE_READING, index);
    tw_line_add(line, "{\"ts\":");
    tw_line_add_int(line, settings->start_ms + (int64_t)(index * settings->step_ms));
    tw_line_add(line, ",\"machine\":\"m");
    tw_line_add_int(line, (int64_t)machine);
    tw_line_add(line, "\"");
    for (unsigned at = 0; at < CHANNELS; at++) {
        double value = sensors_centre(settings, at, state, epoch) + CHANNEL[at].noise * tw_random_bell(&random);
        double scaled = value * (double)POWER[CHANNEL[at].decimals];
        tw_line_add(line, ",\"");
        tw_line_add(line, CHANNEL[at].name);
        tw_line_add(line, "\":");
        tw_line_add_fixed(line, (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5), CHANNEL[at].decimals);
    }
    tw_line_add(line, ",\"state\":");
    tw_line_add_int(line, state);
    tw_line_add(line, "}\n");
}

const tw_generator_ops tw_generator_sensors = {
    .kind = {"sensors", "readings of machines with five hidden states, JSON lines, for clustering", "json"},
    .write = sensors_write,
};
