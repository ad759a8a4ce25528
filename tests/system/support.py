"""What the system tests share: calling the program, made data, servers on free ports, and a runner that prints one line a case."""
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(os.path.dirname(ROOT), "shared", "data")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import slowness
from slowness import scaled

TIMEOUT_S = 60
program = None


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def free_port():
    """Below the ports that the system gives to outgoing connections: one of those may be taken again before it is bound."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def unpack(name, path):
    """A gzipped data set as a plain file; skips the case where it is absent."""
    source = os.path.join(DATA, name)
    if not os.path.exists(source):
        raise unittest.SkipTest(f"{name} is not beside the repository")
    with gzip.open(source, "rb") as packed, open(path, "wb") as plain:
        shutil.copyfileobj(packed, plain)
    return path


def wait_for(condition, what, seconds=20):
    deadline = time.monotonic() + scaled(seconds)
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {scaled(seconds)} s: {what}")


def children_of(pid):
    """(pid, command line) of the direct children."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            if parent == pid:
                with open(f"/proc/{name}/cmdline", "rb") as line:
                    found.append((int(name), line.read().decode().split("\0")))
        except (OSError, ValueError, IndexError):
            continue
    return found


class Case(unittest.TestCase):
    """A folder of its own per case; processes that it started end with it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="thalweg-test-")
        self.children = []

    def tearDown(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        return write(self.path(name), text)

    def call(self, *arguments, code=0, stdin=None, timeout=TIMEOUT_S, **more):
        """Runs the program; the exit code must be `code`. Returns the finished process, its output as text."""
        done = subprocess.run([program, *map(str, arguments)], cwd=self.folder, input=stdin, capture_output=True, text=True,
                              timeout=scaled(timeout), **more)
        shown = f"thalweg {' '.join(map(str, arguments))}\nstdout: {done.stdout[-1500:]}\nstderr: {done.stderr[-3000:]}"
        self.assertEqual(done.returncode, code, f"exit code of {shown}")
        return done

    def fails(self, code, wanted, *arguments, **more):
        """As call; the message must hold every text of `wanted`, and standard output must stay empty."""
        done = self.call(*arguments, code=code, **more)
        for text in wanted:
            self.assertIn(text, done.stderr)
        self.assertEqual(done.stdout, "", "standard output is for data")
        return done.stderr

    def train(self, *arguments, learner="ftrl", format="libsvm", **more):
        return self.call("train", "--format", format, "--learner", learner, "--progress", "none", *arguments, **more)

    def start(self, *arguments):
        """Starts the program in the background; standard error goes to self.path("stderr-N")."""
        log = open(self.path(f"stderr-{len(self.children)}"), "wb")
        child = subprocess.Popen([program, *map(str, arguments)], cwd=self.folder, stdout=subprocess.PIPE, stderr=log)
        log.close()
        child.log = log.name
        self.children.append(child)
        return child

    def stop(self, child, code=0, seconds=20):
        """SIGTERM, and the exit code that must follow."""
        child.terminate()
        child.wait(timeout=scaled(seconds))
        self.assertEqual(child.returncode, code, read(child.log))

    def report(self, name="report.json"):
        return json.loads(read(self.path(name)))

    def model(self, directory, *more):
        return json.loads(self.call("model", "show", directory, "--format", "json", *more).stdout)

    def rows(self, directory):
        """What a model has learned, without what tells one checkpoint from another."""
        shown = self.model(directory)
        return {key: shown[key] for key in ("learner", "events", "blocks", "rows")}


def libsvm_events(n, seed=1, width=60):
    """Made libsvm lines with a planted model: integer names, values 1, labels 1 and 0."""
    pick = random.Random(seed)
    weight = [pick.gauss(0, 1) for _ in range(width)]
    lines = []
    for _ in range(n):
        keys = sorted(pick.sample(range(1, width), 6))
        label = int(sum(weight[key] for key in keys) + pick.gauss(0, 1) > 0)
        lines.append(f"{label} " + " ".join(f"{key}:1" for key in keys))
    return lines


class LineResult(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def say(self, word, test, more=""):
        name = getattr(test, "_testMethodName", str(test)).removeprefix("test_").replace("_", " ")
        print(f"   {word:8}{name} ({time.monotonic() - self.started:.1f} s){more}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("FAILED", test, "\n" + self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.started = getattr(self, "started", time.monotonic())
        self.say("FAILED", test, "\n" + self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skipped", test)
        print(f"SKIPPED: {reason}\nNOT MEASURED: {test._testMethodName.removeprefix('test_').replace('_', ' ')} ({reason})")


def main(module):
    """NAME BUILD [WORD...]: runs the cases whose names contain a WORD; exit code 77: the program is not built."""
    global program
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} BUILD [WORD...]")
    program = os.path.join(os.path.abspath(sys.argv[1]), "thalweg")
    slowness.take_from(sys.argv[1])
    if not os.access(program, os.X_OK):
        print(f"NOT MEASURED: {os.path.basename(sys.argv[0])}: {program} is not built")
        return 77
    suite = unittest.TestSuite()
    for test in _cases(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])):
        if len(sys.argv) == 2 or any(word in test.id() for word in sys.argv[2:]):
            suite.addTest(test)
    result = LineResult()
    suite.run(result)
    n_failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - n_failed - len(result.skipped)} passed, {n_failed} failed, {len(result.skipped)} skipped")
    return 1 if n_failed else 0


def _cases(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from _cases(part)
        else:
            yield part
