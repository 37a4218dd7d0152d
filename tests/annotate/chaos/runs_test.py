#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How runs and batches end: limits, signals, dead servers, full disks, lost replies.

    SP2DPO=build/ci/bin/sp2dpo python3 -m unittest tests/annotate/chaos/runs_test.py
"""
import fcntl
import gzip
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from provider import Answer, Provider, chunks, http  # noqa: E402
from workplace import Workplace  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RunsTest(unittest.TestCase):
    def serve(self, *args, **options):
        provider = Provider(*args, **options)
        self.addCleanup(provider.stop)
        return provider

    def place(self, **options):
        place = Workplace(**options)
        self.addCleanup(place.__exit__)
        return place


class Names(RunsTest):
    def test_a_store_that_keeps_nothing_is_refused_before_anything_is_asked(self):
        provider = self.serve()
        place = self.place(url=provider.url)
        for store in ("", ":memory:", "file:x.db?mode=memory", "file::memory:", "/dev/null",
                      "/dev/stdout", "/dev/fd/1", ".", "-"):
            ran = place.annotate(store=store)
            self.assertIn(ran.returncode, (1, 2), store)
            self.assertNotEqual(ran.stderr, "", store)
        self.assertEqual(len(provider.requests), 0)
        self.assertFalse(place.path("o.jsonl").exists())

    def test_one_writer_whatever_the_store_is_called(self):
        provider = self.serve(latency=0.2)
        place = self.place(url=provider.url, pairs=20, concurrent=2)
        first = place.start(place.annotate_line())
        while len(provider.requests) < 4:
            time.sleep(0.01)
        os.link(place.path("s.db"), place.path("hard.db"))
        os.symlink("s.db", place.path("symbolic.db"))
        for store in ("hard.db", "symbolic.db", "./s.db"):
            ran = place.annotate(store=store, out="other.jsonl")
            self.assertEqual(ran.returncode, 1, store)
            self.assertIn("another process is writing", ran.stderr, store)
        first.communicate()
        self.assertEqual(first.returncode, 0)
        self.assertEqual(len(provider.requests), 20)

    def test_outputs_are_opened_before_anything_is_paid(self):
        provider = self.serve()
        place = self.place(url=provider.url)
        for arguments in (("--failures", "nowhere/f"), ("--failures", "o.jsonl")):
            self.assertNotEqual(place.annotate(*arguments).returncode, 0)
        self.assertNotEqual(place.annotate(out="nowhere/o.jsonl").returncode, 0)
        self.assertEqual(len(provider.requests), 0)


class Limits(RunsTest):
    def test_a_limit_that_is_none_is_refused(self):
        provider = self.serve()
        place = self.place(url=provider.url)
        for limit in ("nan", "-nan", "NaN", "-1", "-0.001", "inf", "x", ""):
            ran = place.annotate("--max-cost=" + limit)
            self.assertEqual(ran.returncode, 2, (limit, ran.stderr))
            self.assertIn("--max-cost", ran.stderr)
        self.assertEqual(len(provider.requests), 0)

    def test_a_limit_below_one_request_says_what_one_may_cost(self):
        provider = self.serve()
        place = self.place(url=provider.url)
        for limit in ("0", "0.0001"):
            ran = place.annotate("--max-cost", limit)
            self.assertEqual(ran.returncode, 2, ran.stderr)
            self.assertRegex(ran.stderr, r"one request may cost up to 0\.00")
        self.assertEqual(len(provider.requests), 0)
        self.assertEqual(place.annotate().returncode, 0)
        # Nothing is left to be paid for, so that any limit will do.
        self.assertEqual(place.annotate("--max-cost", "0").returncode, 0)

    def test_replies_without_usage_count_at_their_reserve_in_every_table(self):
        costs = {}
        for usage in ("plain", "usage_missing", "usage_null", "usage_negative"):
            provider = self.serve(lambda *_, usage=usage: usage)
            place = self.place(url=provider.url)
            ran = place.annotate()
            self.assertEqual(ran.returncode, 0, ran.stderr)
            said = float(re.search(r"cost ([0-9.]+)", ran.stdout).group(1))
            table = float(re.search(r"ada +direct .*", ran.stdout).group().split()[-3]) / 100
            self.assertAlmostEqual(said, table, 3, usage)
            costs[usage] = said
        self.assertGreater(costs["usage_missing"], 5 * costs["plain"])
        self.assertEqual(costs["usage_missing"], costs["usage_null"])
        self.assertEqual(costs["usage_missing"], costs["usage_negative"])

    def test_a_question_that_the_token_limit_forbids_says_so(self):
        provider = self.serve()
        place = self.place(url=provider.url, more="tokens_per_minute = 100")
        ran = place.annotate()
        self.assertEqual(ran.returncode, 4)
        self.assertIn("above the endpoint's limit of 100 per minute",
                      place.path("o.jsonl.failures").read_text())


class Signals(RunsTest):
    def started(self, provider, after, **options):
        place = self.place(url=provider.url, pairs=300, concurrent=8, **options)
        process = place.start(place.annotate_line())
        while len(provider.requests) < after:
            time.sleep(0.005)
        return place, process

    def test_each_signal_stops_softly_and_loses_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            provider = self.serve(latency=0.15)
            place, process = self.started(provider, 30)
            process.send_signal(number)
            time.sleep(0.02)
            process.send_signal(number)  # as `timeout` and terminals do
            stopped = time.monotonic()
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 3, number)
            late = [when for when, _, _ in provider.requests if when > stopped + 0.2]
            self.assertEqual(late, [], number)
            self.assertEqual(len(place.bodies()), len(provider.paid), number)
            self.assertEqual(len(provider.paid), len(provider.requests), number)

    def test_nothing_is_sent_after_the_signal_by_retries_either(self):
        provider = self.serve(lambda *_: "status_503", latency=0.05)
        place, process = self.started(provider, 20)
        process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3)
        self.assertLess(time.monotonic() - stopped, 5)
        self.assertEqual([w for w, _, _ in provider.requests if w > stopped + 0.2], [])
        self.assertIn("HTTP 503", place.path("o.jsonl.failures").read_text())
        self.assertGreater(place.sql("SELECT count(*) FROM failures")[0][0], 0)

    def test_a_late_second_signal_ends_at_once_and_says_what_is_lost(self):
        provider = self.serve(lambda *_: "hangs")
        _, process = self.started(provider, 8)
        process.send_signal(signal.SIGINT)
        time.sleep(1.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertRegex(errors, r"ended at once; lost: the replies to 8 requests under way")

    def test_a_hang_up_is_ignored_under_nohup(self):
        provider = self.serve(latency=0.05)
        place = self.place(url=provider.url, pairs=30, concurrent=4)
        process = place.start(place.annotate_line(),
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        while len(provider.requests) < 5:
            time.sleep(0.005)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)


class DeadServers(RunsTest):
    def test_a_server_that_is_not_there_is_named_at_once_and_ends_the_run(self):
        port = free_port()
        place = self.place(url=f"http://127.0.0.1:{port}/v1", pairs=5)
        began = time.monotonic()
        ran = place.annotate("--wait-for-servers", "3")
        took = time.monotonic() - began
        self.assertEqual(ran.returncode, 4)
        self.assertGreater(took, 2.5)
        self.assertLess(took, 15)
        self.assertIn("ada: ", ran.stderr)
        self.assertIn(f"127.0.0.1:{port}", ran.stderr)
        self.assertIn("no server answered for 3 s", ran.stderr)
        failures = place.path("o.jsonl.failures").read_text().splitlines()
        self.assertEqual(len(failures), 5)
        for line in failures:
            self.assertIn("connect", line.lower())
        self.assertGreater(place.sql("SELECT count(*) FROM failures")[0][0], 0)

    def test_any_answer_ends_the_rule(self):
        provider = self.serve(lambda _, attempt: "status_503" if attempt < 3 else "plain")
        place = self.place(url=provider.url, pairs=3)
        ran = place.annotate("--wait-for-servers", "1")
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_server_that_comes_up_in_time_is_used(self):
        port = free_port()
        place = self.place(url=f"http://127.0.0.1:{port}/v1", pairs=3)
        process = place.start(place.annotate_line("--wait-for-servers", "60"))
        time.sleep(1.5)
        provider = self.serve()
        # A relay from the port that was closed so far.
        relay = socket.create_server(("127.0.0.1", port))
        self.addCleanup(relay.close)

        import threading

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
            except OSError:
                pass

        def accept():
            while True:
                try:
                    client, _ = relay.accept()
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", provider.port))
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                threading.Thread(target=pump, args=(server, client), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_check_asks_each_judge_once(self):
        provider = self.serve()
        place = self.place(url=provider.url, judges=("ada", "bob"))
        ran = place.run("annotate", "--pairs", "pairs.jsonl", "--panel", "panel.toml", "--store",
                        "s.db", "--check")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(ran.stdout.count("PASS"), 2)
        self.assertEqual(len(provider.requests), 2)
        self.assertEqual(len(place.bodies()), 2)
        text = place.path("panel.toml").read_text().replace(provider.url, "http://127.0.0.1:1/v1", 1)
        place.path("panel.toml").write_text(text)
        ran = place.run("annotate", "--pairs", "pairs.jsonl", "--panel", "panel.toml", "--store",
                        "s.db", "--check")
        self.assertEqual(ran.returncode, 4)
        self.assertRegex(ran.stdout, r"FAIL +ada: .*127\.0\.0\.1:1/v1: .*connect")
        self.assertRegex(ran.stdout, r"PASS +bob")


class Screens(RunsTest):
    def shown(self, place, columns):
        """What a terminal of this width gets, in pieces between carriage returns and line feeds."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(place.folder)
            line = place.annotate_line()
            os.execvp(line[0], line)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        text = b""
        while True:
            ready, _, _ = select.select([terminal], [], [], 30)
            try:
                data = os.read(terminal, 65536) if ready else b""
            except OSError:
                data = b""
            if not data:
                break
            text += data
        os.waitpid(pid, 0)
        return text.decode("utf-8", "replace")

    def test_the_progress_line_fits_the_terminal(self):
        for columns in (40, 80, 110):
            provider = self.serve(latency=0.1)
            place = self.place(url=provider.url, pairs=60, concurrent=4)
            text = self.shown(place, columns)
            pieces = [piece.replace("\x1b[K", "") for piece in re.split(r"[\r\n]+", text)]
            lines = [piece for piece in pieces if re.search(r"\d %  \d+/60", piece)]
            self.assertGreater(len(lines), 2, text)
            self.assertLess(max(map(len, lines)), columns)
            self.assertEqual(text.count("/60  "), len(lines))
            if columns >= 80:
                self.assertIn("[", lines[-1])
                self.assertIn("/s  cost", lines[-1])

    def test_unreadable_answers_are_announced_early(self):
        provider = self.serve(lambda *_: "prose")
        place = self.place(url=provider.url, pairs=60, concurrent=4, more="reasks = 0")
        ran = place.annotate()
        self.assertRegex(ran.stderr, r"Warning: \d+ of \d+ replies have no readable verdict")

    def test_a_log_gets_few_lines(self):
        provider = self.serve(latency=0.05)
        place = self.place(url=provider.url, pairs=100, concurrent=2)
        ran = place.annotate()
        self.assertEqual(ran.returncode, 0)
        self.assertEqual(ran.stderr, "")


class FullDisks(RunsTest):
    def test_a_limit_on_the_files_size_loses_nothing_that_was_paid(self):
        provider = self.serve(lambda *_: "padded", latency=0.01)
        place = self.place(url=provider.url, pairs=80, concurrent=4)
        limit = 8_000_000

        ran = place.annotate(preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
        self.assertEqual(ran.returncode, 4, ran.stderr)
        self.assertIn("stopped by the disk", ran.stderr)
        paid = len(provider.paid)
        self.assertEqual(paid, len(provider.requests))
        self.assertLess(paid, 80)
        done = place.annotate()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(provider.requests), 80)
        self.assertEqual(len(place.bodies()), 80)
        self.assertFalse(place.path("s.db.reserve").exists())

    def test_a_full_file_system_loses_nothing_that_was_paid(self):
        place = self.place(pairs=200)
        disk = place.path("disk")
        disk.mkdir()
        if os.system(f"mount -t tmpfs -o size=12m tmpfs '{disk}' 2>/dev/null") != 0:
            self.skipTest("mounting a small file system is not allowed here")
        self.addCleanup(lambda: os.system(f"umount '{disk}'"))
        provider = self.serve(lambda *_: "padded", latency=0.01)
        text = place.path("panel.toml").read_text().replace("http://127.0.0.1:1/v1", provider.url)
        place.path("panel.toml").write_text(text.replace("max_concurrent = 8", "max_concurrent = 4"))
        ran = place.annotate(store="disk/s.db")
        self.assertEqual(ran.returncode, 4, ran.stderr)
        self.assertIn("stopped by the disk", ran.stderr)
        paid = len(provider.paid)
        self.assertEqual(paid, len(provider.requests))
        os.system(f"mount -o remount,size=100m '{disk}'")
        done = place.annotate(store="disk/s.db")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(provider.requests), 200)
        self.assertEqual(len(place.bodies("disk/s.db")), 200)

    def test_too_little_room_for_the_answers_under_way_is_said_at_once(self):
        provider = self.serve()
        place = self.place(url=provider.url, pairs=80, concurrent=32)
        ran = place.annotate(preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY)))
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no room on the disk for the answers under way", ran.stderr)
        self.assertEqual(len(provider.requests), 0)


class Service:
    """The batch side of a provider."""

    def __init__(self, **quirks):
        self.quirks = quirks
        self.files = {}      # id -> bytes
        self.batches = {}    # id -> dict
        self.begun = []      # input file ids
        self.polls = 0

    def __call__(self, method, path, body):
        clean = path.split("?")[0].removeprefix("/v1")
        if method == "POST" and clean == "/files":
            content = body.split(b"\r\n\r\n")[-1].rsplit(b"\r\n--", 1)[0]
            for part in body.split(b"\r\n--"):
                if b'name="file"' in part:
                    content = part.split(b"\r\n\r\n", 1)[1]
            name = f"file-{len(self.files)}"
            self.files[name] = content
            return self.json({"id": name})
        if method == "POST" and clean == "/batches":
            wanted = json.loads(body)
            self.begun.append(wanted["input_file_id"])
            name = self.quirks.get("batch_id", f"batch_{len(self.batches)}")
            self.batches[name] = {"id": name, "status": "validating",
                                  "input_file_id": wanted["input_file_id"]}
            if self.quirks.pop("lose_begin", False):
                return None
            return self.json(self.batches[name])
        if method == "GET" and clean == "/batches":
            if self.quirks.get("no_list"):
                return http(b'{"error": "no such path"}', "404 Not Found")
            return self.json({"data": list(self.batches.values()), "has_more": False})
        if method == "GET" and clean.startswith("/batches/"):
            self.polls += 1
            batch = self.batches[clean.split("/")[-1]]
            return self.json(self.state(batch))
        if method == "GET" and clean.endswith("/content"):
            content = self.quirks.get("content", {}).get(clean.split("/")[2])
            return content if callable(content) else http(content or self.files[clean.split("/")[2]])
        return http(b'{"error": "no such path"}', "404 Not Found")

    @staticmethod
    def json(value):
        return http(json.dumps(value).encode())

    def requests_of(self, batch):
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines() if line]

    def result(self, request, number=0):
        answer = Answer(json.dumps(request["body"]), number)
        return json.dumps({"id": "r", "custom_id": request["custom_id"], "response": {
            "status_code": 200, "request_id": "q", "body": answer.document()}, "error": None})

    def state(self, batch):
        if "state" in self.quirks:
            return self.quirks["state"](self, batch)
        lines = [self.result(request, i) for i, request in enumerate(self.requests_of(batch))]
        return self.completed(batch, "\n".join(lines).encode() + b"\n")

    def completed(self, batch, output, state="completed", **more):
        name = f"out-{batch['id']}"
        if output is not None:
            self.files[name] = output
        return {**batch, "status": state, "output_file_id": name if output is not None else None, **more}


class Batches(RunsTest):
    def batch(self, service, judges=("ada",), pairs=6):
        provider = self.serve(batches=service)
        place = self.place(url=provider.url, judges=judges, pairs=pairs)
        wrote = place.run("batch", "write", "--pairs", "pairs.jsonl", "--panel", "panel.toml",
                          "--store", "s.db", "--out", "ask")
        self.assertEqual(wrote.returncode, 0, wrote.stderr)
        place.path("res").mkdir()
        return provider, place

    def submit(self, place, *files, judge="ada", more=()):
        return place.run("batch", "submit", "--panel", "panel.toml", "--store", "s.db", "--teacher",
                         judge, *more, *(files or (f"ask.{judge}.0001.jsonl",)))

    def wait(self, place, timeout=60):
        return place.run("batch", "wait", "--panel", "panel.toml", "--store", "s.db", "--out", "res",
                         "--every", "1", timeout=timeout)

    def test_a_plain_batch_is_read(self):
        service = Service()
        provider, place = self.batch(service)
        self.assertEqual(self.submit(place).returncode, 0)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertIn("6 replies are new", waited.stdout)
        self.assertEqual(place.annotate().returncode, 0)
        self.assertEqual(len(provider.requests), 0)

    def test_results_larger_than_any_limit_are_streamed(self):
        service = Service()
        provider, place = self.batch(service, pairs=60)
        padding = "x" * 2_000_000

        def state(service, batch):
            lines = []
            for i, request in enumerate(service.requests_of(batch)):
                line = json.loads(service.result(request, i))
                line["response"]["body"]["padding"] = padding
                lines.append(json.dumps(line))
            return service.completed(batch, "\n".join(lines).encode())

        service.quirks["state"] = state
        self.assertEqual(self.submit(place).returncode, 0)
        waited = self.wait(place, 180)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertIn("60 replies are new", waited.stdout)
        self.assertGreater(place.path("res/batch_0.output.jsonl").stat().st_size, 100_000_000)

    def test_the_reason_and_the_counts_of_a_failed_batch_are_shown(self):
        service = Service(state=lambda service, batch: {
            **batch, "status": "failed", "errors": {"object": "list", "data": [
                {"code": "token_limit_exceeded", "message": "Enqueued token limit \x1b[31mreached",
                 "line": 3}]}})
        _, place = self.batch(service)
        self.submit(place)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 4)
        self.assertIn("token_limit_exceeded: Enqueued token limit", waited.stdout)
        self.assertIn("line 3", waited.stdout)
        self.assertNotIn("\x1b", waited.stdout)

    def test_a_batch_whose_every_line_failed_is_no_success(self):
        service = Service(state=lambda service, batch: {
            **batch, "status": "completed", "output_file_id": None, "error_file_id": None,
            "request_counts": {"total": 6, "completed": 0, "failed": 6}})
        _, place = self.batch(service)
        self.submit(place)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 4)
        self.assertIn("0 of 6 requests completed, 6 failed", waited.stdout)

    def test_a_page_instead_of_results_is_fetched_again(self):
        service = Service()
        _, place = self.batch(service)
        self.submit(place)
        service.quirks["content"] = {"out-batch_0": b"<html>please log in</html>"}
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 4)
        self.assertIn("<html>please log in</html>", waited.stderr)
        del service.quirks["content"]
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertIn("6 replies are new", waited.stdout)

    def test_an_expired_batch_is_sent_again_without_what_it_brought(self):
        def state(service, batch):
            lines = [service.result(request, i) for i, request in enumerate(service.requests_of(batch))]
            return service.completed(batch, "\n".join(lines[:4]).encode(), "expired")

        service = Service(state=state)
        provider, place = self.batch(service)
        self.submit(place)
        self.assertEqual(self.wait(place).returncode, 4)
        again = self.submit(place)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("sent, 2 requests", again.stdout)
        self.assertEqual(service.files[service.begun[1]].strip().count(b"\n"), 1)
        del service.quirks["state"]
        self.assertEqual(self.wait(place).returncode, 0)
        self.assertIn("the store has a reply to every line", self.submit(place).stdout)
        self.assertEqual(place.annotate().returncode, 0)
        self.assertEqual(len(provider.requests), 0)

    def test_a_lost_reply_begins_no_second_batch(self):
        service = Service(lose_begin=True)
        _, place = self.batch(service)
        lost = self.submit(place)
        self.assertEqual(lost.returncode, 1)
        self.assertIn("not known", lost.stderr)
        again = self.submit(place)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("not sent again", again.stdout)
        self.assertEqual(len(service.begun), 1)
        self.assertEqual(self.wait(place).returncode, 0)

    def test_wait_finds_the_batch_of_a_lost_reply(self):
        service = Service(lose_begin=True)
        _, place = self.batch(service)
        self.submit(place)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertIn("6 replies are new", waited.stdout)

    def test_a_provider_that_lists_nothing_is_not_paid_twice_unasked(self):
        service = Service(lose_begin=True, no_list=True)
        _, place = self.batch(service)
        self.submit(place)
        self.assertEqual(self.submit(place).returncode, 1)
        self.assertEqual(len(service.begun), 1)
        self.assertEqual(self.submit(place, more=("--resend",)).returncode, 0)
        self.assertEqual(len(service.begun), 2)

    def test_only_files_of_the_judge_are_sent(self):
        service = Service()
        _, place = self.batch(service, judges=("ada", "bob"))
        for file, judge in (("ask.ada.0001.jsonl", "bob"), ("pairs.jsonl", "ada"), ("s.db", "ada"),
                            ("panel.toml", "ada")):
            refused = self.submit(place, file, judge=judge)
            self.assertNotEqual(refused.returncode, 0, file)
        self.assertEqual(service.files, {})

    def test_an_unknown_state_is_said_and_not_polled_for_ever(self):
        service = Service(state=lambda service, batch: {**batch, "status": "meditating"})
        _, place = self.batch(service)
        self.submit(place)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 4)
        self.assertIn('the state "meditating" is not known', waited.stderr)
        self.assertLess(service.polls, 20)

    def test_one_batch_in_trouble_does_not_keep_the_others(self):
        service = Service()
        _, place = self.batch(service, judges=("ada", "bob"))
        self.submit(place)
        self.submit(place, judge="bob")
        usual = service.state
        service.quirks["state"] = lambda _, batch: (
            {"status": 7} if batch["id"] == "batch_0" else
            service.completed(batch, b"\n".join(
                service.result(r, i).encode() for i, r in enumerate(service.requests_of(batch)))))
        self.assertIsNotNone(usual)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 4)
        self.assertIn("6 replies are new", waited.stdout)

    def test_two_providers_may_give_one_id(self):
        service = Service(batch_id="batch_x")
        _, place = self.batch(service, judges=("ada",))
        other = Service(batch_id="batch_x")
        second = self.serve(batches=other)
        text = place.path("panel.toml").read_text()
        place.path("panel.toml").write_text(
            text + '[[teacher]]\nname = "bob"\nmodel = "bob"\nfamily = "g"\n'
                   f'base_url = "{second.url}"\nprice = {{ prompt = 1, completion = 2 }}\n')
        place.run("batch", "write", "--pairs", "pairs.jsonl", "--panel", "panel.toml", "--store",
                  "s.db", "--out", "ask")
        self.assertEqual(self.submit(place).returncode, 0)
        self.assertEqual(self.submit(place, judge="bob").returncode, 0)
        waited = self.wait(place)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertIn("12 replies are new", waited.stdout)

    def test_two_judges_never_share_a_file(self):
        provider = self.serve()
        for judges in (("a/b", "a_b"), ("a_b-2", "a/b", "a_b"), ("中文", "日本"), ("Ada", "ada")):
            place = self.place(url=provider.url, judges=judges, pairs=5)
            wrote = place.run("batch", "write", "--pairs", "pairs.jsonl", "--panel", "panel.toml",
                              "--store", "s.db", "--out", "ask")
            self.assertEqual(wrote.returncode, 0, wrote.stderr)
            files = list(place.folder.glob("ask.*.0001.jsonl"))
            self.assertEqual(len({file.name.lower() for file in files}), len(judges), judges)
            self.assertEqual(sum(file.read_text().count("\n") for file in files), 5 * len(judges))

    def results(self, place):
        service = Service()
        service.files["f"] = place.path("ask.ada.0001.jsonl").read_bytes()
        return [service.result(request, i)
                for i, request in enumerate(service.requests_of({"input_file_id": "f"}))]

    def read(self, place, content, name="r.jsonl"):
        place.path(name).write_bytes(content)
        return place.run("batch", "read", "--store", "s.db", name)

    def test_a_byte_order_mark_costs_no_line(self):
        _, place = self.batch(Service())
        lines = self.results(place)
        ran = self.read(place, b"\xef\xbb\xbf" + "\n".join(lines).encode())
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("6 replies are new", ran.stdout)

    def test_a_file_of_another_kind_is_no_success(self):
        _, place = self.batch(Service())
        lines = "\n".join(self.results(place)).encode()
        foreign = lines.replace(b'"custom_id": "', b'"custom_id": "0').replace(b"0000", b"1111")
        for content, words in ((b"<html>log in</html>", "of another kind"),
                               (gzip.compress(lines), ""),
                               (foreign, "another store or judge"),
                               (place.path("pairs.jsonl").read_bytes(), "")):
            ran = self.read(place, content)
            self.assertEqual(ran.returncode, 1, (content[:40], ran.stdout))
            self.assertIn(words, ran.stderr)

    def test_results_that_begin_with_a_later_ask_are_not_bought_for_nothing(self):
        provider, place = self.batch(Service(), pairs=4)
        lines = []
        for line in self.results(place):
            line = json.loads(line)
            line["custom_id"] += ".1"
            line["response"]["body"]["choices"][0]["message"]["content"] = "I like the first."
            lines.append(json.dumps(line))
        self.assertEqual(self.read(place, "\n".join(lines).encode()).returncode, 0)
        self.assertEqual(place.annotate().returncode, 0)
        asked = len(provider.requests)
        self.assertEqual(len(place.bodies()), 4 + asked)
        place.annotate()
        self.assertEqual(len(provider.requests), asked)

    def test_a_verdict_is_kept_beside_prose_under_one_id(self):
        provider, place = self.batch(Service(), pairs=4)
        lines = self.results(place)
        prose = []
        for line in lines:
            line = json.loads(line)
            line["response"]["body"]["choices"][0]["message"]["content"] = "I like the first."
            prose.append(json.dumps(line))
        ran = self.read(place, "\n".join(prose + lines).encode())
        self.assertIn("4 replies are new, 0 known, 4 different", ran.stdout)
        self.assertEqual(place.annotate().returncode, 0)
        self.assertEqual(len(provider.requests), 0)
        self.assertEqual(place.lines("o.jsonl"), 4)

    def test_timeout_ends_a_wait_softly(self):
        service = Service(state=lambda service, batch: {**batch, "status": "in_progress"})
        _, place = self.batch(service)
        self.submit(place)
        for _ in range(3):
            process = place.start(place.command(
                "batch", "wait", "--panel", "panel.toml", "--store", "s.db", "--out", "res",
                "--every", "1"), start_new_session=True)
            time.sleep(0.6)
            process.send_signal(signal.SIGTERM)
            os.killpg(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 3)
            self.assertIn("stopped: 1 batches are still running", errors)

    def test_a_wait_hears_the_signal_during_a_download(self):
        async def slow(writer):
            import asyncio
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3000):
                writer.write(chunks(b"x" * 10, 10))
                await writer.drain()
                await asyncio.sleep(0.1)

        service = Service()
        service.quirks["content"] = {"out-batch_0": slow}
        _, place = self.batch(service)
        self.submit(place)
        process = place.start(place.command("batch", "wait", "--panel", "panel.toml", "--store",
                                            "s.db", "--out", "res", "--every", "1"))
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 3)
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main()
