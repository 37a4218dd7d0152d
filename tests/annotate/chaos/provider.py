# SPDX-License-Identifier: Apache-2.0
"""A provider on this machine that misbehaves in many ways, for chaos.py and runs_test.py.

Each chat request meets one of KINDS. A kind is `paid` where a whole answer arrives, however odd:
the program must keep it. `clean` answers hold a verdict: the program must not ask again.
"""
import asyncio
import gzip
import hashlib
import json
import os
import random
import threading
import zlib
from email.utils import formatdate
from time import monotonic, time


def instance(schema, rng):
    """An instance of a JSON schema, its properties in their order."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return {key: instance(inner, rng) for key, inner in schema["properties"].items()}
    if kind == "array":
        return [instance(schema["items"], rng)]
    if kind == "string":
        return "because of the facts"
    if kind == "boolean":
        return True
    if kind == "integer":
        return 1
    return round(rng.uniform(0.1, 0.9), 2)


def question_of(body):
    """Identifies a question by its model and messages."""
    request = json.loads(body)
    asked = json.dumps([request["model"], request["messages"]])
    return hashlib.sha256(asked.encode()).hexdigest()


class Answer:
    """The parts of a completion that kinds change."""

    def __init__(self, request, number):
        self.request = json.loads(request)
        rng = random.Random(hashlib.sha256(json.dumps(self.request["messages"]).encode()).digest())
        schema = self.request.get("response_format", {}).get("json_schema", {}).get("schema")
        self.verdict = instance(schema, rng) if schema else {
            "category": "style", "magnitude": 0.5, "confidence": 0.5}
        self.text = json.dumps(self.verdict)
        self.number = number
        self.nonce = f"answer-{number}-{os.urandom(6).hex()}"
        self.usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
        self.choice = {"index": 0, "message": {"role": "assistant", "content": self.text},
                       "finish_reason": "stop"}
        self.more = {}

    def document(self):
        doc = {"id": self.nonce, "object": "chat.completion", "model": self.request["model"],
               "choices": [self.choice], "usage": self.usage, **self.more}
        if self.usage is None:
            del doc["usage"]
        return doc

    def body(self):
        return json.dumps(self.document()).encode()


def http(body, status="200 OK", headers=(), length=True, version="HTTP/1.1"):
    lines = [f"{version} {status}"]
    given = {name.lower() for name, _ in headers}
    if "content-type" not in given:
        lines.append("Content-Type: application/json")
    if length:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunks(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def chunked(body, size, headers=(), end=b"0\r\n\r\n"):
    head = http(b"", headers=[("Transfer-Encoding", "chunked"), *headers], length=False)
    return head + chunks(body, size) + end


KINDS = {}  # name -> (paid, clean, function of an Answer that returns bytes and how to end)
CLOSE, RESET, HANG, TRICKLE = "close", "reset", "hang", "trickle"


def kind(paid=False, clean=False):
    def add(function):
        KINDS[function.__name__] = (paid, clean, function)
        return function
    return add


def changed(name, change, paid=True, clean=False):
    """A kind that changes an Answer and sends it plainly."""
    def send(answer):
        change(answer)
        return http(answer.body()), None
    KINDS[name] = (paid, clean, send)


def raw(name, make, paid=False, clean=False, end=None):
    """A kind with its own bytes."""
    KINDS[name] = (paid, clean, lambda answer: (make(answer), end))


def set_choice(**fields):
    return lambda answer: answer.choice.update(fields)


def set_content(make):
    return lambda answer: answer.choice["message"].update(content=make(answer.text))


def set_usage(usage):
    return lambda answer: setattr(answer, "usage", usage)


# Whole answers with a verdict.
raw("plain", lambda a: http(a.body()), True, True)
raw("chunked_large", lambda a: chunked(a.body(), 100), True, True)
raw("chunked_tiny", lambda a: chunked(a.body(), 3), True, True)
raw("chunk_extension", lambda a: chunked(a.body(), 50, end=b"0;x=y\r\n\r\n"), True, True)
raw("trailer", lambda a: chunked(a.body(), 50, [("Trailer", "X-T")], b"0\r\nX-T: 1\r\n\r\n"), True, True)
raw("gzipped", lambda a: http(gzip.compress(a.body()), headers=[("Content-Encoding", "gzip")]), True, True)
raw("deflated", lambda a: http(zlib.compress(a.body()), headers=[("Content-Encoding", "deflate")]), True, True)
raw("gzip_chunked", lambda a: chunked(gzip.compress(a.body()), 20, [("Content-Encoding", "gzip")]), True, True)
raw("trickled", lambda a: http(a.body()), True, True, TRICKLE)
raw("closes", lambda a: http(a.body(), headers=[("Connection", "close")]), True, True, CLOSE)
raw("until_close", lambda a: http(a.body(), headers=[("Connection", "close")], length=False), True, True, CLOSE)
raw("http_1_0", lambda a: http(a.body(), version="HTTP/1.0"), True, True, CLOSE)
raw("continue_first", lambda a: b"HTTP/1.1 100 Continue\r\n\r\n" + http(a.body()), True, True)
raw("hints_first", lambda a: b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(a.body()), True, True)
raw("many_headers", lambda a: http(a.body(), headers=[(f"X-{i}", "y" * 50) for i in range(100)]), True, True)
raw("called_html", lambda a: http(a.body(), headers=[("Content-Type", "text/html")]), True, True)
raw("status_201", lambda a: http(a.body(), "201 Created"), True, True)
raw("no_reason_phrase", lambda a: http(a.body(), "200"), True, True)
raw("space_before", lambda a: http(b"\n\n   \r\n" + a.body()), True, True)
raw("space_behind", lambda a: http(a.body() + b"\n\n"), True, True)
raw("pretty", lambda a: http(json.dumps(a.document(), indent=4).encode()), True, True)
raw("padded", lambda a: http(a.body()[:-1] + b', "pad": "' + b"x" * 200_000 + b'"}'), True, True)
changed("finish_upper", set_choice(finish_reason="STOP"), clean=True)
changed("finish_eos", set_choice(finish_reason="eos"), clean=True)
changed("finish_end_turn", set_choice(finish_reason="end_turn"), clean=True)
changed("finish_null", set_choice(finish_reason=None), clean=True)
changed("finish_missing", lambda a: a.choice.pop("finish_reason"), clean=True)
changed("usage_missing", set_usage(None), clean=True)
changed("usage_null", set_usage({"prompt_tokens": None, "completion_tokens": None}), clean=True)
changed("usage_huge", set_usage({"prompt_tokens": 9 * 10**18, "completion_tokens": 9 * 10**18}), clean=True)
changed("usage_negative", set_usage({"prompt_tokens": -5, "completion_tokens": 20}), clean=True)
changed("usage_text", set_usage({"prompt_tokens": "40", "completion_tokens": "20"}), clean=True)
changed("usage_small_total", set_usage({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 3}), clean=True)
changed("usage_reasoning", set_usage({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 100,
                                      "completion_tokens_details": {"reasoning_tokens": 40}}), clean=True)
changed("unknown_fields", lambda a: a.more.update(system_fingerprint=None, x={"y": [1]}), clean=True)
changed("fenced", set_content(lambda t: f"```json\n{t}\n```"), clean=True)
changed("content_parts", set_content(lambda t: [{"type": "text", "text": t}]), clean=True)
# Whole answers that are hard to read, or hold no verdict. They are paid for all the same.
raw("not_a_number", lambda a: http(a.body()[:-1] + b', "logprob": NaN}'), True)
raw("minus_infinity", lambda a: http(a.body()[:-1] + b', "logprob": -Infinity}'), True)
raw("huge_integer", lambda a: http(a.body()[:-1] + b', "n": 123456789012345678901234567890}'), True)
raw("byte_order_mark", lambda a: http(b"\xef\xbb\xbf" + a.body()), True)
raw("trailing_nul", lambda a: http(a.body() + b"\0"), True)
raw("deep", lambda a: http(a.body()[:-1] + b', "d": ' + b"[" * 1500 + b"]" * 1500 + b"}"), True)
raw("line_feed_in_string", lambda a: http(a.body().replace(b"because of", b"because\nof")), True)
raw("latin_1", lambda a: http(a.body()[:-1] + b', "n": "caf\xe9"}'), True)
raw("half_surrogate", lambda a: http(a.body()[:-1] + b', "n": "\\ud83d"}'), True)
changed("prose", set_content(lambda t: "I prefer the first one."))
changed("empty_text", set_content(lambda t: ""))
changed("null_text", set_content(lambda t: None))
changed("single_quotes", set_content(lambda t: t.replace('"', "'")))
changed("trailing_comma", set_content(lambda t: t[:-1] + ",}"))
changed("two_verdicts", set_content(lambda t: t + " or " + t.replace("0.", "0.0")))
changed("cut_verdict", set_content(lambda t: t[:len(t) // 2]))
changed("finish_length", lambda a: a.choice.update(
    finish_reason="length", message={"role": "assistant", "content": a.text[:20]}))
changed("finish_filter", lambda a: a.choice.update(
    finish_reason="content_filter", message={"role": "assistant", "content": ""}))
changed("refusal", lambda a: a.choice.update(
    message={"role": "assistant", "content": None, "refusal": "I cannot do that."}))
changed("tool_call", lambda a: a.choice.update(
    message={"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": a.text}}]}))
# No answer, but the next attempt may bring one.
ERROR = b'{"error": {"message": "try later", "code": "busy"}}'
for status in ("408 Request Timeout", "409 Conflict", "425 Too Early", "500 Internal Server Error",
               "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "520 Odd",
               "529 Overloaded"):
    raw("status_" + status[:3], lambda a, status=status: http(ERROR, status))
raw("throttled", lambda a: http(ERROR, "429 Too Many Requests"))
raw("throttled_ms", lambda a: http(ERROR, "429 Too Many Requests", [("retry-after-ms", "20")]))
raw("throttled_fraction", lambda a: http(ERROR, "429 Too Many Requests", [("Retry-After", "0.05")]))
raw("throttled_date", lambda a: http(ERROR, "429 Too Many Requests",
                                     [("Retry-After", formatdate(time(), usegmt=True))]))
raw("throttled_negative", lambda a: http(ERROR, "429 Too Many Requests", [("Retry-After", "-5")]))
raw("busy_with_wait", lambda a: http(ERROR, "503 Service Unavailable", [("Retry-After", "0.05")]))
raw("html_502", lambda a: http(b"<html>bad gateway</html>", "502 Bad Gateway", [("Content-Type", "text/html")]))
raw("html_200", lambda a: http(b"<html>please log in</html>", headers=[("Content-Type", "text/html")]))
raw("empty_200", lambda a: http(b""))
raw("error_in_200", lambda a: http(ERROR))
raw("error_text_in_200", lambda a: http(b'{"error": "upstream is down"}'))
raw("null_choices", lambda a: http(b'{"choices": null, "error": {"message": "down", "code": 502}}'))
raw("no_choices", lambda a: http(b'{"choices": [], "error": {"message": "down", "code": 502}}'))
raw("error_in_choice", lambda a: http(json.dumps({"choices": [{
    "finish_reason": "error", "error": {"code": 502, "message": "down"},
    "message": {"role": "assistant", "content": a.text[:10]}}]}).encode()))
raw("reset", lambda a: b"", end=RESET)
raw("closes_at_once", lambda a: b"", end=CLOSE)
raw("reset_midway", lambda a: http(a.body())[:-30], end=RESET)
raw("closes_midway", lambda a: http(a.body())[:-30], end=CLOSE)
raw("head_only", lambda a: http(a.body()).split(b"\r\n\r\n")[0], end=CLOSE)
raw("cut_chunk", lambda a: chunked(a.body(), 40)[:-60], end=CLOSE)
raw("bad_chunk_size", lambda a: http(b"", headers=[("Transfer-Encoding", "chunked")], length=False) + b"zz\r\nabc\r\n", end=CLOSE)
raw("no_last_chunk", lambda a: chunked(a.body(), 40, end=b""), end=CLOSE)
raw("wrong_gzip", lambda a: http(b"not gzip at all", headers=[("Content-Encoding", "gzip")]))
raw("cut_gzip", lambda a: http(gzip.compress(a.body())[:-12], headers=[("Content-Encoding", "gzip")]), end=CLOSE)
raw("garbage", lambda a: bytes(random.Random(a.number).randbytes(200)), end=CLOSE)
raw("no_http", lambda a: b"220 mail.example ESMTP\r\n", end=CLOSE)
raw("http_9", lambda a: http(a.body(), version="HTTP/9.9"), end=CLOSE)
raw("hangs", lambda a: b"", end=HANG)
raw("hangs_midway", lambda a: http(a.body())[:-30], end=HANG)


class Provider:
    """Serves in a thread of its own until stop(). `choose(question, attempt)` names the kind."""

    def __init__(self, choose=lambda question, attempt: "plain", latency=0.0, batches=None):
        self.choose, self.latency, self.batches = choose, latency, batches
        self.lock = threading.Lock()
        self.requests = []      # (time, question, kind)
        self.attempts = {}      # by question
        self.paid = {}          # nonce -> question, of whole answers that were sent
        self.clean_at = {}      # question -> time and kind of its first clean answer
        self.asked_again = []   # (question, seconds since, kind) after a clean answer
        self.in_flight = 0
        self.calls = []         # (method, path) other than chat
        ready = threading.Event()
        self.loop = asyncio.new_event_loop()

        def serve():
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(
                asyncio.start_server(self.talk, "127.0.0.1", 0, backlog=512))
            ready.set()
            self.loop.run_forever()
            self.loop.close()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        ready.wait()
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def stop(self):
        def end():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.server.close()
            self.loop.call_soon(self.loop.stop)

        self.loop.call_soon_threadsafe(end)
        self.thread.join(10)

    async def talk(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        fields = {name.lower(): value.strip() for name, _, value in
                  (line.partition(":") for line in lines if line)}
        if "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while size := int((await reader.readline()).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            body = await reader.readexactly(int(fields.get("content-length", 0)))
        if not path.split("?")[0].endswith("/chat/completions"):
            with self.lock:
                self.calls.append((method, path))
            reply = self.batches(method, path, body) if self.batches else http(b"{}", "404 Not Found")
            if reply is None:  # the reply is lost
                writer.transport.abort()
                return False
            if callable(reply):
                await reply(writer)
            else:
                writer.write(reply)
            await writer.drain()
            return True
        return await self.answer(body, writer)

    async def answer(self, body, writer):
        question = question_of(body)
        with self.lock:
            attempt = self.attempts[question] = self.attempts.get(question, 0) + 1
            number = len(self.requests)
            name = self.choose(question, attempt)
            now = monotonic()
            self.requests.append((now, question, name))
            if question in self.clean_at:
                when, clean = self.clean_at[question]
                self.asked_again.append((question, now - when, clean))
            self.in_flight += 1
        try:
            paid, clean, make = KINDS[name]
            answer = Answer(body, number)
            data, end = make(answer)
            if self.latency:
                await asyncio.sleep(self.latency)
            if end == TRICKLE:
                for i in range(0, len(data), 40):
                    writer.write(data[i:i + 40])
                    await writer.drain()
                    await asyncio.sleep(0.002)
            else:
                writer.write(data)
                await writer.drain()
        finally:
            with self.lock:
                self.in_flight -= 1
        with self.lock:
            if paid:
                self.paid[answer.nonce] = question
            if clean:
                self.clean_at.setdefault(question, (monotonic(), name))
        if end == HANG:
            await asyncio.sleep(3600)
        if end == RESET:
            writer.transport.abort()
            return False
        return end != CLOSE and data.startswith(b"HTTP/1.1")
