/* Runs every file of a directory through LLVMFuzzerTestOneInput, and each with every byte changed once, for builds
 * without a fuzzer. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUT_MAX = 1 << 20, MUTATED_MAX = 512 };

static void replay(char *bytes, size_t size)
{
    uint8_t *input = (uint8_t *)bytes;
    LLVMFuzzerTestOneInput(input, size);
    for (size_t i = 0; i < size && i < MUTATED_MAX; i++) {
        uint8_t before = input[i];
        input[i] = (uint8_t)(before ^ (1u << i % 8));
        LLVMFuzzerTestOneInput(input, size);
        input[i] = before;
    }
}

int main(int argc, char **argv)
{
    tw_error error = {0};
    tw_names names = {0};
    if (argc != 2 || tw_directory_list(argv[1], &names, &error) < 0 || names.count == 0) {
        fprintf(stderr, "usage: replay DIRECTORY (with inputs): %s\n", error.message);
        return 64;
    }
    for (size_t i = 0; i < names.count; i++) {
        char path[1024], *bytes = NULL;
        size_t size = 0;
        snprintf(path, sizeof path, "%s/%s", argv[1], names.name[i]);
        if (tw_file_load(path, INPUT_MAX, &bytes, &size, &error) < 0) {
            fprintf(stderr, "%s\n", error.message);
            return 66;
        }
        replay(bytes, size);
        tw_free(bytes);
    }
    printf("%zu inputs\n", names.count);
    tw_names_free(&names);
    return 0;
}
