/* server.h: one shard with its socket, clock and files around it: what `thalweg ps` runs. */
#ifndef TW_PS_SERVER_H
#define TW_PS_SERVER_H

#include <stdatomic.h>

#include "net/keys.h"
#include "ps/shard/shard.h"

typedef struct tw_shard_server_options {
    const char *address;        /* see tw_address_check; tcp://127.0.0.1:* lets the system choose the port */
    uint32_t index, count;      /* this shard of how many */
    const tw_key_pair *keys;    /* NULL: plain, only on this machine; else with `allow`, for the call */
    const tw_allow_list *allow; /* who may connect, and as what */
    bool is_insecure;           /* plain, also on addresses of other machines */
    uint64_t max_bytes;         /* cap on its rows; 0: as the model says */
    const char *directory;      /* of its row files; NULL: no snapshots */
    uint64_t restore_id;        /* load its slots' part of this checkpoint, whatever number of shards wrote it */
    const char *init_directory; /* with nothing of its own to load: the rows of checkpoint init_id there, as if nothing
                                 * were learned of any split; NULL: none */
    uint64_t init_id;
    uint64_t newer_than; /* restore_id 0: load its own newest row file if its id is above this (UINT64_MAX: none) */
    uint32_t snapshot_every_ms; /* own snapshots; 0: only those that a worker asks for */
    uint32_t keep;              /* own snapshots that are kept; 0: 2 */
    uint32_t deltas; /* snapshots with only what changed, between two with all rows; see tw_table_freeze_after */
    bool has_final_snapshot; /* one more when it stops, if anything was pushed */
    const char *standby_of;  /* address of the shard that this one stands by for: nothing is restored; NULL: none */
    const char *primary_key; /* its public key; needed with keys */
    bool is_sync;            /* the primary's acknowledgements wait for this standby */
    uint64_t epoch;          /* how often the shard was taken over from: see replication.h */
    bool is_epoch_certain;   /* else it is at least the one that the rows were saved with */
    void (*on_ready)(void *context, const char *address); /* bound, restored; NULL allowed */
    /* What befell its standby, or itself as one, in words for a person; NULL allowed. */
    void (*on_note)(void *context, const char *text);
    /* About once a second, from the thread that serves; borrowed for the call; NULL allowed. */
    void (*on_status)(void *context, const tw_shard_status *status);
    void *context;
} tw_shard_server_options;

/* Serves until `*stop` is set (noticed within 100 ms) or an error that it cannot live with: the address, the restore.
 */
TW_MUST_USE tw_status tw_shard_server_run(const tw_shard_server_options *options, atomic_bool *stop, tw_error *error);

#endif
