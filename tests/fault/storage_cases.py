"""Disks that are full or closed, checkpoints that are damaged, shards that stay away."""
import os
import resource
import shutil
import socket
import subprocess
import time

from counter_cases import CHECKPOINT_EVENTS, N_SHARDS, Audit
from harness import END_S, Process, Shard, Skip, Violation, new_folder, scaled, write_audited_events

TIMEOUT_S = 60
EXIT_DATA, EXIT_UNAVAILABLE, EXIT_IO = 65, 69, 74
MAX_BETWEEN_CHECKPOINTS_S = 30


def call(command, folder, wanted_code, wanted_words, what):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=scaled(TIMEOUT_S))
    said = done.stderr[-800:]
    if done.returncode != wanted_code:
        raise Violation(f"{what}: exit code {done.returncode}, not {wanted_code}: {said}")
    missing = [word for word in wanted_words if word not in done.stderr]
    if missing:
        raise Violation(f"{what}: the messages do not say {missing[0]!r}: {said}")
    return done.stderr


# --- full and closed disks -----------------------------------------------------------------------------------------------


class SmallDisk:
    """A file system of its own that can be filled to the last byte."""

    def __init__(self, folder, size):
        self.path = folder
        os.mkdir(folder)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True)
        if done.returncode:
            raise Skip(f"no file system can be mounted here: {done.stderr.strip()}")

    def fill(self):
        try:
            with open(f"{self.path}/filler", "ab", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 4096)
        except OSError:
            pass

    def free(self):
        os.unlink(f"{self.path}/filler")

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        subprocess.run(["umount", "-l", self.path], check=False)


def has_warned(run):
    return any("checkpoint failed" in line for line in run.lines)


def wait_for_failures(run, n_more):
    n, events = run.n_failures, run.events
    run.wait_for(lambda: run.n_failures >= n + n_more and run.events >= events + CHECKPOINT_EVENTS, MAX_BETWEEN_CHECKPOINTS_S,
                 "learning goes on while checkpoints fail")
    run.wait_for(lambda: has_warned(run), 1, "a failed checkpoint is announced")


def wait_for_checkpoint(run, n_more):
    n = run.n_checkpoints
    run.wait_for(lambda: run.n_checkpoints >= n + n_more, MAX_BETWEEN_CHECKPOINTS_S, "a checkpoint")


def full_disk(more):
    def case(settings):
        with new_folder() as folder, SmallDisk(f"{folder}/model", "16m") as disk:
            audit = Audit(settings, folder, more)
            run = audit.start_and_wait()
            wait_for_checkpoint(run, 2)
            disk.fill()
            wait_for_failures(run, 2)
            shutil.copytree(disk.path, f"{folder}/kept", ignore=shutil.ignore_patterns("filler"))
            call([settings.program, "model", "show", "--format", "json", "kept"], folder, 0, [], "the checkpoint before")
            disk.free()
            wait_for_checkpoint(run, 1)
            disk.fill()
            code = run.popen.wait(scaled(END_S))
            run.reader.join(5)
            if code != EXIT_IO or not any("space" in line for line in run.lines[-3:]):
                raise Violation(f"a disk that is full at the end: exit code {code}, not {EXIT_IO}: {run.tail()}")
            disk.free()
            again = audit.start()
            again.end()
            audit.check()
            settings.note(f"{run.n_failures} checkpoints failed, {run.n_checkpoints + again.n_checkpoints} succeeded")
    return case


def file_limit(settings):
    """The same by a limit on the size of files, which needs no right to mount."""
    with new_folder() as folder:
        audit = Audit(settings, folder, [])
        at = audit.command.index("--predictions")
        del audit.command[at:at + 4]
        run = audit.start_and_wait()
        wait_for_checkpoint(run, 1)
        resource.prlimit(run.popen.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        wait_for_failures(run, 2)
        resource.prlimit(run.popen.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for_checkpoint(run, 1)
        run.end()
        audit.check_rows()


def closed_disk(settings):
    """A checkpoint directory that cannot be written is an error before anything is learned."""
    with new_folder() as folder:
        write_audited_events([f"{folder}/events.libsvm"], 100)
        with open(f"{folder}/file", "w"):
            pass
        for more in ([], ["--shards", "2"]):
            for directory in ("file", "file/model", "/proc/thalweg-faults/model"):
                command = [settings.program, "train", "--format", "libsvm", "--learner", "counter", "--model", directory, *more,
                           "events.libsvm"]
                call(command, folder, EXIT_IO, [directory.split("/model")[0]], f"checkpoints in {directory}")


# --- damaged checkpoints --------------------------------------------------------------------------------------------------


class Damaged:
    """A model with several checkpoints, from which copies are damaged and resumed."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        with open(f"{folder}/events.libsvm", "w") as out:
            for i in range(400):
                out.write(f"{i * 7 % 3 // 2} {1 + i % 7}:1 {100 + i % 13}:1\n")
        self.run_to("good", 200)
        self.run_to("good", 400)
        self.wanted = self.rows("good")
        self.ids = sorted(int(name[:6]) for name in os.listdir(f"{folder}/good") if name.endswith(".manifest"))

    def command(self, model, n):
        return [self.settings.program, "train", "--format", "libsvm", "--learner", "ftrl", "--model", model, "--batch", "50",
                "--checkpoint-every", "100", "--until", str(n), "--progress", "none", "events.libsvm"]

    def run_to(self, model, n):
        call(self.command(model, n), self.folder, 0, [], "the undamaged run")

    def rows(self, model):
        return subprocess.run([self.settings.program, "model", "show", "--format", "json", model], cwd=self.folder, check=True,
                              capture_output=True, text=True).stdout.split('"rows"')[1]

    def name(self, kind, age=0):
        return f"{self.ids[-1 - age]:06d}.{kind}"

    def resume(self, damage, what):
        """Damages a copy; the run must name the file, take the checkpoint before it, and come to the same rows."""
        copy = f"{self.folder}/copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(f"{self.folder}/good", copy)
        path = damage(copy)
        said = call(self.command("copy", 400), self.folder, 0, [os.path.basename(path), "warning", f"is used ({self.ids[-2]:06d})"], what)
        if self.rows("copy") != self.wanted:
            raise Violation(f"{what}: the rows differ after the run went on: {said[-300:]}")


def flip(name, at, bit):
    def damage(copy):
        path = f"{copy}/{name}"
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ bit]))
        return path
    return damage


def truncate(name, size):
    def damage(copy):
        os.truncate(f"{copy}/{name}", size)
        return f"{copy}/{name}"
    return damage


def remove(name):
    def damage(copy):
        os.unlink(f"{copy}/{name}")
        return f"{copy}/{name}"
    return damage


def chosen(settings, size, n):
    if n is None or n >= size:
        return list(range(size))
    return sorted(settings.random.sample(range(size), n))


def corrupt(settings):
    n_manifest, n_rows = settings.flips
    with new_folder() as folder:
        model = Damaged(settings, folder)
        n = 0
        for kind, wanted in (("manifest", n_manifest), ("rows-0-of-1", n_rows)):
            name = model.name(kind)
            size = os.path.getsize(f"{folder}/good/{name}")
            for at in chosen(settings, size, wanted):
                bit = 1 << settings.random.randrange(8)
                model.resume(flip(name, at, bit), f"{name}: bit {bit} of byte {at} flipped")
                n += 1
            for at in chosen(settings, size, 40 if wanted is not None and wanted < 100 else 200):
                model.resume(truncate(name, at), f"{name}: cut to {at} of {size} bytes")
                n += 1
        model.resume(remove(model.name("rows-0-of-1")), "the rows are missing")
        settings.note(f"{n} damages of a checkpoint, each noticed, each resumed from the one before")
        for number in model.ids:
            flip(f"{number:06d}.manifest", 60, 1)(f"{folder}/good")
        call(model.command("good", 400), folder, EXIT_DATA, ["none of", ".manifest", "--fresh"], "all checkpoints damaged")


# --- shards that stay away -------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def dead_shard(settings):
    """A shard that nobody starts again: the run names it and ends; what was saved is whole and goes on later."""
    with new_folder() as folder:
        shards = [Shard(settings, folder, i, N_SHARDS, f"{folder}/model") for i in range(N_SHARDS)]
        audit = Audit(settings, folder, ["--connect", ",".join(shard.address for shard in shards)])
        for shard in shards:
            shard.start()
        try:
            run = audit.start_and_wait()
            wait_for_checkpoint(run, 1)
            shards[1].kill()
            code = run.popen.wait(scaled(END_S))
            run.reader.join(5)
            last = run.lines[-1] if run.lines else ""
            if code != EXIT_UNAVAILABLE or shards[1].address not in last or "check that it runs" not in last:
                raise Violation(f"a dead shard: exit code {code}, not {EXIT_UNAVAILABLE}: {run.tail()}")
            shards[1].start()
            audit.start().end()
            audit.check()
        finally:
            for shard in shards:
                shard.process.stop()


def absent_shard(settings):
    address = f"tcp://127.0.0.1:{free_port()}"
    with new_folder() as folder:
        write_audited_events([f"{folder}/events.libsvm"], 100)
        call([settings.program, "train", "--format", "libsvm", "--learner", "counter", "--connect", address, "events.libsvm"],
             folder, EXIT_UNAVAILABLE, [address, "check that it runs"], "a shard that is not there")


CASES = {"disk-full": full_disk([]), "disk-full-shards": full_disk(["--shards", "2"]), "file-limit": file_limit,
         "disk-closed": closed_disk, "corrupt": corrupt, "dead-shard": dead_shard, "absent-shard": absent_shard}
