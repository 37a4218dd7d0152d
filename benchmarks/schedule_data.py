# SPDX-License-Identifier: Apache-2.0
"""Writes synthetic pairs.jsonl and annotations.jsonl to DIR for benchmarks, reproducibly.

    python3 schedule_data.py DIR [--pairs 60000] [--panel 3x3] [--shuffled]
"""

import argparse
import pathlib
import random

CATEGORIES = ("safety", "factuality", "instruction", "reasoning", "helpfulness", "style")
WORDS = (
    "the answer gives a short list of steps and says why each one is needed before it names the "
    "number that was asked for while the other one repeats the question \\n and leaves the rest open"
).split(" ")



def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--panel", default="3x3", help="annotators x prompts")
    parser.add_argument("--shuffled", action="store_true", help="annotations in random order")
    options = parser.parse_args()
    annotators, prompts = (int(n) for n in options.panel.split("x"))
    random.seed(1)
    options.dir.mkdir(parents=True, exist_ok=True)

    prose = [random.choice(WORDS) for _ in range(20_000)]

    def passage(n):
        start = random.randrange(len(prose) - n)
        return " ".join(prose[start : start + n])

    ids = [f"{random.getrandbits(64):016x}" for _ in range(options.pairs)]
    with (options.dir / "pairs.jsonl").open("w") as out:
        for pair in ids:
            chosen, rejected = random.randrange(40, 200), random.randrange(40, 160)
            out.write(
                f'{{"id":"{pair}","prompt":"{passage(random.randrange(10, 80))}",'
                f'"chosen":"{passage(chosen)}","rejected":"{passage(rejected)}",'
                f'"score_chosen":{random.randrange(1, 11)}}}\n'
            )

    panel = [(f"teacher-{a}", f"rubric-{p}") for a in range(annotators) for p in range(prompts)]
    rows = []
    with (options.dir / "annotations.jsonl").open("w") as out:
        for pair in ids:
            gap = random.random()
            category = random.choice(CATEGORIES)
            for annotator, prompt in panel:
                magnitude = min(1.0, max(0.0, gap + random.gauss(0, 0.1)))
                row = (
                    f'{{"pair_id":"{pair}","annotator":"{annotator}","prompt":"{prompt}",'
                    f'"category":"{category}","magnitude":{magnitude:.4f},'
                    f'"confidence":{random.uniform(0.5, 1):.4f},"preferred":"chosen",'
                    f'"order":"chosen_first","sample":0}}\n'
                )
                if options.shuffled:
                    rows.append(row)
                else:
                    out.write(row)
        random.shuffle(rows)
        out.writelines(rows)


if __name__ == "__main__":
    main()
