/* reference.h: documents made from the option tables: Markdown for people, JSON Schema for editors. */
#ifndef TW_CONFIG_REFERENCE_H
#define TW_CONFIG_REFERENCE_H

#include "base/text.h"
#include "config/schema.h"

/* Appends the whole option reference: every block of the pipeline file, then every plug-in by kind. */
TW_MUST_USE tw_status tw_reference_markdown(const tw_plugin_catalogue *catalogue, tw_text *out, tw_error *error);

/* Appends one option table as Markdown, for `thalweg help ftrl`. */
TW_MUST_USE tw_status tw_reference_table(const tw_option *table, tw_text *out, tw_error *error);

/* Appends a JSON Schema (draft 7) of the pipeline file. */
TW_MUST_USE tw_status tw_reference_json_schema(const tw_plugin_catalogue *catalogue, tw_text *out, tw_error *error);

#endif
