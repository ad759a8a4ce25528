"""What the fault tests share: events that can be audited one by one, processes that are killed, and the audit itself."""
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from slowness import scaled

ID_BASE = 1_000_000
FIRST_PROGRESS_S = 60
END_S = 120  # without any progress; a loaded machine may take LONGEST times as long
LONGEST = 8


class Violation(Exception):
    """A promise that was broken; the message says which and where."""


class Skip(Exception):
    """The case could not run here."""


class Settings:
    """What a case is run with: the program, how many kills, events and events a second, and its own random numbers."""

    def __init__(self, program, seed, n_kills, seconds, rate, flips):
        self.program, self.seed, self.n_kills, self.flips = program, seed, n_kills, flips
        self.rate, self.n_events = rate, int(seconds * rate)
        self.random = random.Random(seed)
        self.notes, self.name = [], ""

    def note(self, text):
        self.notes.append(text)

    def tell(self, text):
        """How far it is, at once: a long form that is ended from outside is not silent."""
        print(f"   {self.name}: {text}", flush=True)


# --- events with their own ids -------------------------------------------------------------------------------------------


def event_keys(i):
    return [1 + i % 7] + [100 + k * 50 + (i * (k + 3)) % 47 for k in range(1 + i % 5)] + [ID_BASE + i]


def write_audited_events(paths, n, n_passes=1):
    """Writes n events in libsvm form over the files, each with its own id as a key and 2 to 6 shared ones, and malformed lines in
    between. Returns what n_passes over them give: (counts of every key, predictions of every event, malformed lines)."""
    counts, predictions, bad = {}, [], []
    for number, path in enumerate(paths):
        with (gzip.open if path.endswith(".gz") else open)(path, "wt") as out:
            for i in range(number * n // len(paths), (number + 1) * n // len(paths)):
                keys = event_keys(i)
                for key in keys:
                    counts[key] = counts.get(key, 0) + n_passes
                predictions.append(str(len(keys)))
                out.write(f"{i % 2} " + " ".join(f"{key}:1" for key in keys) + "\n")
                if i % 53 == 11:
                    bad.append(f"malformed line after event {i}")
                    out.write(bad[-1] + "\n")
    return counts, predictions * n_passes, bad * n_passes


def compare_lines(path, wanted, what):
    with open(path) as lines:
        found = lines.read().split("\n")
    if found and found[-1] == "":
        found.pop()
    if found == wanted:
        return
    at = next((i for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]), min(len(found), len(wanted)))
    raise Violation(f"{what}: {len(found)} lines, {len(wanted)} expected; line {at + 1} is the first that differs")


def audit_counts(settings, model, counts):
    """Every key must have been counted exactly as often as it occurred."""
    shown = subprocess.run([settings.program, "model", "show", "--format", "json", model], capture_output=True, text=True,
                           timeout=scaled(120))
    if shown.returncode:
        raise Violation(f"model show ended with {shown.returncode}: {shown.stderr[-500:]}")
    found = {int(key): row["count"] for key, row in json.loads(shown.stdout)["rows"].items()}
    lost = [k for k, n in counts.items() if found.get(k, 0) < n]
    doubled = [k for k, n in found.items() if n > counts.get(k, 0)]
    if lost or doubled:
        ids = [k - ID_BASE for k in lost + doubled if k >= ID_BASE]
        raise Violation(f"{len(lost)} keys lost, {len(doubled)} doubled; events {sorted(ids)[:10]}")


# --- processes -----------------------------------------------------------------------------------------------------------


class Process:
    """A run of the program whose progress is followed on its standard error."""

    living = set()  # of all threads

    def __init__(self, command, folder, **more):
        self.lines, self.progress, self.first_events = [], {}, None
        self.n_checkpoints = self.n_failures = 0
        self.popen = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **more)
        Process.living.add(self.popen)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.popen.stderr:
            if not line.startswith('{"event":'):
                self.lines.append(line.rstrip("\n"))
                continue
            said = json.loads(line)
            self.n_checkpoints += said["event"] == "checkpoint"
            self.n_failures = said["checkpoint_failures"]
            if self.first_events is None:
                self.first_events = said["events"]
            self.progress = said

    @property
    def events(self):
        return self.progress.get("events", 0)

    @property
    def is_running(self):
        return self.popen.poll() is None

    def wait_for(self, condition, seconds, what):
        end = time.monotonic() + scaled(seconds)
        while not condition():
            if not self.is_running:
                self.reader.join(5)
                if condition():
                    return
                raise Violation(f"{what}: the process ended with {self.popen.returncode}: {self.tail()}")
            if time.monotonic() > end:
                raise Violation(f"{what}: not within {scaled(seconds)} s: {self.tail()}")
            time.sleep(0.005)

    def kill(self):
        """kill -9; True: it was still running."""
        was_running = self.is_running
        sockets = {os.path.dirname(word[len("ipc://"):]) for _, words in children_of(self.popen.pid) for word in words
                   if word.startswith("ipc:///tmp/thalweg-")}
        self.popen.kill()
        code = self.popen.wait(scaled(20))
        self.reader.join(20)
        for folder in sockets:
            shutil.rmtree(folder, ignore_errors=True)
        return was_running and code == -signal.SIGKILL

    def stop(self):
        if self.is_running:
            self.popen.terminate()
            try:
                self.popen.wait(scaled(20))
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(20)
        self.reader.join(5)

    def end(self, seconds=END_S):
        """Waits for the regular end. A run that learns or says something is slow; one that does not for so long hangs."""
        seconds = scaled(seconds)
        last, end = time.monotonic() + LONGEST * seconds, 0
        state, code = None, None
        while code is None:
            now = time.monotonic()
            if state != (state := (self.events, self.n_checkpoints, len(self.lines))):
                end = now + seconds
            if now > end:
                raise Violation(f"the run hangs: nothing new for {seconds} s: {self.tail()}")
            if now > last:
                raise Violation(f"the run did not end within {LONGEST * seconds} s: {self.tail()}")
            try:
                code = self.popen.wait(0.5)
            except subprocess.TimeoutExpired:
                pass
        self.reader.join(20)
        if code:
            raise Violation(f"the run ended with exit code {code}: {self.tail()}")

    def tail(self):
        return " | ".join(self.lines[-6:])[-1200:] + f" | last progress: {self.events} events"


class Shard:
    """One `thalweg ps` that the test starts, kills and starts again."""

    def __init__(self, settings, folder, index, count, directory, snapshot_every="300ms"):
        self.folder, self.address = folder, f"ipc://{folder}/shard-{index}"
        self.command = [settings.program, "ps", "--shard", f"{index}/{count}", "--bind", self.address, "--checkpoint",
                        directory, "--snapshot-every", snapshot_every]
        self.process = None
        self.errors = []

    def start(self):
        self.process = Process(self.command, self.folder)

    def kill(self):
        killed = self.process.kill()
        self.errors += [line for line in self.process.lines if "error" in line]
        return killed


def children_of(pid):
    """(pid, command line) of the direct children."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            if parent == pid:
                with open(f"/proc/{name}/cmdline", "rb") as line:
                    found.append((int(name), line.read().decode().split("\0")))
        except (OSError, ValueError, IndexError):
            continue
    return found


def owned_shard(run, index):
    """The process id of a shard that the run started, or None."""
    for pid, words in children_of(run.popen.pid):
        if "--shard" in words and words[words.index("--shard") + 1].startswith(f"{index}/"):
            return pid
    return None


def is_between_marks(run, n_events):
    return 0 < run.events < n_events


def new_folder():
    return tempfile.TemporaryDirectory(prefix="thalweg-fault-")


def read_json(path):
    with open(path) as text:
        return json.load(text)
