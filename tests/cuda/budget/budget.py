#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A table of the kernels' registers, memory and instructions, as the compiler generated them.

    budget.py TABLE LIBRARY...            compares; exits with 1 on a difference or a broken rule
    budget.py TABLE LIBRARY... --write    writes the table
    budget.py TABLE --predict             prints the times predicted from it, in Markdown

Needs cuobjdump and nvdisasm of the CUDA toolkit on the path; exits with 77 without them.
"""

import argparse
import collections
import csv
import re
import shutil
import subprocess
import sys

COLUMNS = ["arch", "kernel", "registers", "stack", "shared", "local_accesses", "loads",
           "instructions_per_load", "ex2_per_load", "fp64_in_loop"]

# The machines to predict times for: multiprocessors, clock in GHz, bytes per second of a copy.
# A multiprocessor issues 4 warp instructions and 16 lanes of ex2 per cycle.
MACHINES = {"sm_90 (H200)": ("sm_90", 132, 1.755, 4.3e12)}
ISSUE, EX2_LANES = 4, 16


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def short_name(name):
    """Shortens a demangled name to log_probs_kernel<BFloat16, false>."""
    name = name.replace("(anonymous namespace)::", "").replace("sp2dpo::cuda::", "")
    name = name.replace("sp2dpo::", "").replace("detail::", "").removeprefix("void ")
    name = re.sub(r"\((bool|int)\)", "", name)
    return name.split("(")[0]


def demangled(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), check=True, capture_output=True,
                          text=True).stdout.splitlines()
    return {name: short_name(full) for name, full in zip(names, text)}


def resources(library):
    """{(arch, mangled name): {registers, stack, shared}}"""
    found, arch, name = {}, None, None
    for line in run("cuobjdump", "-res-usage", library).splitlines():
        if match := re.match(r"arch = (\S+)", line):
            arch = match[1]
        elif match := re.match(r"\s*Function (\S+):", line):
            name = match[1]
        elif match := re.match(r"\s*REG:(\d+) STACK:(\d+) SHARED:(\d+)", line):
            found[arch, name] = dict(zip(("registers", "stack", "shared"), match.groups()))
    return found


def functions(library, arch):
    """Yields (mangled name, [(address, instruction)]) for each kernel."""
    name, body = None, []
    for line in run("cuobjdump", "-sass", "-arch", arch, library).splitlines():
        if match := re.search(r"Function : (\S+)", line):
            if name:
                yield name, body
            name, body = match[1], []
        elif match := re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", line):
            # Newer architectures append scheduling hints.
            body.append((int(match[1], 16), re.split(r"\s{2,}", match[2].strip())[0]))
    if name:
        yield name, body


def branch_target(instruction):
    match = re.search(r"\bBRA(?:\.\S+)? .*?0x([0-9a-f]+)$", instruction)
    return int(match[1], 16) if match else None


def hot_path(body, begin, end):
    """The instructions of a loop without those that a branch may skip: the path of all threads of a
    row but one."""
    path, skip_to = [], begin
    for address, instruction in body:
        if not begin <= address <= end or address < skip_to:
            continue
        path.append(instruction)
        target = branch_target(instruction)
        if target is not None and instruction.startswith("@") and address < target <= end:
            skip_to = target
    return path


def row_loop(body):
    """The hot path of the smallest loop with the most 128-bit loads; empty without such a loop."""
    best, most = [], 0
    for address, instruction in body:
        target = branch_target(instruction)
        if target is None or target > address:
            continue
        path = hot_path(body, target, address)
        loads = count(path, r"LDG\.E.*\.128")
        if loads > most or (loads == most and loads > 0 and len(path) < len(best)):
            best, most = path, loads
    return best


def count(instructions, pattern):
    return sum(bool(re.search(pattern, i)) for i in instructions)


def rows_of(library):
    used = resources(library)
    names = demangled(sorted({name for _, name in used}))
    rows = []
    for arch in sorted({arch for arch, _ in used}, key=lambda a: int(a[3:])):
        for name, body in functions(library, arch):
            row = {"arch": arch, "kernel": names[name], **used[arch, name]}
            row["local_accesses"] = count([i for _, i in body], r"\b(LDL|STL)\b")
            if "log_probs_kernel" in name or "gradient_kernel" in name:
                loop = row_loop(body)
                loads = count(loop, r"LDG\.E.*\.128")
                row["loads"] = loads
                if loads:
                    row["instructions_per_load"] = round(len(loop) / loads, 2)
                    row["ex2_per_load"] = round(count(loop, r"MUFU\.EX2") / loads, 2)
                    row["fp64_in_loop"] = count(loop, r"\bD(ADD|MUL|FMA|SETP|MNMX)\b")
            rows.append({column: str(row.get(column, "")) for column in COLUMNS})
    return rows


def table_of(libraries):
    rows = [row for library in libraries for row in rows_of(library)]
    return sorted(rows, key=lambda row: (int(row["arch"][3:]), row["kernel"]))


def broken_rules(rows):
    """The rules that hold whatever the table says."""
    for row in rows:
        where = f"{row['arch']} {row['kernel']}"
        is_row_kernel = re.match(r"(log_probs|gradient|unit_gradient)_kernel", row["kernel"])
        if is_row_kernel and (row["stack"] != "0" or row["local_accesses"] != "0"):
            yield f"{where}: a row kernel must not use local memory; it uses {row['stack']} bytes"
        if is_row_kernel and row["fp64_in_loop"] not in ("", "0"):
            yield f"{where}: {row['fp64_in_loop']} fp64 instructions in its row loop"
        # An H200 can issue this many while it loads 512 bytes.
        if row["instructions_per_load"] and float(row["instructions_per_load"]) > 110:
            yield f"{where}: {row['instructions_per_load']} instructions per 16 bytes and thread"


def predict(rows):
    shape = (16384, 128256, "BFloat16", 2)
    count_, vocab, element, size = shape
    print(f"| machine | kernel | memory | issue | ex2 | predicted, {count_} × {vocab} bfloat16 |")
    print("|---|---|---|---|---|---|")
    total = 0.0
    for machine, (arch, processors, clock, bandwidth) in MACHINES.items():
        for kernel, passes in ((f"log_probs_kernel<{element}, false>", 1),
                               (f"gradient_kernel<{element}>", 2)):
            row = next(r for r in rows if r["arch"] == arch and r["kernel"] == kernel)
            vectors = count_ * vocab * size / 16
            cycles = processors * clock * 1e9
            memory = passes * count_ * vocab * size / bandwidth
            issue = vectors / 32 * float(row["instructions_per_load"]) / (ISSUE * cycles)
            ex2 = vectors * float(row["ex2_per_load"]) / (EX2_LANES * cycles)
            time = max(memory, issue, ex2)
            total += time
            print(f"| {machine} | `{kernel}` | {memory * 1e3:.2f} ms | {issue * 1e3:.2f} ms "
                  f"| {ex2 * 1e3:.2f} ms | {time * 1e3:.2f} ms |")
    print(f"| | both | | | | {total * 1e3:.2f} ms |")


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("libraries", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--predict", action="store_true")
    arguments = parser.parse_args()
    if arguments.predict:
        return predict(read(arguments.table))
    if not (shutil.which("cuobjdump") and shutil.which("nvdisasm")):
        print("skipped: cuobjdump or nvdisasm is missing from the path")
        return 77
    rows = table_of(arguments.libraries)
    troubles = list(broken_rules(rows))
    if arguments.write:
        with open(arguments.table, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        key = lambda row: (row["arch"], row["kernel"])
        old = collections.OrderedDict((key(row), row) for row in read(arguments.table))
        new = collections.OrderedDict((key(row), row) for row in rows)
        for k in list(old) + [k for k in new if k not in old]:
            if old.get(k) != new.get(k):
                troubles.append(f"{k[0]} {k[1]}:\n  the table has  {old.get(k)}\n"
                                f"  the library has {new.get(k)}")
    print("\n".join(troubles) or f"{len(rows)} kernels match the table")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
