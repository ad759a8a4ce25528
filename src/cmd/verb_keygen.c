/* keygen: a new key pair for encrypted connections. */
#include <stdio.h>

#include "cmd/console.h"
#include "cmd/verbs.h"
#include "net/keys.h"

static const flag_spec keygen_flags[] = {{NULL, 0, NULL, NULL}};

static int keygen_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_key_pair pair;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments != 1)
        return verb_misused(self, "the path of the key file is needed");
    tw_status status = tw_key_pair_create(&pair, &error);
    if (status == TW_STATUS_OK)
        status = tw_key_pair_store(&pair, given.argument[0], &error);
    if (status < 0) {
        console_error(&error);
        return tw_status_exit_code(status);
    }
    (void)printf("%s\n", pair.public_key);
    console_note("%s holds the secret key, %s.pub the public one, which is printed: put it into allow-lists",
        given.argument[0], given.argument[0]);
    return 0;
}

const verb verb_keygen = {"keygen", "keygen FILE",
    "Makes a key pair: FILE (secret, mode 0600) and FILE.pub; prints the public key.", keygen_flags, keygen_main};
