#include "net/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/file.h"

enum { KEY_FILE_MAX = 4096, ALLOW_FILE_MAX = 4 << 20, WORD_SIZE = 128, MAX_WORDS = 4 };

/* One line cut into words. */
typedef struct key_line {
    char word[MAX_WORDS][WORD_SIZE];
    uint32_t n_words;
} key_line;

/* Public keys are written into pipelines and behind -s: they must be words of YAML, in { } too. One key of about 25 is.
 */
static bool is_plain_word(const char *key)
{
    bool is_alphanumeric = (key[0] >= '0' && key[0] <= '9') || ((key[0] | 32) >= 'a' && (key[0] | 32) <= 'z');
    return is_alphanumeric && strpbrk(key, "[]{}#:,") == NULL;
}

tw_status tw_key_pair_create(tw_key_pair *out, tw_error *error)
{
    do {
        if (tw_fault_hit(TW_FAULT_SOCKET) || zmq_curve_keypair(out->public_key, out->secret_key) != 0)
            return tw_error_set(
                error, TW_STATUS_UNSUPPORTED, "no keys can be made: this libzmq was built without CURVE (libsodium)");
    } while (!is_plain_word(out->public_key));
    return TW_STATUS_OK;
}

static bool key_is_valid(const char *key)
{
    uint8_t bytes[32];
    return strlen(key) == TW_KEY_SIZE - 1 && zmq_z85_decode(bytes, key) != NULL;
}

/* Cuts the next line of `*at` into words. False behind the last line. */
static bool next_line(const char **at, key_line *out)
{
    const char *text = *at;
    if (*text == '\0')
        return false;
    size_t size = strcspn(text, "\n");
    *at = text + size + (text[size] == '\n');
    out->n_words = 0;
    /* Z85 has the letter '#' too: only a line that begins with it is a comment. */
    for (size_t i = strspn(text, " \t") < size && text[strspn(text, " \t")] == '#' ? size : 0; i < size;) {
        size_t n = strcspn(text + i, " \t\r\n");
        n = i + n > size ? size - i : n;
        if (n > 0) {
            size_t kept = n < WORD_SIZE - 1 ? n : WORD_SIZE - 1;
            if (out->n_words < MAX_WORDS) {
                memcpy(out->word[out->n_words], text + i, kept);
                out->word[out->n_words][kept] = '\0';
            }
            out->n_words++;
        }
        i += n > 0 ? n : 1;
    }
    return true;
}

static tw_status line_error(const char *path, uint32_t line, const char *expected, tw_error *error)
{
    tw_status status = tw_error_set(error, TW_STATUS_CORRUPT, "expected %s", expected);
    tw_error_at(error, path, line, 0);
    return status;
}

/* --- key files ---------------------------------------------------------------------------------------------------- */

static tw_status store_secret(const char *path, const char *text, tw_error *error)
{
    int fd = -1;
    tw_file_info info;
    if (tw_file_stat(path, &info, NULL) != TW_STATUS_NOT_FOUND)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s exists: keys are not overwritten", path);
    mode_t before = umask(077);
    tw_status status = tw_file_open(path, TW_OPEN_WRITE_NEW, &fd, error);
    (void)umask(before);
    if (status == TW_STATUS_OK)
        status = tw_file_write(fd, path, text, strlen(text), error);
    if (status == TW_STATUS_OK)
        status = tw_file_sync(fd, path, error);
    tw_status closed = tw_file_close(&fd, path, status == TW_STATUS_OK ? error : NULL);
    return status == TW_STATUS_OK ? closed : status;
}

tw_status tw_key_pair_store(const tw_key_pair *self, const char *path, tw_error *error)
{
    char text[256], public_path[4096];
    if (snprintf(public_path, sizeof public_path, "%s.pub", path) >= (int)sizeof public_path)
        return tw_error_set(error, TW_STATUS_INVALID, "a path of %zu bytes is too long", strlen(path));
    (void)snprintf(text, sizeof text, "public %s\nsecret %s\n", self->public_key, self->secret_key);
    tw_status status = store_secret(path, text, error);
    (void)snprintf(text, sizeof text, "public %s\n", self->public_key);
    return status == TW_STATUS_OK ? tw_file_store(public_path, text, strlen(text), error) : status;
}

/* Takes the keys of a key file; a public one leaves the secret key empty. */
static tw_status read_key_file(const char *path, tw_key_pair *out, tw_error *error)
{
    static const char *const expected = "\"public KEY\" or \"secret KEY\" with 40 characters of Z85";
    char *text = NULL;
    size_t size = 0;
    key_line line;
    memset(out, 0, sizeof *out);
    tw_status status = tw_file_load(path, KEY_FILE_MAX, &text, &size, error);
    if (status < 0)
        return status;
    const char *at = text;
    for (uint32_t number = 1; status == TW_STATUS_OK && next_line(&at, &line); number++) {
        bool is_public = line.n_words == 2 && strcmp(line.word[0], "public") == 0;
        bool is_secret = line.n_words == 2 && strcmp(line.word[0], "secret") == 0;
        if (line.n_words == 0)
            continue;
        if ((!is_public && !is_secret) || !key_is_valid(line.word[1]))
            status = line_error(path, number, expected, error);
        else
            memcpy(is_public ? out->public_key : out->secret_key, line.word[1], TW_KEY_SIZE);
    }
    memset(text, 0, size);
    tw_free(text);
    if (status == TW_STATUS_OK && out->public_key[0] == '\0')
        status = line_error(path, 1, "a line \"public KEY\"", error);
    return status;
}

tw_status tw_key_pair_load(const char *path, tw_key_pair *out, tw_error *error)
{
    char derived[TW_KEY_SIZE];
    struct stat info;
    tw_status status = read_key_file(path, out, error);
    if (status < 0)
        return status;
    if (out->secret_key[0] == '\0')
        return tw_error_set(error, TW_STATUS_CONFIG, "%s holds no secret key: give the file without .pub", path);
    if (stat(path, &info) == 0 && (info.st_mode & 077) != 0)
        return tw_error_set(error, TW_STATUS_CONFIG,
            "%s: others may read or write it (mode %03o); it is a secret: chmod 600 %s", path,
            (unsigned)(info.st_mode & 0777), path);
    if (zmq_curve_public(derived, out->secret_key) != 0)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "this libzmq was built without CURVE (libsodium)");
    if (strcmp(derived, out->public_key) != 0)
        return tw_error_set(error, TW_STATUS_CORRUPT, "%s: the public key does not belong to the secret one", path);
    return TW_STATUS_OK;
}

tw_status tw_public_key_read(const char *text, char out[TW_KEY_SIZE], tw_error *error)
{
    tw_key_pair pair;
    if (key_is_valid(text)) {
        memcpy(out, text, TW_KEY_SIZE);
        return TW_STATUS_OK;
    }
    tw_status status = read_key_file(text, &pair, error);
    if (status == TW_STATUS_OK)
        memcpy(out, pair.public_key, TW_KEY_SIZE);
    memset(&pair, 0, sizeof pair);
    return status;
}

/* --- allow-lists -------------------------------------------------------------------------------------------------- */

static bool role_of(const char *word, tw_peer_role *out)
{
    static const struct {
        const char *name;
        tw_peer_role role;
    } roles[] = {{"worker", TW_PEER_WORKER}, {"replica", TW_PEER_REPLICA}, {"admin", TW_PEER_ADMIN}};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(word, roles[i].name) == 0) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

static tw_status allow_add(
    tw_allow_list *self, const char *path, uint32_t number, const key_line *line, tw_error *error)
{
    tw_allowed one = {0};
    /* The line of a .pub file may be pasted whole. */
    bool is_pasted = line->n_words == 4 && strcmp(line->word[1], "public") == 0;
    const char *key = line->word[is_pasted ? 2 : 1], *name = line->word[is_pasted ? 3 : 2];
    if ((line->n_words != 3 && !is_pasted) || !role_of(line->word[0], &one.role) || !key_is_valid(key) ||
        strlen(name) >= sizeof one.name)
        return line_error(path, number,
            "\"ROLE KEY NAME\": ROLE worker, replica or admin, KEY 40 characters of Z85, NAME of at most 63", error);
    if (tw_allow_list_find(self, key) != NULL)
        return line_error(path, number, "every key once", error);
    if (self->count == TW_ALLOW_MAX)
        return line_error(path, number, "at most 10000 keys", error);
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    memcpy(one.public_key, key, TW_KEY_SIZE);
    (void)snprintf(one.name, sizeof one.name, "%.63s", name);
    self->item[self->count++] = one;
    return TW_STATUS_OK;
}

tw_status tw_allow_list_load(const char *path, tw_allow_list *out, tw_error *error)
{
    char *text = NULL;
    size_t size = 0;
    key_line line;
    memset(out, 0, sizeof *out);
    tw_status status = tw_file_load(path, ALLOW_FILE_MAX, &text, &size, error);
    if (status < 0)
        return status;
    const char *at = text;
    for (uint32_t number = 1; status == TW_STATUS_OK && next_line(&at, &line); number++) {
        if (line.n_words > 0)
            status = allow_add(out, path, number, &line, error);
    }
    tw_free(text);
    if (status == TW_STATUS_OK && out->count == 0)
        status = line_error(path, 1, "at least one line \"ROLE KEY NAME\": an empty list lets nobody in", error);
    if (status < 0)
        tw_allow_list_fini(out);
    return status;
}

void tw_allow_list_fini(tw_allow_list *self)
{
    tw_free(self->item);
    memset(self, 0, sizeof *self);
}

const tw_allowed *tw_allow_list_find(const tw_allow_list *self, const char *public_key)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->item[i].public_key, public_key) == 0)
            return &self->item[i];
    }
    return NULL;
}
