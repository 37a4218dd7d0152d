# SPDX-License-Identifier: Apache-2.0
"""Each check of this folder finds a planted fault, and passes without it."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import english
import include_graph
import messages
import prose
import sizes
import tree
import type_names

HEADER = "include/sp2dpo/io/rows.hpp"


class Check(unittest.TestCase):
    def found(self, module, tree):
        """What the module's check finds in a folder with these files: {path: text}."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in tree.items():
                file = pathlib.Path(folder) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            result = module.check(folder)
            return list(result[0] if isinstance(result, tuple) else result)

    def assertFinds(self, module, tree, *words):
        found = "\n".join(self.found(module, tree))
        for word in words:
            self.assertIn(word, found)

    def assertPasses(self, module, tree):
        self.assertEqual(self.found(module, tree), [])


class IncludeGraph(Check):
    def test_a_cycle_of_files(self):
        tree = {"src/io/a.hpp": '#include "b.hpp"\n', "src/io/b.hpp": "", "src/io/a.cpp": "",
                "src/io/b.cpp": '#include "b.hpp"\n'}
        self.assertPasses(include_graph, tree)
        tree["src/io/b.cpp"] = '#include "a.hpp"\n'
        self.assertFinds(include_graph, tree, "a cycle: src/io/a, src/io/b", "src/io/b.cpp:1")

    def test_a_cycle_through_a_public_header(self):
        tree = {"include/sp2dpo/io/a.hpp": "",
                "src/io/a.cpp": '#include <sp2dpo/io/a.hpp>\n\n#include "b.hpp"\n',
                "src/io/b.hpp": ""}
        self.assertPasses(include_graph, tree)
        tree["src/io/b.hpp"] = "#include <sp2dpo/io/a.hpp>\n"
        self.assertFinds(include_graph, tree, "a cycle: src/io/a, src/io/b", "src/io/b.hpp:1")

    def test_folders_that_include_each_other(self):
        tree = {"src/io/x/a.hpp": '#include "../y/b.hpp"\n', "src/io/y/b.hpp": "",
                "src/io/y/c.hpp": ""}
        self.assertPasses(include_graph, tree)
        tree["src/io/y/c.hpp"] = '#include "../x/d.hpp"\n'
        tree["src/io/x/d.hpp"] = ""
        self.assertFinds(include_graph, tree, "folders include each other: src/io/x and src/io/y")

    def test_a_folder_and_its_detail(self):
        self.assertPasses(include_graph, {
            "include/sp2dpo/loss/a.hpp": "#include <sp2dpo/loss/detail/b.hpp>\n",
            "include/sp2dpo/loss/detail/b.hpp": "", "include/sp2dpo/loss/c.hpp": "",
            "include/sp2dpo/loss/detail/d.hpp": "#include <sp2dpo/loss/c.hpp>\n"})

    def test_rooms_that_include_each_other(self):
        tree = {"src/io/a.cpp": "#include <sp2dpo/stats/b.hpp>\n", "src/stats/c.cpp": "",
                "include/sp2dpo/stats/b.hpp": "", "include/sp2dpo/io/d.hpp": ""}
        self.assertPasses(include_graph, tree)
        tree["src/stats/c.cpp"] = "#include <sp2dpo/io/d.hpp>\n"
        self.assertFinds(include_graph, tree, "rooms include each other: io and stats")

    def test_a_private_header_of_another_room(self):
        for include in ('"../io/b.hpp"', '"io/b.hpp"', "<io/b.hpp>"):
            self.assertFinds(include_graph, {"src/stats/a.cpp": f"#include {include}\n",
                                             "src/io/b.hpp": ""},
                             "src/stats/a.cpp:1: includes src/io/b.hpp, a private header")
        self.assertPasses(include_graph, {"src/stats/a.cpp": '#include "text/b.hpp"\n',
                                          "src/text/b.hpp": ""})

    def test_a_quote_without_a_file(self):
        self.assertFinds(include_graph, {"src/io/a.cpp": '#include "b.hpp"\n'}, "src/io/a.cpp:1")


class TypeNames(Check):
    def test_a_name_that_is_public_in_two_rooms(self):
        for kind in ("struct Panel {};", "class Panel final : Base {};", "using Panel = int;",
                     "enum class Panel : char { a };", "template <class T>\nstruct Panel {};"):
            self.assertFinds(type_names, {"include/sp2dpo/io/a.hpp": kind,
                                          "include/sp2dpo/stats/b.hpp": "struct Panel {};"},
                             "Panel is public in several rooms")

    def test_a_name_that_a_room_declares_twice(self):
        self.assertFinds(type_names, {"src/io/a.cpp": "namespace {\nstruct Row {};\n}",
                                      "src/io/b.cpp": "namespace n {\nclass Row {\n};\n}"},
                         "Row is declared 2 times in io: src/io/a.cpp:2, src/io/b.cpp:2")

    def test_names_that_are_allowed(self):
        twin = next(iter(type_names.TWINS))
        self.assertPasses(type_names, {
            "include/sp2dpo/cpu/a.hpp": f"struct {twin} {{}};",
            "include/sp2dpo/cuda/b.hpp": f"struct {twin} {{}};",
            "include/sp2dpo/io/c.hpp": "struct A {\n  struct Row {};\n};\nclass B;",
            "include/sp2dpo/stats/d.hpp": "struct B {\n  struct Row {};\n};\n"
                                          "template <>\nstruct A<int> {};\n// struct A {}\n"})


class Sizes(Check):
    def test_a_long_function(self):
        for head in ("int f() {\n", "template <class T>\nT f(X x = {}) {\n", "S::S() : a{1}, b(2) {\n"):
            lines = 80 - head.count("\n") - 1
            body = "  if (x) {\n    y();\n  }\n" * (lines // 3) + "  z();\n" * (lines % 3)
            tree = {"src/io/a.cpp": f"namespace n {{\n{head}{body}}}\n}}\n"}
            self.assertPasses(sizes, tree)
            tree["src/io/a.cpp"] = f"namespace n {{\n{head}{body}  z();\n}}\n}}\n"
            self.assertFinds(sizes, tree, "src/io/a.cpp:2: 81 lines")

    def test_a_long_member_function(self):
        text = "class A {\n public:\n  int f() const {\n" + "    g();\n" * 79 + "  }\n};\n"
        self.assertFinds(sizes, {HEADER: text}, f"{HEADER}:3: 81 lines: int f() const")

    def test_a_long_table(self):
        self.assertPasses(sizes, {"src/io/a.cpp": "int a[] = {\n" + "    1,\n" * 90 + "};\n"})

    def test_a_long_public_header(self):
        text = "// a comment\n\n" * 20 + "/* and\nanother */\n" + "int f();\n" * 150
        self.assertPasses(sizes, {HEADER: text})
        self.assertFinds(sizes, {HEADER: text + "int g();\n"}, f"{HEADER}: 151 lines of code")
        self.assertPasses(sizes, {"src/io/a.hpp": text + "int g();\n"})


class Prose(Check):
    def test_a_long_line(self):
        long = "word " * 20 + "."
        for path in ("README.md", "docs/a/b.md", "src/ptx/README.md"):
            self.assertFinds(prose, {path: "# A\n" + long + "\n"}, f"{path}:2: 101 columns")

    def test_exempt_lines(self):
        long = "word " * 20 + "."
        self.assertPasses(prose, {"README.md": "\n".join((
            "|" + long + "|", "```", long, "```", "a [link](" + "x" * 90 + ") and more",
            "<!-- " + long + " -->", "ä" * 100)), "src/a/prompt.md": long})


class English(Check):
    def test_each_phrase(self):
        for text in ("// there is no row", "# There were no rows", "// it is none", "// is no number",
                     "// nought", '"nobody knows"', "// it is there twice", "// a key comes twice",
                     "// that there\n  // are no rows", "/// Of a row.", "int a;  ///< Whether it is",
                     "/// A row. Where it ends."):
            self.assertEqual(len(self.found(english, {"src/io/a.hpp": text})), 1, text)

    def test_allowed_text(self):
        self.assertPasses(english, {"src/io/a.hpp": "/// Reads a row of text, as it stands.\n",
                                    "benchmarks/a.py": "if a is None: pass\n"})

    def test_the_number_that_is_allowed(self):
        with tempfile.TemporaryDirectory() as folder:
            for hits, status in ((40, 0), (41, 1)):
                pathlib.Path(folder, "README.md").write_text("nobody\n" * hits, encoding="utf-8")
                with contextlib.redirect_stdout(io.StringIO()):
                    self.assertEqual(tree.main(english.check, ["--root", folder]), status)


class Messages(Check):
    def test_a_heading_that_no_source_contains(self):
        page = "#### `beta must be …, not a list`\n#### A symptom\n"
        tree = {"docs/troubleshooting.md": page,
                "src/io/a.cpp": '"beta must be " , name, ", not "\n    "a list"'}
        self.assertPasses(messages, tree)
        tree["src/io/a.cpp"] = '"beta must be " , name, ", not a tuple"'
        self.assertFinds(messages, tree, "no source contains `not a list`")

    def test_a_name_that_the_program_inserts(self):
        tree = {"docs/troubleshooting.md": "#### `beta must have the shape …`\n",
                "src/io/a.cpp": '"sp2dpo: ", name, " must have the shape "'}
        self.assertPasses(messages, tree)


if __name__ == "__main__":
    unittest.main()
