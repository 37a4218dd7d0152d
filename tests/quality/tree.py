# SPDX-License-Identifier: Apache-2.0
"""Shared by the checks of this folder: the files of a tree, C++ without comments, reports."""

import argparse
import pathlib
import re
import subprocess
import sys

CPP = (".hpp", ".cuh", ".cpp", ".cu")


def files(root, *suffixes):
    """The project's own files whose names end in one of the suffixes, as paths below root."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root,
            capture_output=True, text=True, check=True).stdout.splitlines()
        paths = map(pathlib.PurePosixPath, listing)
    except (OSError, subprocess.CalledProcessError):
        paths = (pathlib.PurePosixPath(path.relative_to(root).as_posix())
                 for path in pathlib.Path(root).rglob("*"))
    return sorted(path for path in paths if path.name.endswith(suffixes)
                  and path.parts[0] != "build" and (pathlib.Path(root) / path).is_file())


def read(root, path):
    return (pathlib.Path(root) / path).read_text(encoding="utf-8")


def room_of(path):
    """io of src/io/csv.cpp and of include/sp2dpo/io/csv.hpp; "" of include/sp2dpo/error.hpp."""
    parts = path.parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "sp2dpo"):
        return parts[2] if len(parts) > 3 else ""
    return None


def rooms(root):
    """[(path, room)] of the C++ files in src and include."""
    found = ((path, room_of(path)) for path in files(root, *CPP))
    return [(path, room) for path, room in found if room is not None]


_TOKEN = re.compile(
    r'''//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"'''
    r'''|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z])'(?:\\.|[^'\\\n])+\'''', re.DOTALL)


def code_of(text):
    """C++ with comments, strings and characters blanked: the same lines, the same columns."""
    return _TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def main(check, argv=None):
    """Prints what check(root) finds, a line each. Returns 1 if it finds anything.

    check returns an iterable of lines, or a pair of them and the number that is allowed.
    """
    parser = argparse.ArgumentParser(description=sys.modules[check.__module__].__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2],
                        type=pathlib.Path)
    parser.add_argument("--report", action="store_true", help="list the findings and exit with 0")
    arguments = parser.parse_args(argv)
    found, allowed = check(arguments.root), 0
    if isinstance(found, tuple):
        found, allowed = found
    found = list(found)
    failed = len(found) > allowed
    if failed or arguments.report:
        for line in found:
            print(line)
    print(f"{len(found)} found, {allowed} allowed")
    return 1 if failed and not arguments.report else 0
