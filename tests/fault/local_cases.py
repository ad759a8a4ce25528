"""Kills on runs over the local table, and on workers whose shards die with them: what comes out must equal an uninterrupted
run over the local table, byte for byte."""
import json
import math
import random
import subprocess
import time

from harness import END_S, FIRST_PROGRESS_S, Process, Violation, new_folder, read_json, scaled

# Figures of a report that depend on the clock or on how often the run was started.
VARIABLE = {"seconds", "events_per_second", "peak_rss_bytes", "model_version", "published_version", "checkpoint", "rewinds"}

LOCAL_PIPELINE = """\
version: 1
name: faults
source:
  type: file
  path: ../events.%(format)s
  format: %(format)s
  bad_records: {action: skip, limit: 10%%, dead_letter: bad.jsonl}
features:
  columns:
    - {field: a, as: numeric, scale: standard}
    - {field: b, as: numeric, transform: log1p, scale: standard, missing: 3}
    - {field: c, as: numeric}
%(more)s
model:
  type: %(learner)s
  params: %(params)s
checkpoint:
  dir: model
  every: {events: 1000}
  keep: 3
sinks:
  - {type: predictions, path: predictions.txt}
  - {type: jsonl, path: scored.jsonl}
%(servers)s
"""
FTRL_MORE = """\
    - {field: shop, as: categorical}
    - {field: city, as: categorical}
  crosses:
    - [shop, city]
label: {field: y}"""
PIPELINES = {
    "ftrl": {"learner": "ftrl", "params": "{alpha: 0.1, beta: 1.0, l1: 0.01, l2: 0.1}", "more": FTRL_MORE, "servers": "", "format": "json"},
    "kmeans": {"learner": "kmeans", "params": "{k: 4}", "more": "", "servers": "", "format": "json"},
}
TWO_SHARDS = {"servers": "parameter_servers: {shards: 2}"}
CSV = {"format": "csv"}


def make_event(rng):
    centre = rng.randrange(3)
    event = {"a": rng.gauss(10 * centre, 1), "b": abs(rng.gauss(3 * centre, 2)), "c": rng.random(),
             "shop": f"s{int(rng.expovariate(0.05))}", "city": f"c{rng.randrange(9)}"}
    event["y"] = int(rng.random() < 1 / (1 + math.exp(2 - event["b"])))
    if rng.random() < 0.1:
        del event["b"]
    return event


def write_events(base, n, seed):
    """The same events as JSON lines and as CSV, around three centres and with a planted label, and malformed lines of several kinds."""
    rng = random.Random(seed)
    bad_json = ["{{\"a\": {i}", "not json, line {i}", "{{\"a\": \"text {i}\", \"b\": 1, \"c\": 2, \"y\": 1}}",
                "{{\"a\": 1, \"b\": 1, \"c\": 2, \"y\": \"maybe {i}\"}}"]
    bad_csv = ["{i},1", "text {i},1,2,s1,c1,1", "1,1,2,s1,c1,maybe {i}", "1,2,3,s1,c1,1,{i}"]
    names = ["a", "b", "c", "shop", "city", "y"]
    with open(f"{base}/events.json", "w") as lines, open(f"{base}/events.csv", "w") as table:
        table.write(",".join(names) + "\n")
        for i in range(n):
            event = make_event(rng)
            lines.write(json.dumps(event) + "\n")
            table.write(",".join(str(event.get(name, "")) for name in names) + "\n")
            if i % 61 == 17:
                lines.write(bad_json[i % 4].format(i=i) + "\n")
                table.write(bad_csv[i % 4].format(i=i) + "\n")


def shown_rows(settings, model):
    shown = subprocess.run([settings.program, "model", "show", "--format", "json", model], capture_output=True, text=True,
                           timeout=scaled(120))
    if shown.returncode:
        raise Violation(f"model show ended with {shown.returncode}: {shown.stderr[-500:]}")
    said = json.loads(shown.stdout)
    return {key: said[key] for key in ("events", "blocks", "rows")}


def compare(settings, name, folder, wanted):
    for file in ("predictions.txt", "scored.jsonl", "bad.jsonl"):
        with open(f"{folder}/{file}", "rb") as found, open(f"{wanted}/{file}", "rb") as right:
            found, right = found.read(), right.read()
        if found != right:
            at = next((i for i, pair in enumerate(zip(found, right)) if pair[0] != pair[1]), min(len(found), len(right)))
            raise Violation(f"{name}: {file} has {len(found)} bytes, {len(right)} uninterrupted; they differ from byte {at} on")
    if shown_rows(settings, f"{folder}/model") != shown_rows(settings, f"{wanted}/model"):
        raise Violation(f"{name}: the rows differ from those of an uninterrupted run")
    found, right = read_json(f"{folder}/report.json"), read_json(f"{wanted}/report.json")
    for key in right:
        if key not in VARIABLE and found[key] != right[key]:
            raise Violation(f"{name}: report: {key} is {found[key]!r}, uninterrupted {right[key]!r}")


def make_folder(base, name, pipeline):
    folder = f"{base}/{name}"
    subprocess.run(["mkdir", folder], check=True)
    with open(f"{folder}/pipeline.yaml", "w") as out:
        out.write(LOCAL_PIPELINE % pipeline)
    return folder


def start(settings, folder, is_slow):
    rate = ["-s", f"source.rate={settings.rate}/s"] if is_slow else []
    return Process([settings.program, "run", "pipeline.yaml", *rate, "--report", "report.json", "--progress", "json",
                    "--progress-every", "50ms"], folder)


def kill_until(settings, folder, n_wanted):
    """Kills at random moments of every life, its start included; returns how many fell between first and last mark."""
    n, is_first = 0, True
    while n < n_wanted:
        run = start(settings, folder, True)
        if is_first:
            run.wait_for(lambda: run.events > 0, FIRST_PROGRESS_S, "first progress")
        is_first = False
        end = time.monotonic() + settings.random.uniform(0.0, 1.1)
        while time.monotonic() < end and run.is_running:
            time.sleep(0.002)
        is_between = run.events < settings.n_events
        if not run.kill():
            if run.popen.returncode:
                raise Violation(f"the run ended with exit code {run.popen.returncode}: {run.tail()}")
            return n
        n += is_between
    start(settings, folder, True).end(END_S)
    return n


def killed(name, changes):
    def case(settings):
        with new_folder() as base:
            write_events(base, settings.n_events, settings.seed)
            local = {**PIPELINES[name], "format": changes.get("format", "json")}
            wanted = make_folder(base, "wanted", local)
            start(settings, wanted, False).end(END_S)
            n, n_rounds = 0, 0
            while n < settings.n_kills and n_rounds < settings.n_kills:
                folder = make_folder(base, f"killed-{n_rounds}", {**local, **changes})
                n += kill_until(settings, folder, settings.n_kills - n)
                n_rounds += 1
                compare(settings, name, folder, wanted)
            right = read_json(f"{wanted}/report.json")
            if n < settings.n_kills or not right["bad_events"] or right["events"] < settings.n_events * 0.9:
                raise Violation(f"{name}: only {n} kills counted, on {right['events']} events, {right['bad_events']} malformed")
            settings.note(f"{n} kills counted in {n_rounds} run(s) of {settings.n_events / settings.rate:g} s; "
                          f"{right['events']} events, {right['bad_events']} malformed: rows, scores, dead letters, figures equal")
    return case


CASES = {"local-ftrl": killed("ftrl", {}), "local-kmeans": killed("kmeans", {}), "one-cut-ftrl": killed("ftrl", TWO_SHARDS),
         "one-cut-kmeans": killed("kmeans", TWO_SHARDS), "local-csv": killed("ftrl", CSV)}
