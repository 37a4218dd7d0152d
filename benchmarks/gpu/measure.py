# SPDX-License-Identifier: Apache-2.0
"""Times the losses of all three levels on a GPU, with other libraries', and reports the goals met.

`bash benchmarks/gpu/run.sh` provides the library. Contenders take turns in one process, in an order
that is shuffled from a seed in each round; a time is the median of forward and backward between two
events. Contenders that overwrite their logits write to alternating buffers.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

import hidden_level
import report as report_of
import torch
from peers import (BETA, Contenders, Rows, compiled_log_probs, dpo, dpo_of_rows, log_probs_of,
                   trl_log_probs)
from torch.nn.functional import logsigmoid


class Machine:
    """The device, and how calls on it are timed."""

    def __init__(self, dry, seed):
        self.dry = dry
        self.order = random.Random(seed)
        self.device = torch.device("cpu" if dry else "cuda")
        self.warm_up, self.rounds, self.buffers = (1, 2, 2) if dry else (10, 25, 3)

    def time(self, call):
        """Milliseconds that the call takes."""
        if self.dry:
            begin = time.perf_counter()
            call()
            return 1e3 * (time.perf_counter() - begin)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def in_a_graph(self, call):
        """A graph of repeated calls, in which nothing waits for the host: (replay, number of calls)."""
        if self.dry:
            return call, 1
        with torch.cuda.stream(torch.cuda.Stream()):
            call()
        torch.cuda.synchronize()
        graph, times = torch.cuda.CUDAGraph(), 20
        with torch.cuda.graph(graph):
            for _ in range(times):
                call()
        return graph.replay, times

    def peak(self, call):
        """The peak of the bytes that a call allocates; None without a GPU."""
        if self.dry:
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def clocks(self):
        """The current clocks, from nvidia-smi."""
        if self.dry:
            return "a dry run"
        query = "clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active"
        return subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
                              capture_output=True, text=True).stdout.strip()

    def describe(self):
        if self.dry:
            return {"dry run": True, "processor": platform.processor() or platform.machine()}
        properties = torch.cuda.get_device_properties(0)
        return {"gpu": properties.name, "compute capability": f"{properties.major}.{properties.minor}",
                "multiprocessors": properties.multi_processor_count,
                "memory": properties.total_memory, "cuda": torch.version.cuda}


class Batch(Rows):
    """`pairs` pairs of two sequences of `length` rows each, the first `mask` percent masked."""

    def __init__(self, machine, pairs, length, vocab, dtype, mask):
        generator = torch.Generator(device=machine.device).manual_seed(1)
        self.pairs = pairs
        self.logits = torch.empty(2 * pairs, length, vocab, dtype=dtype, device=machine.device)
        self.logits.normal_(0, 2, generator=generator)
        self.labels = torch.randint(vocab, (2 * pairs, length), generator=generator,
                                    device=machine.device)
        # Raised, so that the labels' probabilities are distributed like a model's.
        lift = 8 + 3 * torch.randn(self.labels.shape, generator=generator, device=machine.device)
        self.logits.scatter_(-1, self.labels[..., None], lift[..., None].to(dtype))
        self.labels[:, :length * mask // 100] = -100
        super().__init__(self.labels)
        self.beta = torch.full((pairs,), BETA, dtype=torch.float64, device=machine.device)
        self.buffers = [torch.empty_like(self.logits) for _ in range(machine.buffers)]


def contenders(machine):
    """{name: (logits, batch) -> loss}, {name: (unmasked rows, batch) -> loss}, {missing: reason}.

    The rows of the second were gathered beforehand."""
    on_rows = {}

    def both(name, log_probs):
        on_rows[f"{name}, compacted"] = lambda rows, batch: dpo_of_rows(
            log_probs(rows, batch.row_labels), batch)
        return {name: lambda logits, batch: dpo(log_probs(logits, batch.labels), batch)}

    def of_cross_entropy(cross_entropy):
        """From a function (logits [R, V], labels [R]) -> losses [R]."""
        return lambda logits, labels: -cross_entropy(
            logits.flatten(0, -2), labels.flatten()).view(labels.shape)

    def liger():
        from liger_kernel.transformers import LigerCrossEntropyLoss
        return LigerCrossEntropyLoss(ignore_index=-100, reduction="none")

    def unsloth():
        from unsloth.kernels.cross_entropy_loss import Fast_CrossEntropyLoss
        return Fast_CrossEntropyLoss.apply

    def quack():
        from quack.cross_entropy import cross_entropy
        return lambda logits, labels: cross_entropy(
            logits, labels, ignore_index=-100, reduction="none", inplace_backward=True)

    found = Contenders(machine, {
        "sp2dpo": lambda logits, batch: torch.ops.sp2dpo.logits_loss(
            logits, batch.labels, batch.beta)[0],
        **both("eager", log_probs_of)})
    found.add("torch.compile", lambda: both("torch.compile", compiled_log_probs()))
    found.add("TRL", lambda: both("TRL", trl_log_probs()), needs_gpu=False)
    for name, make in (("Liger", liger), ("Unsloth", unsloth), ("QuACK", quack)):
        found.add(name, lambda: both(name, of_cross_entropy(make())))
    return found.found, on_rows, found.missing


def take_turns(machine, calls):
    """{name: times} and {name: error} of calls that fail. A call gets the number of its round."""
    times, failed, order = {name: [] for name in calls}, {}, list(calls)
    for round_ in range(machine.warm_up + machine.rounds):
        machine.order.shuffle(order)
        for name in order:
            if name in failed:
                continue
            prepare, call = calls[name]
            try:
                state = prepare(round_)
                elapsed = machine.time(lambda: call(state))
            except Exception as error:  # of another library, such as out of memory
                failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                continue
            if round_ >= machine.warm_up:
                times[name].append(elapsed)
    return {name: t for name, t in times.items() if name not in failed}, failed


def peaks(machine, calls):
    """{name: peak bytes} of the calls, without their arguments."""
    def peak(prepare, call):
        state = prepare(0)
        return machine.peak(lambda: call(state))

    return {name: peak(*both) for name, both in calls.items()}


def spread(times):
    ordered = sorted(times)
    at = lambda share: ordered[round(share * (len(ordered) - 1))]
    return {"median": statistics.median(times), "p20": at(0.2), "p80": at(0.8)}


def check_rows(batch):
    """The largest errors of log-probabilities and gradients against float64, on a sample of rows."""
    rows = batch.logits.flatten(0, 1)[::max(1, batch.labels.numel() // 16)].contiguous()
    labels = batch.labels.flatten()[::max(1, batch.labels.numel() // 16)].contiguous()
    ops = torch.ops.sp2dpo
    log_prob, lse_others = ops.row_log_probs(rows[:, None], labels[:, None])
    gradient = ops.row_gradient(rows[:, None], labels[:, None], lse_others,
                                torch.ones_like(log_prob))
    log_prob_at_once, _, at_once = ops.row_log_probs_and_gradient(rows[:, None], labels[:, None])
    wide = rows.double().requires_grad_()
    counts = labels != -100
    expected = wide.log_softmax(-1).gather(-1, labels.clamp(min=0)[:, None]).squeeze(-1)
    expected = torch.where(counts, expected, torch.zeros_like(expected))
    expected.sum().backward()
    difference = (torch.cat([gradient, at_once], 1).double() - wide.grad[:, None]).abs().amax(1)
    unit = torch.finfo(rows.dtype).eps / 2
    log_probs = torch.cat([log_prob, log_prob_at_once], 1)
    errors = {"log-probability": (log_probs - expected[:, None]).abs().max().item(),
              "gradient": difference.max().item(),
              # One rounding to the element type, plus the error of float arithmetic.
              "gradient over tolerance": (
                  difference / (wide.grad.abs() * (unit + 1e-5) + 1e-7)).max().item()}
    if not (errors["log-probability"] < 2e-4 and errors["gradient over tolerance"] <= 1):
        sys.exit(f"measure: wrong results: {errors}")
    return errors


def limits(machine, batch):
    """Lower bounds for any loss of these logits: copies and reads of as many bytes."""
    flat = batch.logits.view(-1)
    calls = {"copy (read and write)": (lambda i: batch.buffers[i % len(batch.buffers)],
                                       lambda out: out.view(-1).copy_(flat)),
             "scale in place": (lambda i: batch.buffers[i % len(batch.buffers)],
                                lambda out: out.mul_(1.0)),
             "read": (lambda i: None, lambda _: flat.view(torch.int16 if flat.element_size() == 2
                                                          else torch.int32).max())}
    return take_turns(machine, calls)[0]


def logits_level(machine, shape, functions, on_rows):
    batch = Batch(machine, *shape)
    names = ("pairs", "length", "vocab", "dtype", "mask")
    report = {"shape": dict(zip(names, map(str, shape))), "case": str(shape[-1]),
              "errors": check_rows(batch),
              "limits": {k: spread(t) for k, t in limits(machine, batch).items()}}

    def fresh(i):
        buffer = batch.buffers[i % len(batch.buffers)]
        buffer.copy_(batch.logits)
        return buffer.detach().requires_grad_()

    def forward_and_backward(function):
        # Other libraries overwrite their input; autograd allows that only for a view of a leaf.
        return lambda logits: function(logits.view_as(logits), batch).backward()

    calls = {name: (fresh, forward_and_backward(f)) for name, f in functions.items()}
    if shape[-1] > 0:
        calls |= {name: (lambda i: fresh(i).detach().flatten(0, 1)[batch.rows].requires_grad_(),
                         forward_and_backward(f)) for name, f in on_rows.items()}
    ops = torch.ops.sp2dpo
    _, lse_others = ops.row_log_probs(batch.logits, batch.labels)
    slope = batch.mask.double()
    for name, call in {
            "sp2dpo, unit gradient": lambda logits: ops.logits_loss_value_and_grad(
                logits, batch.labels, batch.beta, unit=True),
            "sp2dpo, both passes in one": lambda logits: ops.row_log_probs_and_gradient(
                logits, batch.labels),
            "sp2dpo, first pass alone": lambda logits: ops.row_log_probs(logits, batch.labels),
            "sp2dpo, gradient pass alone": lambda logits: ops.row_gradient(
                logits, batch.labels, lse_others, slope)}.items():
        calls[name] = (lambda i: fresh(i).detach(), call)
    times, failed = take_turns(machine, calls)
    report["times"] = {name: spread(t) for name, t in times.items()}
    report["failed"] = failed
    report["peak bytes"] = peaks(machine, {name: calls[name] for name in times})
    # Unmasked rows are read twice, or once, and all are written; a copy reads and writes each once.
    kept, copy = len(batch.rows) / batch.labels.numel(), report["limits"]["copy (read and write)"]
    report["floors"] = {"floor": (1 + 2 * kept) / 2 * copy["median"],
                        "floor of one read": (1 + kept) / 2 * copy["median"]}
    return report


def hidden_level_of(machine, shape, functions):
    batch = hidden_level.Batch(machine, *shape)

    def forward_and_backward(function):
        return lambda leaves: function(*leaves, batch).backward()

    calls = {name: (lambda i: batch.leaves(), forward_and_backward(f))
             for name, f in functions.items()}
    calls |= hidden_level.products(batch)
    times, failed = take_turns(machine, calls)
    names = ("pairs", "length", "vocab", "width", "dtype", "mask")
    products = times.get("its three matrix products")
    return {"shape": dict(zip(names, map(str, shape))), "case": str(shape[-1]), "failed": failed,
            "times": {name: spread(t) for name, t in times.items()},
            "peak bytes": peaks(machine, {name: calls[name] for name in times}),
            "floors": {"floor": statistics.median(products) if products else float("nan")}}


def log_probs_level(machine, pairs):
    values = [torch.randn(pairs, device=machine.device) for _ in range(4)]
    beta = torch.full((pairs,), BETA, device=machine.device)

    def eager(x):
        return -logsigmoid(beta * (x[0] - x[1] - values[2] + values[3])).mean()

    ops = torch.ops.sp2dpo
    fresh = lambda i: [v.detach().clone().requires_grad_() for v in values[:2]]
    calls = {"sp2dpo": (fresh, lambda x: ops.log_probs_loss(
                 *x, *values[2:], beta)[0].backward()),
             "sp2dpo, forward": (lambda i: values, lambda x: ops.log_probs_loss(*x, beta)),
             "eager": (fresh, lambda x: eager(x).backward())}
    return timed_with_graph(machine, pairs, calls, "sp2dpo, forward, in a graph",
                            lambda: ops.log_probs_loss_forward(*values, beta))


def row_level(machine, vocab):
    """Times one row through both passes."""
    row = torch.randn(1, 1, vocab, device=machine.device, dtype=torch.bfloat16)
    label = torch.zeros(1, 1, dtype=torch.int64, device=machine.device)
    one = torch.ones(1, 1, dtype=torch.float64, device=machine.device)

    def both_passes():
        lse_others = torch.ops.sp2dpo.row_log_probs(row, label)[1]
        torch.ops.sp2dpo.row_gradient(row, label, lse_others, one)

    return timed_with_graph(machine, 1, {"sp2dpo": (lambda i: None, lambda _: both_passes())},
                            "sp2dpo, in a graph", both_passes)


def timed_with_graph(machine, case, calls, name, call):
    """Times calls as short as a launch, and under `name` a graph of `call`."""
    repeats, failed = 1, {}
    try:
        replay, repeats = machine.in_a_graph(call)
        calls[name] = (lambda i: None, lambda _: replay())
    except Exception as error:  # the capture was refused
        failed[name] = f"{type(error).__name__}: {error}"
    times, failed_later = take_turns(machine, calls)
    if name in times:
        times[name] = [t / repeats for t in times[name]]
    return {"case": str(case), "times": {name: spread(t) for name, t in times.items()},
            "failed": {**failed, **failed_later}}


def versions():
    """The versions of the installed contenders."""
    found = {}
    for name in ("torch", "triton", "liger-kernel", "unsloth", "quack-kernels", "cut-cross-entropy",
                 "trl"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def shapes(machine, full):
    if machine.dry:
        return [(2, 8, 1000, torch.float32, mask) for mask in (0, 50)]
    headline = [(8, 1024, 128256, torch.bfloat16, mask) for mask in (0, 50)]
    if not full:
        return headline
    grid = [(pairs, 1024, vocab, torch.bfloat16, mask) for pairs in (1, 2, 8)
            for vocab in (32000, 50257, 128256, 151936) for mask in (0, 50, 75)]
    grid += [(2, 1024, 128256, dtype, 0) for dtype in (torch.float16, torch.float32)]
    grid += [(1, 8192, 128256, torch.bfloat16, 0), (64, 64, 128256, torch.bfloat16, 0)]
    return headline + [shape for shape in grid if shape not in headline]


def hidden_shapes(machine, full):
    if machine.dry:
        return [(2, 8, 300, 32, torch.float32, mask) for mask in (0, 50)]
    widths = (4096,) if not full else (4096, 2048, 8192)
    return [(8, 1024, 128256, width, torch.bfloat16, mask) for width in widths for mask in (0, 50)]


def steps(machine, full):
    """{level: [(name, measurement)]}, and {missing contender: reason}."""
    functions, on_rows, missing = contenders(machine)
    of_hidden, missing_there = hidden_level.contenders(machine)
    vocab = 1000 if machine.dry else 128256
    of = {"log_probs": [((pairs,), lambda p=pairs: log_probs_level(machine, p))
                        for pairs in ((8,) if machine.dry else (8, 512, 4096, 1 << 20))],
          "row": [((vocab,), lambda: row_level(machine, vocab))],
          "logits": [(shape, lambda s=shape: logits_level(machine, s, functions, on_rows))
                     for shape in shapes(machine, full)],
          "hidden": [(shape, lambda s=shape: hidden_level_of(machine, s, of_hidden))
                     for shape in hidden_shapes(machine, full)]}
    return {level: [(" ".join(map(str, shape)), measure) for shape, measure in todo]
            for level, todo in of.items()}, {
                f"{name}, {level}": reason for level, absent in (
                    ("logits", missing), ("hidden", missing_there))
                for name, reason in absent.items()}


LEVELS = ("log_probs", "row", "logits", "hidden")  # shortest first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--levels", default=",".join(LEVELS))
    parser.add_argument("--minutes", type=float, default=8,
                        help="start nothing new after so many minutes; list what was skipped")
    parser.add_argument("--resume", action="store_true",
                        help="continue the report in FOLDER with missing measurements")
    parser.add_argument("--seed", type=int, default=1, help="seed of the contenders' order")
    arguments = parser.parse_args()
    begin = time.monotonic()
    levels = arguments.levels.split(",")
    if unknown := set(levels) - set(LEVELS):
        parser.error(f"--levels: expected {', '.join(LEVELS)}, got {', '.join(sorted(unknown))}")
    if not arguments.dry_run and not torch.cuda.is_available():
        sys.exit("measure: torch finds no GPU; --dry-run runs without one")
    torch.ops.load_library(arguments.library)
    machine = Machine(arguments.dry_run, arguments.seed)
    report = {"machine": machine.describe(), "missing": {}, "seed": arguments.seed,
              "versions": {"commit": arguments.commit, **versions()},
              "clocks": [], "left out": [], **{level: [] for level in LEVELS}}
    if arguments.resume:
        report = resumed(arguments.out / "report.json", report)
    report["clocks"].append(machine.clocks())
    small = (2, 16, 1000, 64, torch.float32 if machine.dry else torch.bfloat16, 25)
    report["hidden errors"] = hidden_level.check(hidden_level.Batch(machine, *small))
    if not report["hidden errors"]["loss"] < 1e-3 or max(report["hidden errors"].values()) > 0.03:
        sys.exit(f"measure: wrong results: {report['hidden errors']}")

    todo, report["missing"] = steps(machine, arguments.full)
    for level, (name, measure) in ((level, step) for level in LEVELS for step in todo[level]):
        seconds = time.monotonic() - begin
        if level not in levels or any(entry["name"] == name for entry in report[level]):
            continue
        if seconds > 60 * arguments.minutes:
            report["left out"].append(f"{level} {name}")
            continue
        print(f"{seconds:4.0f} s: {level} {name}", flush=True)
        report[level].append({"name": name, **measure()})
        # After each step, so that an interrupted run keeps its measurements.
        report_of.write(arguments.out, report)
    report["clocks"].append(machine.clocks())
    report_of.write(arguments.out, report)
    for name in report["left out"]:
        print(f"skipped after {arguments.minutes:g} minutes; --resume measures it: {name}")


def resumed(path, new):
    """The earlier report, if the versions and the machine are the same."""
    if not path.exists():
        sys.exit(f"measure: --resume: missing {path}")
    old = json.loads(path.read_text())
    for key in ("machine", "versions"):
        if old[key] != new[key]:
            sys.exit(f"measure: --resume: {path} has another {key}: {old[key]}, now {new[key]}")
    return {**old, "left out": []}


if __name__ == "__main__":
    main()
