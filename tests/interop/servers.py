# SPDX-License-Identifier: Apache-2.0
"""servers.py SERVER PROGRAM: starts a server that others wrote, and checks how annotate gets on.

It is called by run.sh, which sees to it that the server is installed. What came of it is left in
build/interop/SERVER.run/.
"""
import collections
import contextlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAIRS = ROOT / "examples/data/pairs.jsonl"
ENVIRONMENT = {
    **os.environ,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    # Nothing but loopback is asked for.
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


class Failed(Exception):
    pass


def expect(what, came, wanted):
    if came != wanted:
        raise Failed(f"{what}: expected {wanted!r}, not {came!r}")


def expect_in(what, text, part):
    if part not in text:
        raise Failed(f"{what}: expected {part!r} in {text!r}")


def http(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data), timeout=10) as reply:
        return reply.read()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextlib.contextmanager
def running(command, port, health, log):
    """A server, from when it is well until the block ends."""
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [str(part) for part in command], env=ENVIRONMENT, cwd=log.parent,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )
    try:
        until = time.monotonic() + 300
        while True:
            try:
                http(f"http://127.0.0.1:{port}{health}")
                break
            except (OSError, urllib.error.URLError):
                if server.poll() is not None or time.monotonic() > until:
                    raise Failed(f"the server did not start: {log}") from None
                time.sleep(0.2)
        yield
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


Came = collections.namedtuple("Came", "status err annotations failures")


class Client:
    """The program, asking one teacher."""

    def __init__(self, program, folder, base_url):
        self.program, self.folder, self.base_url = program, folder, base_url

    def call(self, *arguments, key="sk-right"):
        environment = {**ENVIRONMENT, "SP2DPO_INTEROP_KEY": key}
        return subprocess.run(
            [self.program, *map(str, arguments)], env=environment, cwd=self.folder,
            capture_output=True, text=True, timeout=300, check=False,
        )

    def panel(self, name, model, more="", prompts=""):
        (self.folder / f"{name}.toml").write_text(
            f'{prompts}[[teacher]]\nname = "judge"\nmodel = "{model}"\nfamily = "interop"\n'
            f'base_url = "{self.base_url}"\nkey_variable = "SP2DPO_INTEROP_KEY"\n'
            f"price = {{ prompt = 1, completion = 4 }}\n{more}"
        )

    def annotate(self, name, pairs, *more, key="sk-right"):
        ran = self.call(
            "annotate", "--pairs", PAIRS, "--limit", pairs, "--panel", f"{name}.toml",
            "--store", f"{name}.db", "--out", f"{name}.jsonl", *more, key=key,
        )
        if ran.returncode not in (0, 4):
            raise Failed(f"annotate ended with {ran.returncode}: {ran.stderr}")
        return Came(
            ran.returncode, ran.stderr, self.lines(f"{name}.jsonl"),
            self.lines(f"{name}.jsonl.failures"),
        )

    def lines(self, file):
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]

    def rows(self, name, query):
        with contextlib.closing(sqlite3.connect(self.folder / f"{name}.db")) as store:
            return store.execute(query).fetchall()


def classes(failures):
    return dict(collections.Counter(failure["class"] for failure in failures))


def expect_refused(client, name, came, questions, detail):
    """Every question was put once, and is without an answer for the reason that the server gave."""
    expect(f"{name}: status", came.status, 4)
    expect(f"{name}: failures", classes(came.failures), {"missing": questions})
    expect_in(f"{name}: detail", came.failures[0]["detail"], detail)
    expect(f"{name}: attempts", client.rows(name, "SELECT COUNT(*) FROM failures"), [(questions,)])


def llmock(client, environment):
    admin = client.base_url.removesuffix("/v1") + "/_llmock"

    def script(*behaviors):
        http(f"{admin}/reset", {})
        http(f"{admin}/scenario", {"behaviors": behaviors})

    def judged(calls, attempts):
        verdict = json.loads(http(f"{admin}/verdict"))
        expect("llmock's calls and attempts", (verdict["calls"], verdict["attempts"]),
               (calls, attempts))
        report = subprocess.run(
            [environment / "bin/llmock", "report", "--url", admin.removesuffix("/_llmock"),
             "--strict"], env=ENVIRONMENT, capture_output=True, text=True, check=False,
        )
        if report.returncode != 0:
            raise Failed(f"llmock report --strict: {report.stdout}{report.stderr}")

    script(
        {"type": "fail", "status": 429, "retry_after": 1, "times": 2},
        {"type": "fail", "status": 503, "retry_after": 1.5},
        {"type": "fail", "status": 500, "times": 2},
    )
    client.panel("faults", "gpt-4o-mini")
    came = client.annotate("faults", 4)
    expect("status", came.status, 0)
    expect("annotations, failures", (len(came.annotations), came.failures), (12, []))
    judged(12, 17)
    yield "429, 503 and 500 among 12 requests: 12 annotations, and nothing for report --strict"

    script({"type": "fail", "status": 503, "times": None})
    client.panel("outage", "gpt-4o-mini", "max_attempts = 3\n")
    came = client.annotate("outage", 1)
    expect_refused(client, "outage", came, 3, "HTTP 503")
    judged(3, 9)
    script({"type": "fail", "status": 400, "times": 3})
    came = client.annotate("outage", 1)
    expect("status after a 400", came.status, 4)
    expect_in("detail", came.failures[0]["detail"], "HTTP 400")
    judged(3, 3)
    http(f"{admin}/reset", {})
    came = client.annotate("outage", 1)
    expect("status, annotations", (came.status, len(came.annotations)), (0, 3))
    yield "an outage ends after 3 attempts each, a 400 after one; the same call asks again"

    for step in (
        ("write", "--pairs", PAIRS, "--limit", 3, "--panel", "faults.toml", "--out", "ask"),
        ("submit", "--panel", "faults.toml", "--teacher", "judge", "ask.judge.0001.jsonl"),
        ("wait", "--panel", "faults.toml", "--out", ".", "--every", 1),
    ):
        ran = client.call("batch", *step, "--store", "batch.db")
        if ran.returncode != 0:
            raise Failed(f"batch {step[0]} ended with {ran.returncode}: {ran.stderr}")
    shutil.copy(client.folder / "faults.toml", client.folder / "batch.toml")
    came = client.annotate("batch", 3, "--reparse")
    expect("status", came.status, 0)
    expect("failures of the batch", classes(came.failures), {"no-verdict": 9})
    yield "files and batches: 9 of 9 answers came, all prose, and none became a verdict"


def transformers(client, environment):
    model = client.folder / "model"
    client.panel("prose", model, "reasks = 0\ndecoding = { max_tokens = 24 }\n")
    came = client.annotate("prose", 2)
    expect("status", came.status, 0)
    expect("annotations", came.annotations, [])
    unusable = {"truncated", "no-verdict", "empty"}
    expect("other failures than of random text", set(classes(came.failures)) - unusable, set())
    rows = client.rows("prose", "SELECT r.body, a.body FROM requests r JOIN answers a USING (key)")
    expect("answers", len(rows), 6)
    tokens = [0, 0]
    for asked, answered in ((json.loads(asked), json.loads(answered)) for asked, answered in rows):
        # A token for every byte, and the end of the line that the template puts behind a message.
        sent = sum(len(message["content"].encode()) + 1 for message in asked["messages"])
        expect("prompt_tokens", answered["usage"]["prompt_tokens"], sent)
        tokens[0] += sent
        tokens[1] += answered["usage"]["completion_tokens"]
    counted = client.rows("prose", "SELECT SUM(prompt_tokens), SUM(completion_tokens) FROM answers")
    expect("tokens in the store", counted, [tuple(tokens)])
    yield f"6 random answers, no annotation: {classes(came.failures)}; usage is right to the token"

    client.panel("pinned", "another")
    expect_refused(client, "pinned", client.annotate("pinned", 1), 3, "HTTP 400: Server is pinned")
    client.panel("field", model, "decoding = { extra = { unheard_of = 1 } }\n")
    expect_refused(client, "field", client.annotate("field", 1), 3, "HTTP 422: Unexpected fields")
    yield 'another model (400) and a field that it does not know (422): its {"detail"} is told'


def litellm(client, environment):
    direct = 'prompts = ["direct"]\n'
    client.panel("judge", "judge", prompts=direct)
    came = client.annotate("judge", 2)
    expect("status, failures", (came.status, came.failures), (0, []))
    expect("magnitudes", [a["magnitude"] for a in came.annotations], [0.75] * 2)
    yield "a verdict for the direct prompt passes through the proxy"

    client.panel("key", "judge", "max_concurrent = 1\n", direct)
    came = client.annotate("key", 30, key="sk-wrong")
    expect("status", came.status, 4)
    expect_in("message", came.err, "the last of 20 rejections in a row")
    expect("attempts", client.rows("key", "SELECT COUNT(*), MAX(http_status) FROM failures"),
           [(20, 400)])
    yield "a wrong key is a 400 about a database there: the endpoint is given up after 20 of them"

    client.panel("busy", "busy", "max_attempts = 3\n", direct)
    expect_refused(client, "busy", client.annotate("busy", 1), 1, "HTTP 429 (429)")
    client.panel("unknown", "unknown", prompts=direct)
    expect_refused(client, "unknown", client.annotate("unknown", 1), 1, "HTTP 400 (400)")
    yield "codes that are texts, and 429 without Retry-After: 3 attempts; an unknown model: one"


LITELLM_CONFIG = {
    "model_list": [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}", "api_key": "none", "mock_response": reply
            },
        }
        for name, reply in (
            ("judge", '{"category": "style", "magnitude": 0.75, "confidence": 0.5}'),
            ("busy", "litellm.RateLimitError"),
        )
    ],
    "general_settings": {"master_key": "sk-right"},
    "litellm_settings": {"telemetry": False},
}


def main(server, program):
    environment = ROOT / "build/interop" / server
    folder = environment.with_suffix(".run")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    at = ["--host", "127.0.0.1", "--port", port]
    if server == "llmock":
        command, health = [environment / "bin/llmock", "serve", *at], "/health"
    elif server == "transformers":
        python = environment / "bin/python"
        model = pathlib.Path(__file__).with_name("tiny_model.py")
        subprocess.run([python, model, folder / "model"], env=ENVIRONMENT, check=True,
                       stderr=subprocess.DEVNULL)
        command, health = [python, "-m", "transformers.cli.transformers", "serve",
                           folder / "model", "--device", "cpu", *at], "/health"
    else:
        # JSON is YAML.
        (folder / "config.yaml").write_text(json.dumps(LITELLM_CONFIG))
        command, health = [environment / "bin/litellm", "--config", "config.yaml",
                           *at], "/health/liveliness"
    try:
        with running(command, port, health, folder / "server.log"):
            client = Client(program, folder, f"http://127.0.0.1:{port}/v1")
            for said in CHECKS[server](client, environment):
                print(f"{server}: {said}")
    except Failed as failure:
        print(f"{server}: FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


CHECKS = {"llmock": llmock, "transformers": transformers, "litellm": litellm}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
