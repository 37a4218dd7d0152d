# SPDX-License-Identifier: Apache-2.0
"""The include graph of src and include.

* A room has no cycle, where NAME.hpp, NAME.cpp and the like are one node.
* No two folders include each other, and no two rooms. A folder and its detail/ may.
* A private header is included inside its own room only; src/text serves all.
"""

import collections
import re
import sys

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def includes(root):
    """[(file, line, file included)] and [(file, line, name)] of unresolved quotes."""
    known = dict(tree.rooms(root))
    found, lost = [], []
    for path, room in known.items():
        text = tree.read(root, path)
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            target = resolved(path, room, match[1] == '"', match[2], known)
            if target:
                found.append((path, line, target))
            elif match[1] == '"' and not match[2].startswith("generated/"):
                lost.append((path, line, match[2]))
    return known, found, lost


def resolved(path, room, is_quoted, name, known):
    """The file that an include means: public, beside the includer, or below src."""
    path_type = type(path)
    bases = ["include", "src", f"src/{room}"]
    if is_quoted:
        bases = [path.parent] + bases
    for base in bases:
        parts = []
        for part in (path_type(base) / name).parts:
            parts.pop() if part == ".." and parts else parts.append(part)
        if path_type(*parts) in known:
            return path_type(*parts)
    return None


def nodes(known):
    """{file: node}: files of one name in one folder, and a public header with its source."""
    sources = collections.defaultdict(set)
    for path, room in known.items():
        if path.parts[0] == "src":
            sources[room, path.stem].add(path.parent)
    node = {}
    for path, room in known.items():
        folder = path.parent
        if path.parts[0] == "include":
            beside = tree.pathlib.PurePosixPath("src", *path.parts[2:-1])
            candidates = sources[room, path.stem]
            if beside in candidates:
                folder = beside
            elif len(candidates) == 1:
                folder = next(iter(candidates))
        node[path] = str(folder / path.stem)
    return node


def cycles(edges):
    """The strongly connected components with more than one node, each sorted (Tarjan)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                on_stack.remove(component[-1])
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10000)
    for node in list(edges):
        if node not in index:
            visit(node)
    return sorted(found)


def mutual(pairs):
    """The pairs (a, b) whose reverse is a key as well."""
    return sorted((a, b) for a, b in pairs if a < b and (b, a) in pairs)


def is_detail(a, b):
    return a == b + "/detail" or b == a + "/detail"


def check(root):
    known, found, lost = includes(root)
    node = nodes(known)
    edges = collections.defaultdict(set)
    folders, between = collections.defaultdict(list), collections.defaultdict(list)
    for path, line, target in found:
        where = f"{path}:{line}"
        room, other = known[path], known[target]
        if room == other and node[path] != node[target]:
            edges[node[path]].add(node[target])
            edges[node[target]]
        if path.parent != target.parent:
            folders[str(path.parent), str(target.parent)].append(where)
        # error.hpp and detail/ stand below every room, and the public table of contents above.
        if room != other and "" not in (room, other) and "detail" not in (room, other):
            between[room, other].append(where)
        if room != other and target.parts[0] == "src" and other != "text":
            yield f"{where}: includes {target}, a private header of another room"
    for path, line, name in lost:
        yield f"{path}:{line}: \"{name}\" matches no file of src or include"
    for component in cycles(edges):
        inside = set(component)
        yield "a cycle: " + ", ".join(component)
        for path, line, target in found:
            a, b = node[path], node[target]
            if a != b and a in inside and b in inside:
                yield f"  {path}:{line}: includes {target}"
    for pairs, what in ((folders, "folders"), (between, "rooms")):
        for a, b in mutual(pairs):
            if is_detail(a, b):
                continue
            yield f"two {what} include each other: {a} and {b}"
            for where in pairs[a, b] + pairs[b, a]:
                yield f"  {where}"


if __name__ == "__main__":
    sys.exit(tree.main(check))
