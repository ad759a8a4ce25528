"""Kills on runs of several workers: every event has its own key, whoever reads it and whoever dies meanwhile."""
import os
import signal

from counter_cases import N_SHARDS, Audit, kill_pace, pause, rounds
from harness import END_S, Shard, Violation, children_of, is_between_marks, new_folder, read_json

N_WORKERS = 3
FILES = tuple(f"part-{i}.libsvm" for i in range(5)) + ("packed.libsvm.gz",)


class CrewAudit(Audit):
    """Several workers keep no order: rows and figures are audited, not lines of outputs."""

    def __init__(self, settings, folder, n_passes=1, files=FILES):
        super().__init__(settings, folder, ["--workers", str(N_WORKERS), "--shards", str(N_SHARDS)], files, n_passes)
        for flag in ("--predictions", "--dead-letter", "--checkpoint-every"):
            at = self.command.index(flag)
            del self.command[at:at + 2]
        self.command += ["--checkpoint-every", "300ms", "--batch", "64"]

    def check(self):
        self.check_rows()
        report = read_json(f"{self.folder}/report.json")
        if report["events"] != len(self.predictions):
            raise Violation(f"report: events is {report['events']}, not {len(self.predictions)}")


def started(run, verb):
    """Process ids of the workers or shards that the run started."""
    return [pid for pid, words in children_of(run.popen.pid) if len(words) > 1 and words[1] == verb]


def kill_one(settings, run, verb):
    """kill -9 of one worker or shard that the run started. False: none was there."""
    pids = started(run, verb)
    if not pids:
        return False
    try:
        os.kill(settings.random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def crew_case(roles, n_passes=1):
    def one_round(settings, n_wanted):
        with new_folder() as folder:
            audit = CrewAudit(settings, folder, n_passes)
            run, n = audit.start_and_wait(), dict.fromkeys(roles, 0)
            while sum(n.values()) < n_wanted and run.is_running:
                pause(settings, run, 0.0, 2 * kill_pace(settings, 1))
                is_between = run.events < settings.n_events
                role = settings.random.choice(roles)
                if role == "run":
                    n[role] += run.kill() and is_between
                    run = audit.start()
                else:
                    n[role] += kill_one(settings, run, role) and is_between
            run.end(END_S)
            audit.check()
            settings.note(", ".join(f"{count} of {role}" for role, count in n.items()))
            return sum(n.values())

    return lambda settings: rounds(settings, lambda n_wanted: one_round(settings, n_wanted))


class JoinedAudit(CrewAudit):
    """On shards that the test started. The first worker has two files to read, the others are done much earlier."""

    def __init__(self, settings, folder, shards):
        super().__init__(settings, folder, files=FILES[:4])
        at = self.command.index("--shards")
        self.command[at:at + 2] = ["--connect", ",".join(shard.address for shard in shards)]
        self.command[self.command.index("--checkpoint-every") + 1] = "2s"


def shards_joined(settings):
    """Shards go back by up to two seconds, also when some of the workers have finished."""

    def one_round(n_wanted):
        with new_folder() as folder:
            shards = [Shard(settings, folder, i, N_SHARDS, f"{folder}/model", "2s") for i in range(N_SHARDS)]
            for shard in shards:
                shard.start()
            try:
                audit = JoinedAudit(settings, folder, shards)
                run, n = audit.start_and_wait(), 0
                n_kills = min(n_wanted, 10)
                while n < n_kills and run.is_running:
                    if n + 1 == n_kills:
                        run.wait_for(lambda: len(started(run, "worker")) < N_WORKERS, END_S, "the first worker's end")
                    else:
                        pause(settings, run, 0.0, 2 * kill_pace(settings, 1))
                    shard = settings.random.choice(shards)
                    n += shard.kill() and is_between_marks(run, settings.n_events)
                    shard.start()
                run.end(END_S)
                audit.check()
                return n
            finally:
                for shard in shards:
                    shard.process.stop()

    rounds(settings, one_round)


CASES = {"crew-workers": crew_case(("worker",)), "crew-all": crew_case(("worker", "ps", "run")),
         "crew-passes": crew_case(("worker", "ps"), 2), "crew-joined": shards_joined}
