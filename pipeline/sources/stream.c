/* stream.c: plain, gzip and zstd bytes behind one reader. Raw bytes pass through `in`; only plain regular files go
 * straight to the caller's space. `is_between` holds when the decoder stands between two members or frames: there the
 * file may end. `has_pending`: the decoder may still hold output although all its input is taken. */
#define ZSTD_STATIC_LINKING_ONLY
#include "sources/stream.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/alloc.h"

enum { STREAM_IN_SIZE = 64 * 1024, STREAM_MAGIC_SIZE = 4, STREAM_SCAN_SIZE = 64 * 1024 };

struct tw_stream {
    char *path;
    int fd;
    tw_stream_kind kind;
    bool is_seekable, is_stdin;
    bool is_between, has_pending;
    const char *damage;  /* static text; NULL: none. Once met, it is met again by every read */
    uint64_t offset;     /* uncompressed, of the next byte */
    uint64_t raw_offset; /* in the file, behind the bytes in `in` */
    unsigned char *in;
    size_t in_at, in_size;
    z_stream gzip;
    bool has_gzip;
    ZSTD_DCtx *zstd;
};

tw_stream_kind tw_stream_kind_from(const void *bytes, size_t size)
{
    static const unsigned char gzip[] = {0x1f, 0x8b};
    static const unsigned char zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (size == 0)
        return TW_STREAM_UNKNOWN;
    if (memcmp(bytes, gzip, size < sizeof gzip ? size : sizeof gzip) == 0)
        return size < sizeof gzip ? TW_STREAM_UNKNOWN : TW_STREAM_GZIP;
    if (memcmp(bytes, zstd, size < sizeof zstd ? size : sizeof zstd) == 0)
        return size < sizeof zstd ? TW_STREAM_UNKNOWN : TW_STREAM_ZSTD;
    return TW_STREAM_PLAIN;
}

tw_status tw_stream_open(const char *path, tw_stream **out, tw_error *error)
{
    *out = NULL;
    tw_stream *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->fd = -1;
    tw_status status = TW_STATUS_OK;
    self->is_stdin = strcmp(path, "-") == 0;
    self->path = tw_strdup(self->is_stdin ? "standard input" : path);
    if (self->path == NULL)
        status = tw_no_memory(error, strlen(path) + 1);
    if (status == TW_STATUS_OK && self->is_stdin)
        self->fd = 0;
    else if (status == TW_STATUS_OK)
        status = tw_file_open(path, TW_OPEN_READ, &self->fd, error);
    tw_file_info info = {0};
    if (status == TW_STATUS_OK)
        status = tw_file_fstat(self->fd, self->path, &info, error);
    if (status == TW_STATUS_OK && info.is_directory)
        status = tw_error_set(error, TW_STATUS_IO, "%s: is a directory; a file is needed here", self->path);
    self->is_seekable = info.is_regular && !self->is_stdin;
    self->is_between = true;
    if (status < 0)
        tw_stream_close(&self);
    *out = self;
    return status;
}

void tw_stream_close(tw_stream **self)
{
    tw_stream *stream = *self;
    *self = NULL;
    if (stream == NULL)
        return;
    if (stream->has_gzip)
        (void)inflateEnd(&stream->gzip);
    (void)ZSTD_freeDCtx(stream->zstd);
    /* Nothing was written: a failing close of a file that was only read loses nothing. */
    tw_status closed = stream->is_stdin ? TW_STATUS_OK : tw_file_close(&stream->fd, stream->path, NULL);
    (void)closed;
    tw_free(stream->in);
    tw_free(stream->path);
    tw_free(stream);
}

static tw_status stream_fill(tw_stream *self, tw_error *error)
{
    if (self->in == NULL)
        self->in = tw_alloc(STREAM_IN_SIZE);
    if (self->in == NULL)
        return tw_no_memory(error, STREAM_IN_SIZE);
    if (self->in_at == self->in_size)
        self->in_at = self->in_size = 0;
    unsigned char *to = self->in + self->in_size;
    size_t space = STREAM_IN_SIZE - self->in_size;
    size_t n = 0;
    tw_status status = self->is_seekable ? tw_file_read_at(self->fd, self->path, self->raw_offset, to, space, &n, error)
                                         : tw_file_read(self->fd, self->path, to, space, &n, error);
    self->in_size += n;
    self->raw_offset += n;
    return status;
}

/* Decides plain, gzip or zstd from the first bytes; a file too short to tell is plain. */
static tw_status stream_detect(tw_stream *self, tw_error *error)
{
    unsigned char magic[STREAM_MAGIC_SIZE];
    size_t n = 0;
    if (self->is_seekable) {
        tw_status status = tw_file_read_at(self->fd, self->path, 0, magic, sizeof magic, &n, error);
        if (status < 0 || n == 0)
            return status;
        self->kind = tw_stream_kind_from(magic, n);
    }
    while (!self->is_seekable && self->kind == TW_STREAM_UNKNOWN) {
        size_t before = self->in_size;
        tw_status status = stream_fill(self, error);
        if (status < 0)
            return status;
        self->kind = tw_stream_kind_from(self->in, self->in_size);
        if (self->in_size == before)
            break;
    }
    if (self->kind == TW_STREAM_UNKNOWN)
        self->kind = TW_STREAM_PLAIN;
    return TW_STATUS_OK;
}

static tw_status stream_corrupt(const tw_stream *self, const char *what, tw_error *error)
{
    if (error == NULL)
        return TW_STATUS_CORRUPT;
    tw_status status = tw_error_set(error, TW_STATUS_CORRUPT,
        "%s: %s data damaged near byte %llu of the file (uncompressed byte %llu): %s", self->path,
        self->kind == TW_STREAM_GZIP ? "gzip" : "zstd", (unsigned long long)tw_stream_raw_offset(self),
        (unsigned long long)self->offset, what);
    tw_error_at(error, self->path, 0, 0);
    return status;
}

static voidpf stream_zalloc(voidpf context, uInt count, uInt size)
{
    (void)context;
    return tw_alloc_zero((size_t)count * size);
}

static void stream_zfree(voidpf context, voidpf memory)
{
    (void)context;
    tw_free(memory);
}

static void *stream_zstd_alloc(void *context, size_t size)
{
    (void)context;
    return tw_alloc(size);
}

static void stream_zstd_free(void *context, void *memory)
{
    (void)context;
    tw_free(memory);
}

static tw_status stream_decoder_create(tw_stream *self, tw_error *error)
{
    if (self->kind == TW_STREAM_GZIP && !self->has_gzip) {
        self->gzip = (z_stream){.zalloc = stream_zalloc, .zfree = stream_zfree};
        /* 15 + 16: the largest window, gzip header and checksum. */
        if (inflateInit2(&self->gzip, 15 + 16) != Z_OK)
            return tw_no_memory(error, sizeof self->gzip);
        self->has_gzip = true;
    }
    if (self->kind == TW_STREAM_ZSTD && self->zstd == NULL) {
        self->zstd = ZSTD_createDCtx_advanced((ZSTD_customMem){stream_zstd_alloc, stream_zstd_free, NULL});
        if (self->zstd == NULL)
            return tw_no_memory(error, STREAM_IN_SIZE);
    }
    return TW_STATUS_OK;
}

/* One step of inflate. Zero bytes between members are padding, as tapes and block devices leave it. */
static tw_status stream_inflate(tw_stream *self, char *to, size_t space, size_t *n_out, tw_error *error)
{
    if (self->is_between) {
        while (self->in_at < self->in_size && self->in[self->in_at] == 0)
            self->in_at++;
        if (self->in_at == self->in_size)
            return TW_STATUS_OK;
        (void)inflateReset(&self->gzip);
        self->is_between = false;
    }
    uInt limit = space > (size_t)1 << 30 ? (uInt)1 << 30 : (uInt)space;
    self->gzip.next_in = self->in + self->in_at;
    self->gzip.avail_in = (uInt)(self->in_size - self->in_at);
    self->gzip.next_out = (Bytef *)to;
    self->gzip.avail_out = limit;
    int result = inflate(&self->gzip, Z_NO_FLUSH);
    self->in_at = self->in_size - self->gzip.avail_in;
    *n_out = limit - self->gzip.avail_out;
    self->has_pending = self->gzip.avail_out == 0 && result == Z_OK;
    if (result == Z_STREAM_END)
        self->is_between = true;
    else if (result == Z_MEM_ERROR)
        return tw_no_memory(error, STREAM_IN_SIZE);
    else if (result != Z_OK && result != Z_BUF_ERROR)
        self->damage = self->gzip.msg != NULL ? self->gzip.msg : "not a gzip member";
    return TW_STATUS_OK;
}

static tw_status stream_unzstd(tw_stream *self, char *to, size_t space, size_t *n_out, tw_error *error)
{
    ZSTD_inBuffer in = {self->in + self->in_at, self->in_size - self->in_at, 0};
    ZSTD_outBuffer out = {to, space, 0};
    size_t result = ZSTD_decompressStream(self->zstd, &out, &in);
    self->in_at += in.pos;
    *n_out = out.pos;
    if (ZSTD_isError(result) && ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
        return tw_no_memory(error, STREAM_IN_SIZE);
    if (ZSTD_isError(result)) {
        self->damage = ZSTD_getErrorName(result);
        return TW_STATUS_OK;
    }
    self->has_pending = out.pos == space && result != 0;
    if (result == 0)
        self->is_between = true;
    else if (in.pos > 0 || out.pos > 0)
        self->is_between = false;
    return TW_STATUS_OK;
}

static void stream_rewind(tw_stream *self)
{
    if (self->has_gzip)
        (void)inflateReset(&self->gzip);
    if (self->zstd != NULL)
        (void)ZSTD_DCtx_reset(self->zstd, ZSTD_reset_session_only);
    self->kind = TW_STREAM_UNKNOWN;
    self->is_between = true;
    self->has_pending = false;
    self->damage = NULL;
    self->offset = self->raw_offset = 0;
    self->in_at = self->in_size = 0;
}

static tw_status stream_decode(tw_stream *self, char *to, size_t size, size_t *n_read, tw_error *error)
{
    tw_status status = stream_decoder_create(self, error);
    while (status == TW_STATUS_OK && *n_read < size) {
        if (self->damage != NULL) {
            status = stream_corrupt(self, self->damage, error);
            break;
        }
        if (self->in_at == self->in_size && !self->has_pending) {
            if (*n_read > 0)
                break;
            status = stream_fill(self, error);
            if (status < 0 || self->in_size == 0)
                break;
        }
        size_t n = 0;
        status = self->kind == TW_STREAM_GZIP ? stream_inflate(self, to + *n_read, size - *n_read, &n, error)
                                              : stream_unzstd(self, to + *n_read, size - *n_read, &n, error);
        *n_read += n;
        self->offset += n;
    }
    /* A decoder that ran out of memory is of no further use: the next read decodes again from the start. */
    if (status == TW_STATUS_NO_MEMORY && self->is_seekable)
        stream_rewind(self);
    /* Bytes decoded before a failure are good; the failure comes again with the next call. */
    return *n_read > 0 ? TW_STATUS_OK : status;
}

tw_status tw_stream_read(tw_stream *self, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    *n_read = 0;
    tw_status status = TW_STATUS_OK;
    if (self->kind == TW_STREAM_UNKNOWN)
        status = stream_detect(self, error);
    if (status < 0 || self->kind == TW_STREAM_UNKNOWN)
        return status;
    if (self->kind != TW_STREAM_PLAIN)
        return stream_decode(self, bytes, size, n_read, error);
    if (self->is_seekable) {
        status = tw_file_read_at(self->fd, self->path, self->offset, bytes, size, n_read, error);
    } else if (self->in_at < self->in_size) {
        *n_read = self->in_size - self->in_at < size ? self->in_size - self->in_at : size;
        memcpy(bytes, self->in + self->in_at, *n_read);
        self->in_at += *n_read;
    } else {
        status = tw_file_read(self->fd, self->path, bytes, size, n_read, error);
    }
    self->offset += *n_read;
    return status;
}

static tw_status stream_skip(tw_stream *self, uint64_t offset, tw_error *error)
{
    char *scratch = tw_alloc(STREAM_IN_SIZE);
    if (scratch == NULL)
        return tw_no_memory(error, STREAM_IN_SIZE);
    tw_status status = TW_STATUS_OK;
    while (status == TW_STATUS_OK && self->offset < offset) {
        uint64_t left = offset - self->offset;
        size_t n = 0;
        status = tw_stream_read(self, scratch, left < STREAM_IN_SIZE ? (size_t)left : STREAM_IN_SIZE, &n, error);
        if (status == TW_STATUS_OK && n == 0)
            status = tw_error_set(error, TW_STATUS_NOT_FOUND,
                "%s: ends at uncompressed byte %llu; byte %llu no longer exists", self->path,
                (unsigned long long)self->offset, (unsigned long long)offset);
    }
    tw_free(scratch);
    return status;
}

tw_status tw_stream_seek(tw_stream *self, uint64_t offset, tw_error *error)
{
    if (offset == self->offset)
        return TW_STATUS_OK;
    if (!self->is_seekable)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "%s: cannot be read again from byte %llu; it is a pipe at byte %llu", self->path,
            (unsigned long long)offset, (unsigned long long)self->offset);
    if (offset < self->offset)
        stream_rewind(self);
    if (self->kind == TW_STREAM_UNKNOWN) {
        tw_status status = stream_detect(self, error);
        if (status < 0)
            return status;
    }
    if (self->kind == TW_STREAM_GZIP || self->kind == TW_STREAM_ZSTD)
        return stream_skip(self, offset, error);
    self->offset = offset;
    return TW_STATUS_OK;
}

tw_status tw_stream_check_end(const tw_stream *self, tw_error *error)
{
    if (self->is_between || self->kind == TW_STREAM_PLAIN)
        return TW_STATUS_OK;
    return stream_corrupt(self, "the file ends in the middle of the compressed data", error);
}

tw_status tw_stream_peek_raw(
    const tw_stream *self, uint64_t offset, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    return tw_file_read_at(self->fd, self->path, offset, bytes, size, n_read, error);
}

tw_status tw_stream_line_start(const tw_stream *self, uint64_t at, uint64_t *out, tw_error *error)
{
    char bytes[STREAM_SCAN_SIZE];
    *out = at;
    for (uint64_t scan = at > 0 ? at - 1 : 0; at > 0;) {
        size_t n = 0;
        tw_status status = tw_stream_peek_raw(self, scan, bytes, sizeof bytes, &n, error);
        if (status < 0)
            return status;
        const char *newline = memchr(bytes, '\n', n);
        *out = newline != NULL ? scan + (uint64_t)(newline - bytes) + 1 : scan + n;
        if (newline != NULL || n == 0)
            return TW_STATUS_OK;
        scan += n;
    }
    return TW_STATUS_OK;
}

tw_status tw_stream_info(const tw_stream *self, tw_file_info *info, tw_error *error)
{
    return tw_file_fstat(self->fd, self->path, info, error);
}

tw_status tw_stream_wait(tw_stream *self, int timeout_ms, bool *is_ready, tw_error *error)
{
    *is_ready = self->is_seekable || self->in_at < self->in_size || self->has_pending;
    return *is_ready ? TW_STATUS_OK : tw_file_wait(self->fd, self->path, timeout_ms, is_ready, error);
}

uint64_t tw_stream_raw_offset(const tw_stream *self)
{
    return self->kind == TW_STREAM_PLAIN && self->is_seekable ? self->offset
                                                              : self->raw_offset - (self->in_size - self->in_at);
}
