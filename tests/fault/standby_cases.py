"""The counter again, with a standby for every shard: whoever dies, every event counts once, and hardly any is read again."""
import os
import signal
import subprocess
import time

from counter_cases import KEPT, N_SHARDS, Audit, kill_pace, note_rewinds, pause, rounds
from crew_cases import CrewAudit, kill_one
from harness import END_S, Shard, Violation, children_of, is_between_marks, new_folder, scaled


COPY_S = 5  # until the next standby has a copy of a few thousand rows, on a machine that does much else


def n_takeovers(run):
    return sum("its standby has taken over" in line for line in run.lines)


def is_caught_up(settings, address):
    said = subprocess.run([settings.program, "status", "--json", "--connect", address], capture_output=True, text=True,
                          check=False).stdout
    return '"is_caught_up":1' in said.replace(" ", "")


def kill_copied(settings, run, within_s=END_S):
    """kill -9 of a shard whose standby has everything: the first kill of a round is one that must be taken over from."""
    end = time.monotonic() + within_s
    while run.is_running:
        if time.monotonic() > end:
            raise Violation(f"no standby has everything within {within_s} s: {run.tail()}")
        shards = [(pid, words) for pid, words in children_of(run.popen.pid) if "--shard" in words]
        for standby in [words for _, words in shards if "--standby-of" in words]:
            address, name = standby[standby.index("--standby-of") + 1], standby[standby.index("--shard") + 1]
            primary = min((pid for pid, words in shards if words[words.index("--shard") + 1] == name), default=None)
            if primary is not None and is_caught_up(settings, address):
                os.kill(primary, signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False


def owned(mode, with_crew, options=()):
    """The run's own shards, standbys (and workers) die at random."""
    roles = ("ps", "ps", "worker") if with_crew else ("ps",)

    def one_round(settings, n_wanted):
        with new_folder() as folder:
            audit = CrewAudit(settings, folder) if with_crew else Audit(settings, folder, ["--shards", str(N_SHARDS)])
            audit.command += ["--standby", mode, *options]
            run, n = audit.start_and_wait(), 0
            while n < n_wanted and run.is_running:
                pause(settings, run, 0.0, 2 * kill_pace(settings, 1))
                was_killed = kill_one(settings, run, settings.random.choice(roles)) if n > 0 else kill_copied(settings, run)
                n += was_killed and is_between_marks(run, settings.n_events)
            run.end(END_S)
            audit.note_life(run)
            audit.check()
            settings.note(f"{n_takeovers(run)} takeovers")
            if n > 0 and n_takeovers(run) == 0:
                raise Violation("no standby ever took over")
            note_rewinds(settings, audit)
            return n

    return lambda settings: rounds(settings, lambda n_wanted: one_round(settings, n_wanted))


def restarted(run):
    """Shards that came back from a checkpoint, as nobody took over."""
    return [line for line in run.lines if "warning: shard " in line and "starting it again" in line]


def again(settings):
    """The one that serves dies as soon as the next standby has its copy, many times in a row: each time the standby takes over and
    the run starts another, so that nothing ever comes from a checkpoint."""

    def one_round(n_wanted):
        with new_folder() as folder:
            audit = CrewAudit(settings, folder)
            audit.command += ["--standby", "async"]
            run, n, n_kills, waits = audit.start_and_wait(), 0, 0, []
            while n < n_wanted and run.is_running:
                begun = time.monotonic()
                if not kill_copied(settings, run, COPY_S):
                    break
                waits.append(time.monotonic() - begun)
                n_kills += 1
                n += is_between_marks(run, settings.n_events)
                end = time.monotonic() + END_S
                while n_takeovers(run) < n_kills and run.is_running and time.monotonic() < end:
                    time.sleep(0.002)
            run.end(END_S)
            audit.note_life(run)
            audit.check()
            if restarted(run) or n_takeovers(run) < n_kills - 1:
                raise Violation(f"{n_takeovers(run)} takeovers after {n_kills} kills: {restarted(run)}")
            return n, waits

    n, n_rounds, waits = 0, 0, []
    settings.n_events = int(max(settings.n_events, 0.6 * min(settings.n_many, 60) * settings.rate))
    while n < settings.n_many:
        counted, more = one_round(settings.n_many - n)
        n, n_rounds, waits = n + counted, n_rounds + 1, waits + more
        settings.tell(f"{n} of {settings.n_many} kills in {n_rounds} run(s)")
        if n_rounds > 2 + settings.n_many // 3:
            raise Violation("hardly any kill fell between the first and the last mark")
    waits.sort()
    settings.note(f"{n} kills in {n_rounds} run(s), each taken over from; a copy was complete again {waits[len(waits) // 2]:.2f} s after "
                  f"a takeover (median), at most {waits[-1]:.2f} s")


def promote(settings, shard):
    """Asks until the copy is complete."""
    end = time.monotonic() + scaled(END_S)
    while subprocess.run([settings.program, "ps", "--promote", shard.address], capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise Violation(f"{shard.address} does not take over")
        time.sleep(0.02)


class Pair:
    """A shard and its standby, each at an address of its own, as alternatives of one another."""

    def __init__(self, settings, folder, index):
        self.settings = settings
        self.shard = [Shard(settings, folder, index, N_SHARDS, f"{folder}/model") for turn in range(2)]
        for turn, shard in enumerate(self.shard):
            shard.address = f"ipc://{folder}/shard-{index}-{turn}"
            shard.command[shard.command.index("--bind") + 1] = shard.address
        self.plain = [list(shard.command) for shard in self.shard]
        self.primary, self.epoch = 0, 0
        self.shard[0].start()
        self.start_standby()

    @property
    def address(self):
        return "|".join(shard.address for shard in self.shard)

    def start_standby(self):
        other = 1 - self.primary
        self.shard[other].command = self.plain[other] + ["--standby-of", self.shard[self.primary].address]
        self.shard[other].start()

    def fail_over(self):
        """kill -9 of the primary once its standby is ready; what was killed stands by for its successor."""
        other = 1 - self.primary
        end = time.monotonic() + scaled(END_S)
        while not is_caught_up(self.settings, self.shard[self.primary].address) and time.monotonic() < end:
            time.sleep(0.02)
        was_killed = self.shard[self.primary].kill()
        promote(self.settings, self.shard[other])
        self.primary = other
        self.start_standby()
        return was_killed

    def stop(self):
        for shard in self.shard:
            shard.process.stop()


def joined(settings):
    """Joined shards with alternatives: promoted by hand; the one that was killed becomes the standby."""

    def one_round(n_wanted):
        with new_folder() as folder:
            pairs = [Pair(settings, folder, index) for index in range(N_SHARDS)]
            try:
                audit = Audit(settings, folder, ["--connect", ",".join(pair.address for pair in pairs)])
                run, n = audit.start_and_wait(), 0
                while n < n_wanted and run.is_running:
                    pause(settings, run, 0.0, 2 * kill_pace(settings, 1))
                    is_between = is_between_marks(run, settings.n_events)
                    n += settings.random.choice(pairs).fail_over() and is_between
                run.end(END_S)
                audit.note_life(run)
                audit.check()
                note_rewinds(settings, audit)
                return n
            finally:
                for pair in pairs:
                    pair.stop()

    rounds(settings, one_round)


CASES = {"standby-one": owned("async", False), "standby-sync": owned("sync", False), "standby-crew": owned("async", True),
         "standby-crew-sync": owned("sync", True), "standby-joined": joined,
         "standby-kept": owned("async", True, KEPT), "standby-again": again}
