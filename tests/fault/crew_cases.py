"""Kills on runs of several workers: every event has its own key, whoever reads it and whoever dies meanwhile."""
import collections
import os
import signal
import time

from counter_cases import N_SHARDS, Audit, kill_pace, pause, rounds
from harness import END_S, Shard, Violation, children_of, is_between_marks, new_folder, read_json, scaled

N_WORKERS = 3
FILES = tuple(f"part-{i}.libsvm" for i in range(5)) + ("packed.libsvm.gz",)


class CrewAudit(Audit):
    """Several workers keep no order: rows and figures are audited, not lines of outputs."""

    def __init__(self, settings, folder, n_passes=1, files=FILES, n_shards=N_SHARDS, more=()):
        super().__init__(settings, folder, ["--workers", str(N_WORKERS), "--shards", str(n_shards), *more], files, n_passes)
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


def shard_lost_late(staleness):
    """Workers that keep rounds, and shards of the run that die once a worker has finished: nobody waits for that one for ever."""

    def one_round(settings):
        with new_folder() as folder:
            audit = CrewAudit(settings, folder, files=FILES[:4], more=("--staleness", staleness))
            run, n = audit.start_and_wait(), 0
            run.wait_for(lambda: len(started(run, "worker")) < N_WORKERS, END_S, "the first worker's end")
            for _ in range(2):
                n += kill_one(settings, run, "ps") and run.is_running
                pause(settings, run, 0.1, 0.6)
            run.end(END_S)
            audit.check()
            settings.note(f"{n} shard(s) killed behind the first worker's end, staleness {staleness}")
            return n

    return lambda settings: rounds(settings, lambda n_wanted: one_round(settings))


# --- kills of every role, by the hundred ----------------------------------------------------------------------------------

N_MANY_SHARDS = 3
KILLS_A_RUN = 60
PACE_S = 0.8


def started_at(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def roles_there(run):
    """Process ids that the run started, by what they are for. Of the processes of one shard the oldest serves: a standby that
    took over was started as one."""
    there, shards = collections.defaultdict(list), collections.defaultdict(list)
    for pid, words in children_of(run.popen.pid):
        verb = words[1] if len(words) > 1 else ""
        if verb == "ps":
            shards[words[words.index("--shard") + 1]].append(pid)
        elif verb == "worker":
            there[verb].append(pid)
    for pids in shards.values():
        try:
            pids.sort(key=started_at)
        except OSError:
            continue
        there["shard"].append(pids[0])
        there["standby"] += pids[1:]
    return there


class Kills:
    """Kills in one run: roles in turn, in random order, so that each gets its part; now and then two at one moment."""

    def __init__(self, settings, audit, roles):
        self.settings, self.audit, self.roles, self.deck = settings, audit, roles, []
        self.n, self.n_missed = collections.Counter(), 0

    def strike(self, run):
        """The run that goes on: another one when it was itself the victim."""
        self.deck = self.deck or self.settings.random.sample(self.roles, len(self.roles))
        role, is_between = self.deck.pop(), run.events < self.settings.n_events
        if role == "run":
            self.n[role] += run.kill() and is_between
            return self.audit.start()
        pids = roles_there(run)[role]
        if not pids:
            self.n_missed += 1
            return run
        try:
            os.kill(self.settings.random.choice(pids), signal.SIGKILL)
            self.n[role] += is_between
        except ProcessLookupError:
            pass
        return run

    def wait(self, run):
        draw = self.settings.random.random()
        if draw >= 0.1:
            pause(self.settings, run, *((0.05, 1.2) if draw < 0.8 else (1.0, 2.2)))


def wait_for_events(run, n):
    """Programs that a sanitizer slows down have the time to learn something between two kills; others get none for it."""
    end = time.monotonic() + scaled(1) - 1
    while run.events < n and run.is_running and time.monotonic() < end:
        time.sleep(0.01)


def many_round(settings, roles, more, n_wanted):
    n_round = min(n_wanted, KILLS_A_RUN)
    settings.n_events = int(max(8, PACE_S * n_round) * settings.rate)
    with new_folder() as folder:
        audit = CrewAudit(settings, folder, n_shards=N_MANY_SHARDS, more=more)
        run = audit.start_and_wait()
        kills, started = Kills(settings, audit, roles), run.events
        latest = started
        while sum(kills.n.values()) < n_round and run.is_running:
            kills.wait(run)
            wait_for_events(run, started + (1 + sum(kills.n.values())) * settings.n_events // (3 * n_round))
            latest = max(latest, run.events)
            run = kills.strike(run)
        run.end(END_S + n_round)
        audit.check()
    return kills.n, latest - started


def many_case(roles, more=()):
    """Every role dies its part of settings.n_many kills; each run is audited event by event."""

    def case(settings):
        n, n_events, n_rounds, n_audited = collections.Counter(), 0, 0, 0
        while sum(n.values()) < settings.n_many or min(n[role] for role in roles) < settings.n_many // (2 * len(roles)):
            more_kills, flowed = many_round(settings, roles, more, max(len(roles), settings.n_many - sum(n.values())))
            n, n_events, n_rounds = n + more_kills, n_events + flowed, n_rounds + 1
            n_audited += settings.n_events
            settings.tell(f"{sum(n.values())} of {settings.n_many} kills in {n_rounds} run(s)")
            if n_rounds > 2 + settings.n_many // 10:
                raise Violation(f"hardly any kill fell between the first and the last mark: {dict(n)}")
        if n_events < n_audited // 4:
            raise Violation(f"only {n_events} of {n_audited} events flowed among the kills")
        settings.note(f"{sum(n.values())} kills ({', '.join(f'{n[role]} of {role}' for role in roles)}) in {n_rounds} run(s); "
                      f"{n_audited} events audited, {n_events} of them learned among the kills")
    return case


WITH_STANDBYS = ("worker", "shard", "standby", "run")
CASES = {"crew-kills": many_case(WITH_STANDBYS, ("--standby", "async")), "crew-kills-sync": many_case(WITH_STANDBYS, ("--standby", "sync")),
         "crew-workers": crew_case(("worker",)), "crew-all": crew_case(("worker", "ps", "run")),
         "crew-finished": shard_lost_late("4"), "crew-finished-step": shard_lost_late("0"),
         "crew-passes": crew_case(("worker", "ps"), 2), "crew-joined": shards_joined}
