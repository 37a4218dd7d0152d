# SPDX-License-Identifier: Apache-2.0
"""A type name means one thing.

* It stands in the public headers of one room only. The twins below, which the CPU and the CUDA
  kernels declare with one meaning, are exempt, and so are types nested in another.
* Inside a room it is declared once, sources included.
"""

import collections
import sys

import cpp_blocks
import tree

# Declared by sp2dpo::cpu and sp2dpo::cuda with the same meaning.
TWINS = {"HiddenOutputs", "HiddenGradients"}


def declarations(root):
    """{name: [(room, file, line)]} of types at namespace scope, and of aliases in headers."""
    found = collections.defaultdict(list)
    for path, room in tree.rooms(root):
        for block in cpp_blocks.blocks(tree.read(root, path)):
            is_header = path.suffix in (".hpp", ".cuh")
            if block.is_nested or block.kind not in ("type", "alias"):
                continue
            if block.kind == "type" or is_header:
                found[block.name].append((room, path, block.first))
    return found


def check(root):
    for name, places in sorted(declarations(root).items()):
        public = [place for place in places if place[1].parts[0] == "include"]
        if len({room for room, _, _ in public}) > 1:
            rooms = {room for room, _, _ in public}
            if not (name in TWINS and rooms <= {"cpu", "cuda"}):
                yield from lines(name, public, "is public in several rooms")
        by_room = collections.defaultdict(list)
        for place in places:
            by_room[place[0]].append(place)
        for room, inside in by_room.items():
            if len(inside) > 1:
                yield from lines(name, inside, f"is declared {len(inside)} times in {room or 'include'}")


def lines(name, places, what):
    yield f"{name} {what}: " + ", ".join(f"{path}:{line}" for _, path, line in places)


if __name__ == "__main__":
    sys.exit(tree.main(check))
