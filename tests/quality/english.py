# SPDX-License-Identifier: Apache-2.0
"""At most 40 phrases that a reader of English stumbles over, in all text of the project.

The phrases: negated nouns in place of a verb, old words, and documentation comments that open with
a preposition or a subordinate clause and never reach a subject.
"""

import re
import sys

import tree

MAX_HITS = 40
# A space stands for any white space, the end of a line of comments included.
PHRASES = re.compile(
    r"\b(?i:there (?:is|are|was|were) no|is no number|nought|nobody|is there twice|comes twice)\b"
    r"|\b[Ii]s none\b".replace(" ", r"(?:\s+(?:(?://[/!]?<?|#|\*)\s+)?)"))
FRAGMENTS = re.compile(r"///<? (?:.*?[.:;!?] )?(?:Of|As|Both|Whether|What|Where)\b")
SUFFIXES = tree.CPP + (".md", ".py", ".sh", ".cmake", ".in", ".txt", ".toml", ".json", ".yaml")


def check(root):
    return sorted(hits(root)), MAX_HITS


def hits(root):
    for path in tree.files(root, *SUFFIXES):
        if path.parts[:2] == ("tests", "quality"):
            continue
        text = tree.read(root, path)
        found = [*PHRASES.finditer(text), *FRAGMENTS.finditer(text)]
        for match in sorted(found, key=lambda match: match.start()):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {' '.join(match[0].split())}"


if __name__ == "__main__":
    sys.exit(tree.main(check))
