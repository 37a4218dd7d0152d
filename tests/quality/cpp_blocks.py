# SPDX-License-Identifier: Apache-2.0
"""The blocks of a C++ file, found by counting braces: namespaces, types and bodies of functions."""

import bisect
import dataclasses
import re

import tree

TYPE = re.compile(
    r"\b(?:class|struct|union|enum(?:\s+(?:class|struct))?)\s+(?:\[\[[^\]]*\]\]\s*)*(?:\w+\s+)*?"
    r"([A-Za-z_]\w*(?:::\w+)*)\s*(<[^{}]*>)?\s*(?:final\s*)?(?::(?!:)[^{}]*)?$")
NAMESPACE = re.compile(r"\bnamespace\b[\w\s:]*$|\bextern\s*$")
ALIAS = re.compile(r"\s*(?:template\s*<.*>\s*)?using\s+([A-Za-z_]\w*)\s*=", re.DOTALL)
ACCESS = re.compile(r"\s*(?:(?:public|private|protected)\s*:\s*)*")
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


@dataclasses.dataclass
class Block:
    kind: str  # "namespace", "type", "alias", "specialisation" or "body"
    name: str  # of a type or an alias; of a body, the text before its brace
    first: int  # line of the first word
    last: int = 0  # line of the closing brace
    is_nested: bool = False  # inside a type


def blocks(text):
    """All blocks outside of bodies, in the order in which they begin."""
    code = DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), tree.code_of(text))
    ends = [match.start() for match in re.finditer("\n", code)]

    def line_of(at):
        return bisect.bisect_left(ends, at) + 1

    found, stack = [], []
    start = parentheses = 0  # of the statement that is being read
    for match in re.finditer(r"[{}();]", code):
        at, char = match.start(), match[0]
        # Braces in a body, or in the parentheses of a declaration, belong to it.
        is_inner = parentheses > 0 or (bool(stack) and stack[-1].kind in ("body", "inner"))
        if char == "{":
            block = Block("inner", "", 0) if is_inner else block_of(code[start:at])
            if not is_inner:
                block.first = line_of(ACCESS.match(code, start).end())
                block.is_nested = any(outer.kind == "type" for outer in stack)
                found.append(block)
                start = at + 1
            stack.append(block)
        elif char == "}" and stack:
            block = stack.pop()
            block.last = line_of(at)
            # A brace that initialises a member is followed by more of the same statement.
            if block.kind != "inner" and code[at + 1:].lstrip()[:1] not in (",", "{"):
                start = at + 1
        elif not is_inner and char == "(" or parentheses > 0 and char in "()":
            if not (stack and stack[-1].kind in ("body", "inner")):
                parentheses += 1 if char == "(" else -1
        elif char == ";" and not is_inner:
            alias = ALIAS.match(code[start:at])
            if alias:
                found.append(Block("alias", alias[1], line_of(at), line_of(at), bool(
                    [outer for outer in stack if outer.kind == "type"])))
            start = at + 1
    return found


def block_of(head):
    """The block that begins after `head`, the text since the last statement."""
    words = ACCESS.sub("", head, count=1).strip()
    if NAMESPACE.search(words):
        return Block("namespace", words, 0)
    match = TYPE.search(words)
    if match and not words[:match.start()].rstrip().endswith(("=", ")")):
        if match[2] or "::" in match[1]:
            return Block("specialisation" if match[2] else "type", match[1], 0, is_nested=True)
        return Block("type", match[1], 0)
    return Block("body", " ".join(words.split()), 0)
