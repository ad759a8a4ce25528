/* Every test program works in a folder of its own, so that relative paths in tests never touch the folder that it was
 * started in; it is removed at the end of the process. TMPDIR says where (/tmp). */
#define _GNU_SOURCE
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[PATH_MAX];
static pid_t owner;

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info, (void)type, (void)at;
    (void)remove(path);
    return 0;
}

__attribute__((constructor)) static void folder_enter(void)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(
        folder, sizeof folder, "%s/thalweg-unit-XXXXXX", parent != NULL && parent[0] == '/' ? parent : "/tmp");
    owner = getpid();
    if (mkdtemp(folder) == NULL || chdir(folder) != 0) {
        perror(folder);
        _exit(74);
    }
}

/* Children that a test forked share the folder and leave it alone. */
__attribute__((destructor)) static void folder_leave(void)
{
    if (getpid() == owner && chdir("/") == 0)
        (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
