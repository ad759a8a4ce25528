#define _GNU_SOURCE
#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

static const size_t huge_page = (size_t)2 << 20;

void *tw_alloc(size_t size)
{
    if (size == 0 || tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    return malloc(size);
}

void *tw_alloc_zero(size_t size)
{
    if (size == 0 || tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    return calloc(1, size);
}

void *tw_realloc(void *memory, size_t size)
{
    if (size == 0 || tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    return realloc(memory, size);
}

void *tw_alloc_aligned(size_t alignment, size_t size)
{
    if (size == 0 || size > SIZE_MAX - alignment || tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, rounded);
    if (memory != NULL)
        memset(memory, 0, rounded);
    return memory;
}

char *tw_strdup(const char *text)
{
    return tw_strndup(text, strlen(text));
}

char *tw_strndup(const char *text, size_t size)
{
    char *copy = tw_alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void tw_free(void *memory)
{
    free(memory);
}

static size_t mapped_size(size_t size)
{
    size_t page = size >= huge_page ? huge_page : (size_t)4096;
    return (size + page - 1) / page * page;
}

void *tw_map_pages(size_t size)
{
    if (size == 0 || size > SIZE_MAX / 2 || tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    size_t mapped = mapped_size(size);
    size_t slack = mapped >= huge_page ? huge_page : 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    flags |= slack == 0 ? MAP_POPULATE : 0; /* small pages, all at once: a fault each costs more than the page */
    char *raw = mmap(NULL, mapped + slack, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    if (slack == 0)
        return raw;
    /* Only an aligned mapping can be backed by huge pages: cut the slack off at both ends. */
    size_t ahead = (huge_page - (uintptr_t)raw % huge_page) % huge_page;
    if (ahead > 0)
        (void)munmap(raw, ahead);
    if (slack > ahead)
        (void)munmap(raw + ahead + mapped, slack - ahead);
    (void)madvise(raw + ahead, mapped, MADV_HUGEPAGE);
    return raw + ahead;
}

void tw_unmap_pages(void *memory, size_t size)
{
    if (memory != NULL)
        (void)munmap(memory, mapped_size(size));
}

tw_status tw_grow(void *array, size_t element_size, size_t *capacity, size_t needed, tw_error *error)
{
    if (needed <= *capacity)
        return TW_STATUS_OK;
    size_t wanted = *capacity < 8 ? 8 : *capacity * 2;
    if (wanted < needed)
        wanted = needed;
    if (wanted > SIZE_MAX / element_size)
        return tw_no_memory(error, SIZE_MAX);
    void *memory = NULL;
    memcpy(&memory, array, sizeof memory);
    memory = tw_realloc(memory, wanted * element_size);
    if (memory == NULL)
        return tw_no_memory(error, wanted * element_size);
    memcpy(array, &memory, sizeof memory);
    *capacity = wanted;
    return TW_STATUS_OK;
}
