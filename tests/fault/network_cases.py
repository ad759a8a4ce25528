"""Faults of the network and of time: connections that break, stall or lie, and processes that stand still for seconds."""
import collections
import os
import re
import signal
import time

from counter_cases import N_SHARDS, Audit, pause
from crew_cases import FILES, N_WORKERS, CrewAudit
from harness import END_S, Process, Shard, Violation, audit_counts, is_between_marks, new_folder, write_audited_events
from proxy import INTERRUPTIONS, KINDS, Proxy

MAX_CUTS_A_RUN = 50


def start_shards(settings, folder):
    """Shards on ports of their own. Their addresses are in `address` once they serve."""
    shards = [Shard(settings, folder, i, N_SHARDS, f"{folder}/model") for i in range(N_SHARDS)]
    for shard in shards:
        shard.command[shard.command.index("--bind") + 1] = "tcp://127.0.0.1:*"
        shard.start()
    for shard in shards:
        shard.process.wait_for(lambda: any("serves at" in line for line in shard.process.lines), 20, "shard's address")
        shard.address = re.search(r"tcp://\S+", " ".join(shard.process.lines)).group()
    return shards


def stop_shards(shards):
    for shard in shards:
        if not shard.process.is_running:
            raise Violation(f"a shard ended with {shard.process.popen.returncode}: {shard.process.tail()}")
        shard.process.stop()


def target_of(address):
    host, _, port = address[len("tcp://"):].rpartition(":")
    return host, int(port)


# --- connections ---------------------------------------------------------------------------------------------------------


class CutAudit(CrewAudit):
    """Several workers on shards that the test started, through proxies."""

    pace = 0.3  # mean seconds between two faults

    def join(self, addresses):
        at = self.command.index("--shards")
        self.command[at:at + 2] = ["--connect", ",".join(addresses)]


class OneAudit(Audit):
    """One worker, with its lines of outputs. It has one connection a shard."""

    pace = 0.5

    def __init__(self, settings, folder):
        super().__init__(settings, folder, [], FILES)

    def join(self, addresses):
        self.command += ["--connect", ",".join(addresses)]


def fired(proxies):
    return sum((proxy.fired for proxy in proxies), collections.Counter())


def hole_seconds(settings):
    """Most are shorter than the connection's own patience, some longer."""
    return settings.random.uniform(0.1, 1.5) if settings.random.random() < 0.8 else settings.random.uniform(3.5, 5.0)


def strike_while_it_runs(settings, audit, run, proxies, n_wanted):
    """Faults of every kind in random order until n_wanted interruptions hit and enough events flowed. Returns how many did."""
    deck, started = [], run.events
    latest = started
    while run.is_running:
        counts = fired(proxies)
        if sum(counts[kind] for kind in INTERRUPTIONS) >= n_wanted and all(counts[kind] for kind in KINDS) and \
           latest - started >= settings.n_events // 5:
            break
        pause(settings, run, 0.0, 2 * audit.pace)
        if not is_between_marks(run, len(audit.predictions)):
            continue
        deck = deck or settings.random.sample(KINDS, len(KINDS))
        kind = deck.pop()
        settings.random.choice(proxies).strike(kind, hole_seconds(settings) if kind.startswith("hole") else 0.5)
        latest = run.events
    return latest - started


def network_round(settings, audit_type, n_wanted):
    with new_folder() as folder:
        shards = start_shards(settings, folder)
        proxies = [Proxy(target_of(shard.address), settings.random.random()) for shard in shards]
        run = None
        try:
            audit = audit_type(settings, folder)
            audit.join([proxy.address for proxy in proxies])
            run = audit.start_and_wait()
            n_events = strike_while_it_runs(settings, audit, run, proxies, n_wanted)
            run.end(END_S)
            audit.check()
            stop_shards(shards)
        finally:
            if run is not None:
                run.kill()
            for shard in shards:
                shard.process.stop()
            for proxy in proxies:
                proxy.stop()
    if n_events < settings.n_events // 5:
        raise Violation(f"only {n_events} of {settings.n_events} events flowed among the faults")
    return fired(proxies), sum(proxy.n_connections for proxy in proxies), n_events


def network_case(audit_type):
    def case(settings):
        counts, n_connections, n_events, n_rounds = collections.Counter(), 0, 0, 0
        n_cut = 0
        while n_cut < settings.n_cuts or not all(counts[kind] for kind in KINDS):
            more, connections, events = network_round(settings, audit_type, min(settings.n_cuts - n_cut, MAX_CUTS_A_RUN))
            counts, n_connections, n_events = counts + more, n_connections + connections, n_events + events
            n_cut, n_rounds = sum(counts[kind] for kind in INTERRUPTIONS), n_rounds + 1
            settings.tell(f"{n_cut} of {settings.n_cuts} interruptions in {n_rounds} run(s)")
            if n_rounds > settings.n_cuts:
                raise Violation(f"hardly any fault hit a connection: {dict(counts)}")
        settings.note(f"{sum(counts.values())} faults ({', '.join(f'{counts[kind]} {kind}' for kind in KINDS)}) on "
                      f"{n_connections} connections in {n_rounds} run(s); {n_events} events learned among them")
    return case


# --- pauses --------------------------------------------------------------------------------------------------------------

PIPELINE = """version: 1
name: paused
source:
  type: file
  path: [{files}]
  format: libsvm
  rate: {rate}/s
  bad_records: {{action: skip, limit: 10%}}
model: {{type: counter, table: exact}}
parameter_servers: {{connect: [{addresses}]}}
engine: {{batch: 64}}
workers: {n_workers}
"""
HELD_S = (4.2, 5.5)
GOES_ON_S = 20
CONFIG = 78  # exit code


def has_connection(pid, addresses):
    """Whether the process still has an open connection to one of the addresses: a peer that gave it up has closed it, and so
    has one that has ended."""
    sockets = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except FileNotFoundError:
        return False
    for name in names:
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{name}").removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    ports = {target_of(address)[1] for address in addresses}
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[3] == "01" and int(row[2].rpartition(":")[2], 16) in ports and row[9] in sockets for row in rows)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        words = stat.read().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def is_turned_away(process):
    """Its number is another process's that lives: of a paused worker and its successor one ends like this."""
    return process.popen.poll() == CONFIG and "E309" in process.tail()


class Share:
    """One worker's share and the processes that work on it: mostly one, two or three from a pause on."""

    def __init__(self, crew, index):
        self.command = [crew.settings.program, "worker", "pipeline.yaml", "--worker", f"{index}/{N_WORKERS}"]
        self.crew, self.processes = crew, []
        self.start()

    def start(self):
        self.processes.append(Process(self.command, self.crew.folder))

    def is_busy(self):
        """Puts those that have finished behind, so that the first one is at work."""
        self.processes.sort(key=lambda process: not process.is_running)
        return self.processes[0].is_running

    def pause_first(self):
        os.kill(self.processes[0].popen.pid, signal.SIGSTOP)
        self.start()

    def resume_first(self):
        """Whether it counts: its connections were given up, and there was something left to do."""
        pid = self.processes[0].popen.pid
        is_evicted = not has_connection(pid, self.crew.addresses)
        counts = is_evicted and self.processes[-1].is_running
        self.n_ticks = cpu_ticks(pid)
        os.kill(pid, signal.SIGCONT)
        return counts, is_evicted

    def check_goes_on(self):
        first = self.processes[0]
        pid = first.popen.pid
        first.wait_for(lambda: first.popen.poll() == 0 or is_turned_away(first) or has_connection(pid, self.crew.addresses)
                       and cpu_ticks(pid) > self.n_ticks, GOES_ON_S, "the worker that was paused")
        for process in self.processes:
            if process.popen.poll() and not is_turned_away(process):
                raise Violation(f"a worker ended with {process.popen.returncode} after a pause: {process.tail()}")

    def keep_one(self, random):
        """kill -9 of either, so that whoever is left must have everything done. They may all have ended meanwhile."""
        running = [process for process in self.processes if process.is_running]
        if len(running) > 1:
            random.choice(running).kill()
        self.processes = [process for process in self.processes if process.popen.returncode != -signal.SIGKILL]

    def end(self):
        """Somebody finishes: where the one that was left had been turned away, the next one does."""
        for process in self.processes:
            try:
                process.end(END_S)
            except Violation:
                if not is_turned_away(process):
                    raise
        if not any(process.popen.returncode == 0 for process in self.processes):
            self.start()
            self.processes[-1].end(END_S)


class PausedCrew:
    """Workers that were started by hand, one a share, on shards that were started by hand."""

    def __init__(self, settings, folder, shards):
        self.settings, self.folder = settings, folder
        self.counts, predictions, _ = write_audited_events([f"{folder}/{name}" for name in FILES], settings.n_events)
        self.n_events, self.addresses = len(predictions), [shard.address for shard in shards]
        self.n_paused = self.n_unevicted = 0
        with open(f"{folder}/pipeline.yaml", "w") as out:
            out.write(PIPELINE.format(files=", ".join(FILES), rate=settings.rate, n_workers=N_WORKERS,
                                      addresses=", ".join(f'"{address}"' for address in self.addresses)))
        self.shares = [Share(self, i) for i in range(N_WORKERS)]

    def pause_some(self, n_wanted):
        busy = [share for share in self.shares if share.is_busy()]
        hit = self.settings.random.sample(busy, min(len(busy), n_wanted, self.settings.random.randint(1, N_WORKERS)))
        for share in hit:
            share.pause_first()
        time.sleep(self.settings.random.uniform(*HELD_S))
        for share in hit:
            counts, is_evicted = share.resume_first()
            self.n_paused += counts
            self.n_unevicted += not is_evicted
        for share in hit:
            share.check_goes_on()
        time.sleep(self.settings.random.uniform(0.1, 1.0))
        for share in hit:
            if share.is_busy() and self.settings.random.random() < 0.8 or len(share.processes) > 3:
                share.keep_one(self.settings.random)

    def end(self):
        for share in self.shares:
            share.end()

    def stop(self):
        for share in self.shares:
            for process in share.processes:
                process.kill()

    def check(self):
        """A last run finds nothing left to learn and saves what the shards hold."""
        run = Process([self.settings.program, "run", "pipeline.yaml", "-s", "checkpoint.dir=model", "--progress", "json",
                       "--progress-every", "20ms"], self.folder)
        run.end(END_S)
        if run.first_events != self.n_events:
            raise Violation(f"the workers left {self.n_events - (run.first_events or 0)} events out")
        audit_counts(self.settings, f"{self.folder}/model", self.counts)


def pause_round(settings, n_wanted):
    with new_folder() as folder:
        shards, crew = start_shards(settings, folder), None
        try:
            crew = PausedCrew(settings, folder, shards)
            time.sleep(settings.random.uniform(0.3, 1.0))
            while crew.n_paused < n_wanted and any(share.is_busy() for share in crew.shares):
                crew.pause_some(n_wanted - crew.n_paused)
            crew.end()
            crew.check()
            stop_shards(shards)
            return crew
        finally:
            if crew is not None:
                crew.stop()
            for shard in shards:
                shard.process.stop()


def crew_pauses(settings):
    settings.rate = int(settings.n_events / max(15, settings.n_events / settings.rate))
    n = n_unevicted = n_rounds = 0
    while n < settings.n_pauses:
        crew = pause_round(settings, settings.n_pauses - n)
        n, n_unevicted, n_rounds = n + crew.n_paused, n_unevicted + crew.n_unevicted, n_rounds + 1
        settings.tell(f"{n} of {settings.n_pauses} pauses in {n_rounds} run(s)")
        if n_rounds > settings.n_pauses:
            raise Violation(f"hardly any pause went past eviction while there was work: {n_unevicted} kept their connections")
    settings.note(f"{n} pauses past eviction ({n_unevicted} more were not noticed) in {n_rounds} run(s) of {crew.n_events} events")


CASES = {"crew-network": network_case(CutAudit), "one-network": network_case(OneAudit), "crew-pauses": crew_pauses}
