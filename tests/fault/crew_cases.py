"""Kills on runs of several workers: every event has its own key, whoever reads it and whoever dies meanwhile."""
import os
import signal

from counter_cases import N_SHARDS, Audit, kill_pace, pause, rounds
from harness import END_S, Violation, children_of, new_folder, read_json

N_WORKERS = 3
FILES = tuple(f"part-{i}.libsvm" for i in range(5)) + ("packed.libsvm.gz",)


class CrewAudit(Audit):
    """Several workers keep no order: rows and figures are audited, not lines of outputs."""

    def __init__(self, settings, folder, n_passes=1):
        super().__init__(settings, folder, ["--workers", str(N_WORKERS), "--shards", str(N_SHARDS)], FILES, n_passes)
        for flag in ("--predictions", "--dead-letter", "--checkpoint-every"):
            at = self.command.index(flag)
            del self.command[at:at + 2]
        self.command += ["--checkpoint-every", "300ms", "--batch", "64"]

    def check(self):
        self.check_rows()
        report = read_json(f"{self.folder}/report.json")
        if report["events"] != len(self.predictions):
            raise Violation(f"report: events is {report['events']}, not {len(self.predictions)}")


def kill_one(settings, run, verb):
    """kill -9 of one worker or shard that the run started. False: none was there."""
    pids = [pid for pid, words in children_of(run.popen.pid) if len(words) > 1 and words[1] == verb]
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


CASES = {"crew-workers": crew_case(("worker",)), "crew-all": crew_case(("worker", "ps", "run")),
         "crew-passes": crew_case(("worker", "ps"), 2)}
