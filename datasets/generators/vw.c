/* vw: the events of `clicks` as VW text: namespaces u (user), a (ad and site), c (topics), n (numbers), a tag per
 * event, and importance 2 for events of the first users. */
#include "generators/click.h"
#include "generators/kinds.h"

enum { FREQUENT_USERS = 2 };

static void vw_write(const tw_generator_settings *settings, uint64_t index, tw_line *line)
{
    tw_click click;
    tw_click_draw(settings, index, &click);
    tw_line_add(line, click.is_clicked ? "1" : "-1");
    tw_line_add(line, click.user < FREQUENT_USERS ? " 2 'e" : " 'e");
    tw_line_add_int(line, (int64_t)index);
    tw_line_add(line, "|u u");
    tw_line_add_int(line, click.user);
    tw_line_add(line, " |a ad_");
    tw_line_add_int(line, click.ad);
    tw_line_add(line, " site_");
    tw_line_add_int(line, click.site);
    tw_line_add(line, " |c");
    for (uint32_t i = 0; i < click.n_topics; i++) {
        tw_line_add(line, " ");
        tw_line_add(line, tw_click_topic(click.topic[i]));
    }
    tw_line_add(line, " |n hour_");
    tw_line_add_int(line, click.hour);
    tw_line_add(line, " price:");
    tw_line_add_fixed(line, click.price_cents, 2);
    tw_line_add(line, "\n");
}

const tw_generator_ops tw_generator_vw = {
    .kind = {"vw", "the events of clicks as VW text with namespaces, tags and importance", "vw"},
    .write = vw_write,
};
