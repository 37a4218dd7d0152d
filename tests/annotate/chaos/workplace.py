# SPDX-License-Identifier: Apache-2.0
"""A temporary folder with pairs, a panel and the program, for chaos.py and runs_test.py."""
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

PROGRAM = os.environ.get("SP2DPO", "sp2dpo")


class Workplace:
    def __init__(self, pairs=10, judges=("ada",), url="http://127.0.0.1:1/v1", concurrent=8, more="",
                 price="{ prompt = 1, completion = 2 }", prompts=("direct",)):
        self.folder = Path(tempfile.mkdtemp(prefix="sp2dpo-runs-"))
        self.write_pairs(pairs)
        text = f"prompts = {json.dumps(list(prompts))}\n"
        for judge in judges:
            text += (f'[[teacher]]\nname = "{judge}"\nmodel = "{judge}"\nfamily = "f-{judge}"\n'
                     f'base_url = "{url}"\nmax_concurrent = {concurrent}\n{more}\n'
                     + (f"price = {price}\n" if price else ""))
        (self.folder / "panel.toml").write_text(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_pairs(self, count):
        with open(self.folder / "pairs.jsonl", "w", encoding="utf-8") as out:
            for i in range(count):
                out.write(json.dumps({"id": f"p{i}", "prompt": f"question {i}",
                                      "chosen": f"a good answer to {i}",
                                      "rejected": f"a bad answer to {i}"}) + "\n")

    def path(self, name):
        return self.folder / name

    def command(self, *arguments):
        return [PROGRAM, *[str(argument) for argument in arguments]]

    def annotate_line(self, *more, store="s.db", out="o.jsonl"):
        return self.command("annotate", "--pairs", "pairs.jsonl", "--panel", "panel.toml",
                            "--store", store, "--out", out, *more)

    def run(self, *arguments, **options):
        """Runs the program and returns its CompletedProcess."""
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True,
                              text=True, errors="replace", timeout=options.pop("timeout", 120),
                              check=False, **options)

    def annotate(self, *more, store="s.db", out="o.jsonl", **options):
        return self.run(*self.annotate_line(*more, store=store, out=out)[1:], **options)

    def start(self, line, **options):
        return subprocess.Popen(line, cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, errors="replace", **options)

    def lines(self, name):
        path = self.path(name)
        return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0

    def sql(self, query, store="s.db"):
        database = sqlite3.connect(f"file:{self.path(store)}?mode=ro", uri=True)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()

    def bodies(self, store="s.db"):
        """The stored answers, as bytes."""
        return [body if isinstance(body, bytes) else body.encode()
                for (body,) in self.sql("SELECT body FROM answers", store)]
