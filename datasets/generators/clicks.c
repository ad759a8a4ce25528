/* clicks: the log of an ad server, one JSON object a line. */
#include "generators/click.h"
#include "generators/kinds.h"

static void clicks_write(const tw_generator_settings *settings, uint64_t index, tw_text *line)
{
    tw_click click;
    tw_click_draw(settings, index, &click);
    tw_text_add(line, "{\"ts\":");
    tw_text_add_int(line, click.time_ms);
    tw_text_add(line, ",\"user\":\"u");
    tw_text_add_int(line, click.user);
    tw_text_add(line, "\",\"ad\":\"a");
    tw_text_add_int(line, click.ad);
    tw_text_add(line, "\",\"site\":\"s");
    tw_text_add_int(line, click.site);
    tw_text_add(line, "\",\"cat\":[");
    for (uint32_t i = 0; i < click.n_topics; i++) {
        tw_text_add(line, i ? ",\"" : "\"");
        tw_text_add(line, tw_click_topic(click.topic[i]));
        tw_text_add(line, "\"");
    }
    tw_text_add(line, "],\"hour\":");
    tw_text_add_int(line, click.hour);
    tw_text_add(line, ",\"price\":");
    tw_text_add_fixed(line, click.price_cents, 2);
    tw_text_add(line, ",\"click\":");
    tw_text_add(line, click.is_clicked ? "1}\n" : "0}\n");
}

const tw_generator_ops tw_generator_clicks = {
    .kind = {"clicks", "click log of an ad server, JSON lines, planted logistic model", "json"},
    .write = clicks_write,
};
