/* disk.h: the files of simulated machines, in memory, behind every file call of the library (disk.c takes the place of
 * src/base/file.c). What was written but not synced may be lost or torn in a power cut, and so may names whose
 * directory was not synced; a process that dies while it writes leaves what it had written; a disk may be full, and
 * what lay on it may be damaged. One disk per process and one thread. */
#ifndef TW_TESTS_SIMULATION_DISK_H
#define TW_TESTS_SIMULATION_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Random numbers below `below`, of the run. */
typedef uint64_t (*disk_draw)(void *context, uint64_t below);

void disk_clear(void);

typedef enum disk_limit {
    DISK_NO_LIMIT,
    DISK_FULL, /* from then on writes fail */
    DISK_DEAD, /* the process is gone: from then on nothing has an effect, and every call fails */
} disk_limit;

/* `limit` begins when `after` further bytes are written. Counts as hit once a call failed by it. */
void disk_set_limit(disk_limit limit, uint64_t after);
bool disk_limit_was_hit(void);

/* The machine of `directory` loses its power. True: something was lost that had been written. */
bool disk_power_cut(const char *directory, disk_draw draw, void *context);

/* Flips bits in one of the files there. False: there is none. */
bool disk_damage(const char *directory, disk_draw draw, void *context);

#endif
