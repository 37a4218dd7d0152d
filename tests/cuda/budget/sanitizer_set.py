# SPDX-License-Identifier: Apache-2.0
"""Checks that the tests chosen for compute-sanitizer launch every kernel with every element type.

    sanitizer_set.py TABLE TESTS PROGRAM...

TABLE names the kernels, TESTS (benchmarks/gpu/sanitizer_tests.txt) the tests. Each program runs the
tests that it has in the interpreter, and reports what they launched.
"""

import collections
import csv
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from budget import demangled


def launches(program, tests):
    """The tests that the program passed, and {mangled name of a kernel: number of launches}."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "launches"
        result = subprocess.run([program, f"--gtest_filter={':'.join(tests)}"],
                                env={**os.environ, "SP2DPO_LAUNCHES": str(path)}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode:
            sys.exit(f"{program} failed:\n{result.stdout}")
        counts = map(str.split, path.read_text().splitlines())
        return (set(re.findall(r"^\[ +OK \] (\S+)", result.stdout, re.MULTILINE)),
                {name: int(count) for name, count in counts})


def main():
    table, tests, *programs = sys.argv[1:]
    with open(table, newline="") as file:
        wanted = {row["kernel"] for row in csv.DictReader(file)}
    names = pathlib.Path(tests).read_text().split()
    mangled, known = collections.Counter(), set()
    for program in programs:
        passed, counts = launches(program, names)
        known |= passed
        mangled.update(counts)
    found = set(demangled(sorted(mangled)).values())
    for kernel in sorted(wanted - found):
        print(f"no test of {tests} launches {kernel}")
    for name in set(names) - known:
        print(f"missing test {name}")
    print(f"{len(known)} tests launch {len(wanted & found)} of {len(wanted)} kernels, "
          f"{sum(mangled.values())} times")
    return 1 if wanted - found or set(names) - known else 0


if __name__ == "__main__":
    sys.exit(main())
