# SPDX-License-Identifier: Apache-2.0
"""No function is longer than 80 lines, no public header than 150 lines of code.

A function counts from its first word to its closing brace. Of a header, blank lines and lines of
comments alone do not count.
"""

import sys

import cpp_blocks
import tree

MAX_FUNCTION = 80
MAX_HEADER = 150


def check(root):
    for path in tree.files(root, *tree.CPP):
        text = tree.read(root, path)
        if path.parts[0] == "include":
            lines = sum(bool(line.strip()) for line in tree.code_of(text).splitlines())
            if lines > MAX_HEADER:
                yield f"{path}: {lines} lines of code"
        for block in cpp_blocks.blocks(text):
            lines = block.last - block.first + 1
            if block.kind == "body" and lines > MAX_FUNCTION and not block.name.endswith("="):
                yield f"{path}:{block.first}: {lines} lines: {block.name[:70]}"


if __name__ == "__main__":
    sys.exit(tree.main(check))
