"""How many times as long as in a plain build everything may take: programs that a sanitizer watches are that much slower.

CMake writes the factor to BUILD/tests/slowness; tests in C have it as TW_SLOWNESS. It lengthens how long a test waits for what
must come, never how long something may last that the test measures.
"""
import os

factor = 1


def take_from(build):
    global factor
    path = os.path.join(build, "tests", "slowness")
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            factor = int(file.read())


def scaled(seconds):
    return seconds * factor
