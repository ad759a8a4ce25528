"""The counter once more, on processes that nobody but a coordinator leads: it, workers, shards and standbys die."""
import json
import os
import subprocess
import time

from crew_cases import FILES, N_WORKERS
from harness import END_S, Process, Shard, Violation, audit_counts, new_folder, scaled, write_audited_events

N_SHARDS = 2
ROLES = ("coordinator", "worker", "shard", "shard", "standby")
TAKEOVER_S = 15
SETTLED_S = 3.5


def status_of(settings, address):
    said = subprocess.run([settings.program, "status", "--json", "--timeout", "300ms", "--connect", address], capture_output=True,
                          text=True, check=False).stdout
    return json.loads(said)["shards"][0] if said else {}


class Pair:
    """A shard and its standby at addresses of their own. What dies comes back as the standby of the one that serves."""

    def __init__(self, settings, folder, index):
        self.settings, self.index = settings, index
        self.side = [Shard(settings, folder, index, N_SHARDS, f"{folder}/model", "0s") for _ in range(2)]
        for number, side in enumerate(self.side):
            side.address = f"ipc://{folder}/shard-{index}-{number}"
            side.command[side.command.index("--bind") + 1] = side.address
        self.plain = [list(side.command) for side in self.side]
        self.serving, self.n_takeovers = 0, 0
        self.side[0].start()
        self.start_standby()

    @property
    def address(self):
        return "|".join(side.address for side in self.side)

    def start_standby(self):
        other = 1 - self.serving
        self.side[other].command = self.plain[other] + ["--standby-of", self.side[self.serving].address]
        self.side[other].start()
        self.since = time.monotonic()

    @property
    def is_copied(self):
        """By this standby: a shard waits for a lost one for 3 s before it takes another."""
        return time.monotonic() - self.since > SETTLED_S and status_of(self.settings, self.side[self.serving].address).get("is_caught_up") == 1

    def kill_shard(self):
        """kill -9; the coordinator has to find it. False: its standby is not ready."""
        if not self.is_copied:
            return False
        self.side[self.serving].kill()
        other, end = 1 - self.serving, time.monotonic() + scaled(TAKEOVER_S)
        while status_of(self.settings, self.side[other].address).get("is_standby") != 0:
            if time.monotonic() > end:
                raise Violation(f"shard {self.index}: nobody took over within {scaled(TAKEOVER_S)} s")
            time.sleep(0.05)
        self.serving = other
        self.n_takeovers += 1
        self.start_standby()
        return True

    def kill_standby(self):
        self.side[1 - self.serving].kill()
        self.start_standby()
        return True

    def stop(self):
        for side in self.side:
            side.process.stop()


class Field:
    """All processes of one run, and who of them is killed next."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.counts, _, _ = write_audited_events([f"{folder}/{name}" for name in FILES], settings.n_events)
        self.pairs = [Pair(settings, folder, index) for index in range(N_SHARDS)]
        self.write_pipeline("pipeline.yaml", f", rate: {settings.rate}/s")
        self.coordinator = self.start_coordinator()
        self.workers = [self.start_worker(i) for i in range(N_WORKERS)]
        self.n = dict.fromkeys(ROLES, 0)
        self.n_coordinators = self.n_started = 0

    def write_pipeline(self, name, rate, more=""):
        shards = ", ".join(f'"{pair.address}"' for pair in self.pairs)
        with open(f"{self.folder}/{name}", "w") as out:
            out.write(f"version: 1\nname: joined\nsource: {{path: [{', '.join(FILES)}], format: libsvm{rate}, "
                      f"bad_records: {{limit: 10%}}}}\nmodel: {{type: counter, table: exact}}\nengine: {{batch: 64}}\n"
                      f"parameter_servers: {{connect: [{shards}], timeout: 30s}}\n{more}")

    def start_coordinator(self):
        return Process([self.settings.program, "coordinator", "--bind", f"ipc://{self.folder}/coordinator", "--shards",
                        ",".join(pair.address for pair in self.pairs)], self.folder)

    def start_worker(self, number):
        return Process([self.settings.program, "worker", "pipeline.yaml", "--coordinator", f"ipc://{self.folder}/coordinator",
                        "--name", f"w{number}"], self.folder)

    @property
    def events(self):
        found = [status_of(self.settings, pair.side[pair.serving].address).get("events") or 0 for pair in self.pairs]
        return max(found)

    @property
    def is_running(self):
        return any(worker.is_running for worker in self.workers)

    def strike(self):
        """kill -9 of one; False: it could not be one of these just now."""
        role = self.settings.random.choice(ROLES)
        if role == "coordinator":
            self.coordinator.kill()
            time.sleep(self.settings.random.uniform(0, 0.5))
            self.coordinator = self.start_coordinator()
        elif role == "worker":
            number = self.settings.random.choice([i for i, worker in enumerate(self.workers) if worker.is_running] or [0])
            if not self.workers[number].kill():
                return False
            self.workers[number] = self.start_worker(number)
        else:
            pair = self.settings.random.choice(self.pairs)
            if not (pair.kill_shard() if role == "shard" else pair.kill_standby()):
                return False
        self.n[role] += 1
        return True

    def end(self):
        for worker in self.workers:
            worker.end(END_S)

    def audit(self):
        """A run on the same shards finds nothing to learn; what it saves is what they hold."""
        self.write_pipeline("audit.yaml", "", "workers: 2\ncheckpoint: {dir: model}\n")
        done = subprocess.run([self.settings.program, "run", "audit.yaml", "--progress", "none"], cwd=self.folder, timeout=scaled(END_S),
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Violation(f"the audit's run ended with {done.returncode}: {done.stderr[-600:]}")
        audit_counts(self.settings, f"{self.folder}/model", self.counts)

    def stop(self):
        for process in [*self.workers, self.coordinator]:
            process.stop()
        for pair in self.pairs:
            pair.stop()


def one_round(settings, n_wanted):
    with new_folder() as folder:
        field = Field(settings, folder)
        try:
            n, end = 0, time.monotonic() + scaled(END_S)
            while field.events == 0 and time.monotonic() < end:
                time.sleep(0.05)
            while n < n_wanted and field.is_running:
                time.sleep(settings.random.uniform(0.05, 0.6))
                is_between = 0 < field.events < settings.n_events
                n += field.strike() and is_between
            field.end()
            field.audit()
            takeovers = sum(pair.n_takeovers for pair in field.pairs)
            settings.note(", ".join(f"{count} of {role}" for role, count in field.n.items()) + f"; {takeovers} takeovers")
            return n, field.n
        except Violation as what:
            lines = [side.process.tail() for pair in field.pairs for side in pair.side]
            raise Violation(f"{what}; coordinator: {field.coordinator.tail()}; shards: {lines}")
        finally:
            field.stop()


def led(settings):
    """Until enough kills counted, and each role was hit."""
    n, n_rounds, hit = 0, 0, dict.fromkeys(ROLES, 0)
    settings.n_events = int(max(8.0, settings.n_events / settings.rate) * settings.rate)
    while n < settings.n_kills or min(hit.values()) == 0:
        counted, by_role = one_round(settings, max(len(ROLES), settings.n_kills - n))
        n, n_rounds = n + counted, n_rounds + 1
        hit = {role: hit[role] + by_role[role] for role in hit}
        settings.tell(f"{n} of {settings.n_kills} kills in {n_rounds} run(s)")
        if n_rounds > 2 * settings.n_kills:
            raise Violation("hardly any kill fell between the first and the last mark")
    settings.note(f"{n} kills counted in {n_rounds} run(s) of {settings.n_events / settings.rate:g} s")


CASES = {"coordinator-led": led}
