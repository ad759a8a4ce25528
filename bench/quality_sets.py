"""The data sets of bench/quality: each as VW text, one file of events to learn and one to test, read by both programs.

A set with a published split keeps it; of the others the last fifth is the test. SHUFFLED sets are shuffled with a fixed
seed before that (the published training file alone where there is a split); the others keep their own order, which is
that of time. Numbers of heavy tails (counts, amounts of money) become sign(x) ln(1 + |x|), others stay as they are;
zeros and missing values are left out; a category is the feature `column=value`; a message is the set of its words."""
import csv
import gzip
import math
import os
import random
import re
import subprocess

SEED = 20
SHUFFLED = ("a9a", "ijcnn1", "gmsc", "kdd99_10pct", "sms_spam", "rcv1_small")
ORDERED = ("elec2", "criteo_8k", "ipinyou_small", "gen_ctr")
NAMES = SHUFFLED + ORDERED


def opened(path):
    return gzip.open(path, "rt", encoding="utf-8", newline="")


def squashed(text):
    value = float(text)
    return math.copysign(math.log1p(abs(value)), value)


def line(label, features):
    """One event: `features` are (name, value) with names free of blanks, colons and bars."""
    words = [name if value == 1 else f"{name}:{value:.6g}" for name, value in features if value != 0]
    return ("1" if label else "-1") + " |f " + " ".join(words) + "\n"


def category(name, value):
    return (re.sub(r"[\s:|]", "_", f"{name}={value}"), 1)


def libsvm(path):
    with opened(path) as file:
        rows = [text.split() for text in file if text.strip()]
    return [line(float(row[0]) > 0, [(i, float(x)) for i, x in (word.split(":") for word in row[1:])]) for row in rows]


def libsvm_split(folder, train, test):
    return libsvm(os.path.join(folder, train)), libsvm(os.path.join(folder, test))


def a9a(folder):
    return libsvm_split(folder, "a9a.train.libsvm.gz", "a9a.test.libsvm.gz")


def ijcnn1(folder):
    return libsvm_split(folder, "ijcnn1.train.libsvm.gz", "ijcnn1.test.libsvm.gz")


def ipinyou_small(folder):
    return libsvm_split(folder, "ipinyou_train.libsvm.gz", "ipinyou_test.libsvm.gz")


def gmsc(folder):
    with opened(os.path.join(folder, "gmsc.csv.gz")) as file:
        rows = list(csv.reader(file))[1:]
    return [line(row[-1] == "1", [(f"n{i}", squashed(x)) for i, x in enumerate(row[:-1]) if x not in ("", "?")])
            for row in rows], None


def kdd99_10pct(folder):
    with opened(os.path.join(folder, "kddcup.data_10_percent.csv.gz")) as file:
        rows = [row for row in csv.reader(file) if len(row) == 42]
    return [line(row[41] != "normal.", [category(f"c{i}", x) if i in (1, 2, 3) else (f"n{i}", squashed(x))
                                        for i, x in enumerate(row[:41])]) for row in rows], None


def sms_spam(folder):
    with opened(os.path.join(folder, "SMSSpamCollection.tsv.gz")) as file:
        rows = [text.rstrip("\r\n").split("\t", 1) for text in file][1:]
    return [line(label == "spam", [(word, 1) for word in dict.fromkeys(re.findall(r"\w+", text.lower()))])
            for label, text in rows], None


def rcv1_small(folder):
    def part(name):
        with opened(os.path.join(folder, f"rcv1_small.{name}.vw.gz")) as file:
            return [text for text in file if text.strip()]
    return part("train"), part("test")


def elec2(folder):
    with opened(os.path.join(folder, "electricity.csv.gz")) as file:
        rows = list(csv.reader(file))[1:]
    return [line(row[-1] == "1", [(f"n{i}", float(x)) for i, x in enumerate(row[:-1])]) for row in rows], None


def criteo_8k(folder):
    def part(name):
        with opened(os.path.join(folder, f"criteo_{name}.tsv.gz")) as file:
            rows = [text.rstrip("\n").split("\t") for text in file]
        return [line(row[0] == "1", [(f"I{i}", squashed(x)) for i, x in enumerate(row[1:14], 1) if x]
                     + [category(f"C{i}", x) for i, x in enumerate(row[14:40], 1) if x]) for row in rows]
    return part("train"), part("dev") + part("test")


def write(path, lines):
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.writelines(lines)
    os.rename(path + ".part", path)


def convert(name, folder, train, test):
    """Writes the VW text of one set to the files `train` and `test`."""
    learned, tested = globals()[name](folder)
    if name in SHUFFLED:
        random.Random(SEED).shuffle(learned)
    if tested is None:
        cut = len(learned) * 4 // 5
        learned, tested = learned[:cut], learned[cut:]
    write(test, tested)
    write(train, learned)


def generate(program, scratch, n_events, train, test, drift=False):
    """The generated clicks of bench/gen_ctr as VW text; a tenth as many events to test."""
    subprocess.run([program, scratch, str(n_events), str(n_events // 10), "42", str(int(drift))], check=True,
                   stdout=subprocess.DEVNULL)
    os.rename(os.path.join(scratch, "test.vw"), test)
    os.rename(os.path.join(scratch, "train.vw"), train)
