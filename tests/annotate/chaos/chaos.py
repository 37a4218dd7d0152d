#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the program against a provider that misbehaves in some 95 ways, and against kill -9.

    SP2DPO=build/release/bin/sp2dpo python3 tests/annotate/chaos/chaos.py [--questions 2400]
        [--rate 0.4] [--seed 1] [--runs 3] [--kills 200] [--valgrind] [--without KIND,KIND]

It ends with status 0 if every whole answer that was sent is in the store, nothing else is, no
question was asked again after an answer with a verdict, the killed runs write the same bytes as an
undisturbed one, and no stored answer was asked for again.
"""
import argparse
import random
import re
import signal
import sys
import time
from collections import Counter
from hashlib import sha256

import workplace
from provider import KINDS, Provider, question_of
from workplace import Workplace

NONCE = re.compile(rb"answer-[0-9]+-[0-9a-f]{12}")
FAULTS = [name for name in KINDS if name != "plain"]
SETTINGS = ('timeout = 2\nmax_attempts = 12\nreasks = 2\nmax_retry_after = 5\n'
            'max_outage = 120\n')


def nonces_in(place):
    stored = Counter()
    for body in place.bodies():
        found = NONCE.search(body)
        stored[found.group().decode() if found else body[:60]] += 1
    return stored


def chooser(rate, seed, without):
    """Faults for a share of the attempts. Late attempts are plain, so that every run ends."""
    faults = [name for name in FAULTS if name not in without]

    def choose(question, attempt):
        rng = random.Random(sha256(f"{seed} {question} {attempt}".encode()).digest())
        return rng.choice(faults) if attempt < 9 and rng.random() < rate else "plain"

    return choose


def chaos(options, seed):
    """One run in rounds until every question has its answer. Returns what is wrong."""
    provider = Provider(chooser(options.rate, seed, options.without.split(",")))
    with Workplace(pairs=options.questions // 6, judges=("ada", "bob"), url=provider.url,
                   concurrent=32, more=SETTINGS, prompts=("direct", "criteria", "adversarial")) as place:
        rounds = 0
        while rounds < 20:
            rounds += 1
            line = place.annotate_line()
            if options.valgrind:
                line = ["valgrind", "-q", "--error-exitcode=99", *line]
            ran = workplace.subprocess.run(line, cwd=place.folder, capture_output=True, text=True,
                                           errors="replace", timeout=3600, check=False)
            if ran.returncode == 0:
                break
            if ran.returncode not in (3, 4):
                return [f"status {ran.returncode}: {ran.stderr[-2000:]}"]
        stored = nonces_in(place)
        wrong = []
        lost = [nonce for nonce in provider.paid if nonce not in stored]
        kind_of = {f"answer-{i}-": name for i, (_, _, name) in enumerate(provider.requests)}
        if lost:
            kinds = Counter(kind_of[nonce[:nonce.rindex("-") + 1]] for nonce in lost)
            wrong.append(f"{len(lost)} paid answers are not in the store: {dict(kinds)}")
        invented = [nonce for nonce in stored if nonce not in provider.paid]
        if invented:
            kinds = Counter(kind_of[nonce[:nonce.rindex("-") + 1]] for nonce in invented)
            wrong.append(f"{len(invented)} stored answers were not sent whole: {dict(kinds)}")
        doubled = [nonce for nonce, count in stored.items() if count > 1]
        if doubled:
            wrong.append(f"{len(doubled)} answers are stored twice")
        if provider.asked_again:
            after = Counter(kind for _, _, kind in provider.asked_again)
            wrong.append(f"{len(provider.asked_again)} requests after a verdict: {dict(after)}")
        met = Counter(name for _, _, name in provider.requests)
        print(f"seed {seed}: {len(provider.requests)} requests in {rounds} runs, "
              f"{len(met)} kinds met, {len(provider.paid)} paid, {sum(stored.values())} stored, "
              f"last status {ran.returncode}", flush=True)
        if ran.returncode != 0:
            wrong.append(f"unfinished: {ran.stderr[-500:]}")
    provider.stop()
    return wrong


def kills(options):
    """Kills runs at random moments and resumes them."""
    rng = random.Random(options.seed)
    provider = Provider(latency=0.004)
    wrong = []
    with Workplace(pairs=100, judges=("ada", "bob"), url=provider.url, concurrent=16,
                   prompts=("direct", "criteria", "adversarial")) as place:
        place.annotate(store="whole.db", out="whole.jsonl")
        whole = place.path("whole.jsonl").read_bytes()
        killed = generation = asked_stored = 0
        stored = set()
        while killed < options.kills:
            store = f"killed{generation}.db"
            before = len(provider.requests)
            process = place.start(place.annotate_line(store=store, out="killed.jsonl"))
            time.sleep(rng.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            # A request that was sent before the kill may arrive just after it.
            while provider.in_flight:
                time.sleep(0.01)
            asked_stored += sum(question in stored for _, question, _ in provider.requests[before:])
            if process.returncode == -signal.SIGKILL:
                killed += 1
            else:
                if place.path("killed.jsonl").read_bytes() != whole:
                    wrong.append(f"generation {generation}: other bytes")
                generation += 1
                stored = set()
                continue
            if place.path(store).exists():
                try:
                    stored = {question_of(body) for (body,) in place.sql(
                        "SELECT r.body FROM requests r JOIN answers a ON a.key = r.key", store)}
                except workplace.sqlite3.OperationalError:
                    stored = set()  # killed before the first table
        ran = place.annotate(store=f"killed{generation}.db", out="killed.jsonl")
        if ran.returncode != 0 or place.path("killed.jsonl").read_bytes() != whole:
            wrong.append(f"the last run: status {ran.returncode}, or other bytes")
        if asked_stored:
            wrong.append(f"{asked_stored} stored answers were asked for again")
        left = [path.name for path in place.folder.glob("*.tmp")]
        if left:
            wrong.append(f"temporary files are left: {left}")
        print(f"{killed} kills, {generation} runs that ended before theirs, {len(provider.requests)} "
              f"requests, {asked_stored} stored answers asked for again", flush=True)
    provider.stop()
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=2400)
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--without", default="")
    options = parser.parse_args()
    print(f"{len(KINDS)} kinds", flush=True)
    wrong = []
    for run in range(options.runs):
        wrong += chaos(options, options.seed + run)
    if options.kills:
        wrong += kills(options)
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
