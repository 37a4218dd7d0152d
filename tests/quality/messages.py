# SPDX-License-Identifier: Apache-2.0
"""Every message that heads an entry of docs/troubleshooting.md is one that the sources contain.

A heading `#### `text …, but … text`` quotes a message; `…` stands for what the program puts there, and
so may a word of NAMES. Headings that are not all code describe a symptom and are not checked.
"""

import re
import sys

import tree

PAGE = "docs/troubleshooting.md"
FOLDERS = ("src", "include", "cmake", "examples")
SUFFIXES = tree.CPP + (".py", ".sh", ".cmake", ".in")
HEADING = re.compile(r"^#### `([^`]*)`$", re.MULTILINE)
NAMES = re.compile(r"\b(beta|chosen|logits|rejected|0)\b")
ADJACENT = re.compile(r'"\s*"|",\s*"')  # literals that the compiler or TORCH_CHECK joins


def check(root):
    if PAGE not in map(str, tree.files(root, ".md")):
        return
    sources = [ADJACENT.sub("", tree.read(root, path)).replace('\\"', '"')
               for path in tree.files(root, *SUFFIXES) if path.parts[0] in FOLDERS]
    for message in HEADING.findall(tree.read(root, PAGE)):
        if missing(message, sources) and missing(NAMES.sub("…", message), sources):
            yield f"{PAGE}: no source contains `{missing(message, sources)[0]}`"


def missing(message, sources):
    """The parts of the message, between what the program puts there, that no source contains."""
    parts = filter(None, (part.strip(" ,;:'[]()") for part in message.split("…")))
    return [part for part in parts if not any(part in text for text in sources)]


if __name__ == "__main__":
    sys.exit(tree.main(check))
