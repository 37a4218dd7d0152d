# SPDX-License-Identifier: Apache-2.0
"""Lines of prose in docs and in every README have at most 100 columns.

Tables, code blocks, the targets of links and comments of HTML do not count.
"""

import re
import sys

import tree

MAX_COLUMNS = 100
LINK = re.compile(r"\]\([^)]*\)|https?://\S+|^\s*\[[^\]]+\]:.*")


def check(root):
    for path in tree.files(root, ".md"):
        if not (path.parts[0] == "docs" or path.name == "README.md" or len(path.parts) == 1):
            continue
        fence = None
        for number, line in enumerate(tree.read(root, path).splitlines(), 1):
            mark = re.match(r"\s*(```+|~~~+)", line)
            if mark and (fence is None or line.strip() == fence):
                fence = None if fence else mark[1]
            elif fence is None and not re.match(r"\s*(\||<!--)", line):
                columns = len(LINK.sub("]", line))
                if columns > MAX_COLUMNS:
                    yield f"{path}:{number}: {columns} columns: {line.strip()[:60]}"


if __name__ == "__main__":
    sys.exit(tree.main(check))
