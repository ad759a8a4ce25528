#!/usr/bin/python3
"""convert.py PACKAGE.tar.gz MEMBER OUT.jsonl: the flights table as a JSON-lines log in the order of scheduled departure.

A line: carrier, origin, dest, tailnum ("" if unknown), month, weekday (1 = Monday), hour, distance (miles), ts (scheduled
departure, epoch seconds), late (1: departed more than 15 minutes after schedule). Cancelled flights have no departure delay;
they are dropped and counted. Equal times keep the order of carrier, flight number, origin, destination, then of the table.
Needs only Python's standard library; the same package gives the same bytes.
"""
import csv
import datetime
import io
import json
import sys
import tarfile
import zipfile

LATE_MINUTES = 15


def departure_s(row):
    """Scheduled departure: time_hour is the UTC hour, the table's own hour and minute are local."""
    hour = datetime.datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return int(hour.timestamp()) + 60 * int(row["minute"])


def event(row, ts):
    day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
    return {
        "carrier": row["carrier"],
        "origin": row["origin"],
        "dest": row["dest"],
        "tailnum": "" if row["tailnum"] == "NA" else row["tailnum"],
        "month": int(row["month"]),
        "weekday": day.isoweekday(),
        "hour": int(row["hour"]),
        "distance": int(float(row["distance"])),
        "ts": ts,
        "late": int(float(row["dep_delay"]) > LATE_MINUTES),
    }


def read_rows(package, member):
    with tarfile.open(package) as archive:
        zipped = zipfile.ZipFile(io.BytesIO(archive.extractfile(member).read()))
    with zipped.open(zipped.namelist()[0]) as table:
        yield from csv.DictReader(io.TextIOWrapper(table, encoding="utf-8", newline=""))


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__.splitlines()[0])
    package, member, out = sys.argv[1:]
    events, n_rows = [], 0
    for row in read_rows(package, member):
        n_rows += 1
        if row["dep_delay"] not in ("", "NA"):
            ts = departure_s(row)
            order = (ts, row["carrier"], int(row["flight"]), row["origin"], row["dest"], n_rows)
            events.append((order, event(row, ts)))
    events.sort(key=lambda pair: pair[0])
    with open(out, "w", encoding="utf-8", newline="\n") as log:
        for _, fields in events:
            log.write(json.dumps(fields, separators=(",", ":")) + "\n")
    n_late = sum(fields["late"] for _, fields in events)
    print(f"nycflights13: {n_rows:,} flights, {n_rows - len(events):,} cancelled and dropped, {len(events):,} written; "
          f"{n_late:,} late ({n_late / len(events):.4f})")


if __name__ == "__main__":
    main()
