"""Kills on runs that count: every event has its own key, so that a lost or doubled one shows by name."""
import functools
import os
import signal
import time

from harness import (END_S, FIRST_PROGRESS_S, Process, Shard, Violation, audit_counts, compare_lines, is_between_marks,
                     new_folder, owned_shard, read_json, write_audited_events)

N_SHARDS = 2
CHECKPOINT_EVENTS = 1000
# Rows carry their last touch and batches tell ticks, but nothing is ever old enough to go: the counts stay exact.
KEPT = ("-s", "model.expiry.after=1000000000")


class Audit:
    """One run of the counter from start to end over a folder of its own."""

    def __init__(self, settings, folder, more, files=("events.libsvm",), n_passes=1, options=()):
        self.settings, self.folder = settings, folder
        self.counts, self.predictions, self.bad = write_audited_events(
            [f"{folder}/{name}" for name in files], settings.n_events // n_passes, n_passes)
        self.command = [settings.program, "train", "--format", "libsvm", "--learner", "counter", "--exact", "--model", "model",
                        "--checkpoint-every", str(CHECKPOINT_EVENTS), "--rate", f"{settings.rate}/s", "--bad-limit", "10%",
                        "--predictions", "predictions.txt", "--dead-letter", "bad.txt", "--report", "report.json",
                        "--progress", "json", "--progress-every", "50ms", "--passes", str(n_passes), *more, *options, *files]
        self.n_rewinds = self.n_failures = 0

    def start(self):
        return Process(self.command, self.folder)

    def start_and_wait(self):
        run = self.start()
        run.wait_for(lambda: run.events > 0, FIRST_PROGRESS_S, "first progress")
        return run

    def note_life(self, run):
        self.n_rewinds += max(0, run.progress.get("rewinds", 0))
        self.n_failures += run.n_failures

    def check_rows(self):
        audit_counts(self.settings, f"{self.folder}/model", self.counts)

    def check(self):
        self.check_rows()
        compare_lines(f"{self.folder}/predictions.txt", self.predictions, "predictions")
        compare_lines(f"{self.folder}/bad.txt", self.bad, "dead-letter file")
        report = read_json(f"{self.folder}/report.json")
        for key, wanted in (("events", len(self.predictions)), ("bad_events", len(self.bad))):
            if report[key] != wanted:
                raise Violation(f"report: {key} is {report[key]}, not {wanted}")


def kill_worker_once(settings, run, is_first):
    """Kills at a random moment of this life, the start included. (killed, counted)"""
    if is_first:
        run.wait_for(lambda: run.events > 0, FIRST_PROGRESS_S, "first progress")
    end = time.monotonic() + settings.random.uniform(0.0, 1.1)
    while time.monotonic() < end and run.is_running:
        time.sleep(0.002)
    is_between = run.events < settings.n_events
    return run.kill(), is_between


def worker_round(settings, audit, n_wanted):
    """Kills the worker until n_wanted kills counted or the run ended by itself."""
    n_counted, is_first, run = 0, True, None
    while n_counted < n_wanted:
        run = audit.start()
        was_killed, is_between = kill_worker_once(settings, run, is_first)
        is_first = False
        audit.note_life(run)
        if not was_killed:
            if run.popen.returncode != 0:
                raise Violation(f"the run ended with exit code {run.popen.returncode}: {run.tail()}")
            return n_counted
        n_counted += is_between
    return n_counted


def finish(audit, run=None):
    run = run or audit.start()
    run.end(END_S)
    audit.note_life(run)
    audit.check()


def rounds(settings, one_round):
    """Runs rounds, each a whole run with its audit, until enough kills counted."""
    n, n_rounds = 0, 0
    while n < settings.n_kills:
        n += one_round(settings.n_kills - n)
        n_rounds += 1
        settings.tell(f"{n} of {settings.n_kills} kills in {n_rounds} run(s)")
        if n_rounds > 2 * settings.n_kills:
            raise Violation("hardly any kill fell between the first and the last mark")
    settings.note(f"{n} kills counted in {n_rounds} run(s) of {settings.n_events / settings.rate:g} s")


def worker_shards(settings):
    """The worker owns its shards: they die with it."""

    def one_round(n_wanted):
        with new_folder() as folder:
            audit = Audit(settings, folder, ["--shards", str(N_SHARDS)])
            n = worker_round(settings, audit, n_wanted)
            finish(audit)
            return n

    rounds(settings, one_round)


def joined(settings, body, **input_options):
    with new_folder() as folder:
        shards = [Shard(settings, folder, i, N_SHARDS, f"{folder}/model") for i in range(N_SHARDS)]
        audit = Audit(settings, folder, ["--connect", ",".join(shard.address for shard in shards)], **input_options)
        for shard in shards:
            shard.start()
        try:
            return body(audit, shards)
        finally:
            for shard in shards:
                shard.process.stop()


def worker_joined(settings):
    """The worker dies, the shards it joined live on."""

    def body(audit, shards, n_wanted):
        n = worker_round(settings, audit, n_wanted)
        finish(audit)
        return n

    rounds(settings, lambda n_wanted: joined(settings, lambda audit, shards: body(audit, shards, n_wanted)))


def pause(settings, run, low, high):
    end = time.monotonic() + settings.random.uniform(low, high)
    while time.monotonic() < end and run.is_running:
        time.sleep(0.002)


def kill_pace(settings, n_targets):
    """Mean seconds between two kills of a round that is to fit all of them into most of the run."""
    return 0.8 * settings.n_events / settings.rate / (settings.n_kills * n_targets)


def shards_joined(settings, **input_options):
    """Shards die and come back with their own snapshots; the worker lives."""

    def body(audit, shards, n_wanted):
        run, n = audit.start_and_wait(), [0] * N_SHARDS
        pace = kill_pace(settings, N_SHARDS)
        while min(n) < n_wanted and run.is_running:
            pause(settings, run, 0.0, 2 * pace)
            victims = [i for i in range(N_SHARDS) if n[i] < n_wanted]
            hit = settings.random.sample(victims, 1 if settings.random.random() < 0.8 else len(victims))
            is_between = is_between_marks(run, settings.n_events)
            for i in hit:
                n[i] += shards[i].kill() and is_between
            pause(settings, run, 0.0, 0.2)
            for i in hit:
                shards[i].start()
        finish(audit, run)
        note_rewinds(settings, audit)
        return min(n)

    rounds(settings, lambda n_wanted: joined(settings, lambda audit, shards: body(audit, shards, n_wanted), **input_options))


def note_rewinds(settings, audit):
    settings.note(f"{audit.n_rewinds} rewinds, {audit.n_failures} checkpoints given up")


def kill_owned(run, index):
    """kill -9 of a shard that the run started. False: it is not there at the moment."""
    pid = owned_shard(run, index)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def shards_owned(settings):
    """Shards die that the run itself started; it starts them again."""

    def one_round(n_wanted):
        with new_folder() as folder:
            audit = Audit(settings, folder, ["--shards", str(N_SHARDS)])
            run, n = audit.start_and_wait(), [0] * N_SHARDS
            pace = kill_pace(settings, N_SHARDS)
            while min(n) < n_wanted and run.is_running:
                pause(settings, run, 0.0, 2 * pace)
                is_between = is_between_marks(run, settings.n_events)
                index = settings.random.choice([i for i in range(N_SHARDS) if n[i] < n_wanted] or [0])
                n[index] += kill_owned(run, index) and is_between
            finish(audit, run)
            note_rewinds(settings, audit)
            return min(n)

    rounds(settings, one_round)


def both_owned(settings, n_wanted, **input_options):
    with new_folder() as folder:
        audit = Audit(settings, folder, ["--shards", str(N_SHARDS)], **input_options)
        run, n = audit.start_and_wait(), 0
        while n < n_wanted and run.is_running:
            pause(settings, run, 0.0, 0.6)
            is_between = run.events < settings.n_events
            if settings.random.random() < 0.5:
                n += kill_owned(run, settings.random.randrange(N_SHARDS)) and is_between
                continue
            audit.note_life(run)
            n += run.kill() and is_between
            run = audit.start()
        finish(audit, run)
        note_rewinds(settings, audit)
        return n


def both_joined(settings, n_wanted, **input_options):
    def body(audit, shards):
        run, n = audit.start_and_wait(), 0
        while n < n_wanted and run.is_running:
            pause(settings, run, 0.0, 0.6)
            is_between = run.events < settings.n_events
            if settings.random.random() < 0.5:
                shard = settings.random.choice(shards)
                n += shard.kill() and is_between
                pause(settings, run, 0.0, 0.2)
                shard.start()
                continue
            audit.note_life(run)
            n += run.kill() and is_between
            run = audit.start()
        finish(audit, run)
        note_rewinds(settings, audit)
        return n

    return joined(settings, body, **input_options)


def in_turn(**input_options):
    def case(settings):
        turn = [both_owned, both_joined]

        def one_round(n_wanted):
            turn.reverse()
            return turn[0](settings, max(1, min(n_wanted, (settings.n_kills + 1) // 2)), **input_options)

        rounds(settings, one_round)
    return case


# Worker and shards die in random order, joined and owned in turn.
both = in_turn()
MANY_FILES = {"files": ("first.libsvm", "second.libsvm.gz", "third.libsvm"), "n_passes": 2}

def audit_itself(settings):
    """The audit sees an event that is missing and one that is there twice."""
    with new_folder() as folder:
        audit = Audit(settings, folder, [])
        with open(f"{folder}/events.libsvm") as lines:
            kept = lines.readlines()
        kept[7] = kept[3]
        with open(f"{folder}/events.libsvm", "w") as lines:
            lines.writelines(kept)
        audit.command[audit.command.index("--rate") + 1] = "1000000/s"
        audit.start().end()
        try:
            audit.check_rows()
        except Violation as found:
            if "events [3, 7]" not in str(found):
                raise Violation(f"the audit names other events: {found}")
            return
        raise Violation("the audit saw nothing wrong")


CASES = {"audit-itself": audit_itself, "worker-shards": worker_shards, "worker-joined": worker_joined, "shards-joined": shards_joined,
         "shards-owned": shards_owned, "both": both, "many-files-both": in_turn(**MANY_FILES), "both-kept": in_turn(options=KEPT),
         "many-files-shards": functools.partial(shards_joined, **MANY_FILES)}
