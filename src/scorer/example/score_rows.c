/* score_rows: prints the prediction of every row of a table with a header, or of libsvm text, one a line with 9
 * significant digits as `thalweg predict` prints them. Build:
 *
 *     cc -O2 -o score_rows score_rows.c thalweg_score.c
 *     ./score_rows MODEL.score csv|libsvm ROWS
 *
 * Cells are split at commas; a cell in double quotes may hold commas, and doubled quotes for one. */
#include "thalweg_score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 20, MAX_ENTRIES = 1 << 16, MAX_CELLS = 4096 };

typedef struct cell {
    const char *text;
    size_t size;
} cell;

/* The cells of a line, unquoted in place. */
static size_t split_cells(char *line, cell *out)
{
    size_t n = 0;
    char *at = line;
    while (n < MAX_CELLS) {
        char *to = at;
        out[n].text = at;
        if (*at == '"') {
            for (at++; *at != '\0' && (*at != '"' || at[1] == '"'); at++) {
                at += *at == '"';
                *to++ = *at;
            }
            at += *at == '"';
        } else {
            at += strcspn(at, ",");
            to = at;
        }
        out[n].size = (size_t)(to - out[n].text);
        n++;
        if (*at != ',')
            break;
        at++;
    }
    return n;
}

static int score_libsvm(tws_event *event, char *line)
{
    char *at = line + strcspn(line, " \t#"); /* behind the label */
    while (*at == ' ' || *at == '\t') {
        char *name = at + strspn(at, " \t"), *colon = strchr(name, ':');
        double value = 0;
        if (*name == '\0' || *name == '#' || colon == NULL)
            break;
        at = colon + 1 + strcspn(colon + 1, " \t#");
        if (tws_parse(colon + 1, (size_t)(at - colon - 1), &value) != 1)
            return TWS_NUMBER;
        (void)tws_feature(event, "", 0, name, (size_t)(colon - name), value);
    }
    return event->status;
}

static int score_lines(const tws_model *model, int is_csv, FILE *rows)
{
    static char header[MAX_LINE], line[MAX_LINE];
    static tws_entry entries[MAX_ENTRIES];
    static cell names[MAX_CELLS], cells[MAX_CELLS];
    float *dense = model->is_dense ? malloc(model->width * sizeof *dense) : NULL, score[2];
    size_t n_names = 0, n_line = 0;
    int status = TWS_OK;
    while (status == TWS_OK && fgets(line, sizeof line, rows) != NULL) {
        tws_event event;
        double prediction = 0;
        n_line++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (is_csv && n_names == 0) {
            memcpy(header, line, strlen(line) + 1);
            n_names = split_cells(header, names);
            continue;
        }
        tws_begin(&event, model, entries, MAX_ENTRIES, dense);
        if (is_csv) {
            size_t n = split_cells(line, cells);
            for (size_t i = 0; i < n && i < n_names; i++)
                (void)tws_text(&event, names[i].text, names[i].size, cells[i].text, cells[i].size);
            status = event.status;
        } else {
            status = score_libsvm(&event, line);
        }
        if (status == TWS_OK)
            status = tws_score(&event, score, &prediction);
        if (status != TWS_OK)
            fprintf(stderr, "line %lu: %s\n", (unsigned long)n_line, tws_message(status));
        else if (model->rule == TWS_RULE_NEAREST)
            printf("%.0f %.9g\n", (double)score[1], (double)score[0]);
        else
            printf("%.9g\n", prediction);
    }
    free(dense);
    return status == TWS_OK ? 0 : 65;
}

/* The whole file in memory of its own. */
static void *load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t capacity = 0, n = 1;
    *size = 0;
    while (file != NULL && n > 0) {
        char *grown = realloc(bytes, capacity = capacity * 2 + 65536);
        if (grown == NULL)
            break;
        bytes = grown;
        n = fread(bytes + *size, 1, capacity - *size, file);
        *size += n;
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    tws_model model;
    size_t size = 0;
    if (argc != 4 || (strcmp(argv[2], "csv") != 0 && strcmp(argv[2], "libsvm") != 0)) {
        fprintf(stderr, "usage: score_rows MODEL.score csv|libsvm ROWS\n");
        return 64;
    }
    void *bytes = load(argv[1], &size);
    FILE *rows = fopen(argv[3], "r");
    if (bytes == NULL || rows == NULL) {
        fprintf(stderr, "%s cannot be read\n", bytes == NULL ? argv[1] : argv[3]);
        return 66;
    }
    int status = tws_open(&model, bytes, size);
    if (status != TWS_OK)
        fprintf(stderr, "%s: %s\n", argv[1], tws_message(status));
    int code = status == TWS_OK ? score_lines(&model, strcmp(argv[2], "csv") == 0, rows) : 65;
    fclose(rows);
    free(bytes);
    return code;
}
