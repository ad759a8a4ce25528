/* clicks: the log of an ad server, one JSON object a line. */
#include "generators/click.h"
#include "generators/kinds.h"

static void clicks_write(const tw_generator_settings *settings, uint64_t index, tw_line *line)
{
    tw_click click;
    tw_click_draw(settings, index, &click);
    tw_line_add(line, "{\"ts\":");
    tw_line_add_int(line, click.time_ms);
    tw_line_add(line, ",\"user\":\"u");
    tw_line_add_int(line, click.user);
    tw_line_add(line, "\",\"ad\":\"a");
    tw_line_add_int(line, click.ad);
    tw_line_add(line, "\",\"site\":\"s");
    tw_line_add_int(line, click.site);
    tw_line_add(line, "\",\"cat\":[");
    for (uint32_t i = 0; i < click.n_topics; i++) {
        tw_line_add(line, i ? ",\"" : "\"");
        tw_line_add(line, tw_click_topic(click.topic[i]));
        tw_line_add(line, "\"");
    }
    tw_line_add(line, "],\"hour\":");
    tw_line_add_int(line, click.hour);
    tw_line_add(line, ",\"price\":");
    tw_line_add_fixed(line, click.price_cents, 2);
    tw_line_add(line, ",\"click\":");
    tw_line_add(line, click.is_clicked ? "1}\n" : "0}\n");
}

const tw_generator_ops tw_generator_clicks = {
    .kind = {"clicks", "click log of an ad server, JSON lines, planted logistic model", "json"},
    .write = clicks_write,
};
