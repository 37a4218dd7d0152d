# SPDX-License-Identifier: Apache-2.0
"""Times the losses of all three levels on a GPU, beside their peers, and says which targets are met.

Usage: measure.py LIBRARY --out FOLDER [--dry-run] [--full] [--commit NAME]; `bash
benchmarks/gpu/run.sh` finds the library. Contenders take turns in one process; a time is the median
of forward and backward between two events. The gradients of those that overwrite their logits go to
buffers that take turns too.
"""

import argparse
import importlib.metadata
import itertools
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import hidden_level
import targets
import torch
from peers import BETA, Contenders, Rows, dpo, dpo_of_rows, log_probs_of
from torch.nn.functional import logsigmoid


class Machine:
    """Where things run and how they are timed."""

    def __init__(self, dry):
        self.dry = dry
        self.device = torch.device("cpu" if dry else "cuda")
        self.warm_up, self.rounds, self.buffers = (1, 2, 2) if dry else (10, 25, 3)

    def time(self, call):
        """In milliseconds."""
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

    def peak(self, call):
        """Bytes that a call holds at most beyond what is there already; None without a GPU."""
        if self.dry:
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def clocks(self):
        """As nvidia-smi has them now."""
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
    """`pairs` pairs of two answers of `length` rows each, the first `mask` percent of them masked."""

    def __init__(self, machine, pairs, length, vocab, dtype, mask):
        generator = torch.Generator(device=machine.device).manual_seed(1)
        self.pairs = pairs
        self.logits = torch.empty(2 * pairs, length, vocab, dtype=dtype, device=machine.device)
        self.logits.normal_(0, 2, generator=generator)
        self.labels = torch.randint(vocab, (2 * pairs, length), generator=generator,
                                    device=machine.device)
        # Lifted, so that the labels' probabilities are spread as a model's are.
        lift = 8 + 3 * torch.randn(self.labels.shape, generator=generator, device=machine.device)
        self.logits.scatter_(-1, self.labels[..., None], lift[..., None].to(dtype))
        self.labels[:, :length * mask // 100] = -100
        super().__init__(self.labels)
        self.beta = torch.full((pairs,), BETA, dtype=torch.float64, device=machine.device)
        self.buffers = [torch.empty_like(self.logits) for _ in range(machine.buffers)]


def compiled_log_probs(logits, labels):
    wide = logits.float()
    return (wide.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1) - wide.logsumexp(-1))


def cross_entropy_peer(cross_entropy):
    """Of a function (logits [R, V], labels [R]) -> losses [R]."""
    return lambda logits, batch: dpo(
        -cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).view(batch.labels.shape), batch)


def contenders(machine):
    """{name: (logits, batch) -> loss}, {name: (rows that count, batch) -> loss}, and why those are
    missing that are."""
    contenders = Contenders(machine, {
        "sp2dpo": lambda logits, batch: torch.ops.sp2dpo.logits_loss(
            logits, batch.labels, batch.beta)[0],
        "eager": lambda logits, batch: dpo(log_probs_of(logits, batch.labels), batch)})

    def compacted(cross_entropy):
        """The same on the rows that count, which somebody has put together beforehand."""
        return lambda rows, batch: dpo_of_rows(
            -cross_entropy(rows, batch.labels.flatten()[batch.rows]), batch)

    def compiled():
        function = torch.compile(compiled_log_probs)
        return {"torch.compile": lambda logits, batch: dpo(function(logits, batch.labels), batch)}

    def trl():
        from trl.trainer.utils import selective_log_softmax
        return {"TRL": lambda logits, batch: dpo(
            selective_log_softmax(logits, batch.labels.clamp(min=0)), batch)}

    def liger():
        from liger_kernel.transformers import LigerCrossEntropyLoss
        return LigerCrossEntropyLoss(ignore_index=-100, reduction="none")

    def unsloth():
        from unsloth.kernels.cross_entropy_loss import Fast_CrossEntropyLoss
        return lambda logits, labels: Fast_CrossEntropyLoss.apply(logits, labels)

    def quack():
        from quack.cross_entropy import cross_entropy
        return lambda logits, labels: cross_entropy(
            logits, labels, ignore_index=-100, reduction="none", inplace_backward=True)

    contenders.add("torch.compile", compiled)
    contenders.add("TRL", trl, needs_gpu=False)
    on_rows = {"eager, compacted": compacted(lambda rows, labels: -log_probs_of(rows, labels))}

    def add_cross_entropy(name, make):
        def both():
            cross_entropy = make()
            on_rows[f"{name}, compacted"] = compacted(cross_entropy)
            return {name: cross_entropy_peer(cross_entropy)}

        contenders.add(name, both)

    add_cross_entropy("Liger", liger)
    add_cross_entropy("Unsloth", unsloth)
    add_cross_entropy("QuACK", quack)
    return contenders.found, on_rows, contenders.missing


def take_turns(machine, calls):
    """{name: times}; a call is given the number of its round. One that fails is left out."""
    times, failed = {name: [] for name in calls}, {}
    for round_ in range(machine.warm_up + machine.rounds):
        for name, (prepare, call) in calls.items():
            if name in failed:
                continue
            try:
                state = prepare(round_)
                elapsed = machine.time(lambda: call(state))
            except Exception as error:  # a peer's, out of memory for one
                failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                continue
            if round_ >= machine.warm_up:
                times[name].append(elapsed)
    return {name: t for name, t in times.items() if name not in failed}, failed


def spread(times):
    ordered = sorted(times)
    at = lambda share: ordered[round(share * (len(ordered) - 1))]
    return {"median": statistics.median(times), "p20": at(0.2), "p80": at(0.8)}


def check_rows(batch):
    """The largest errors of log-probabilities and gradients on a sample of rows, against float64."""
    rows = batch.logits.flatten(0, 1)[::max(1, batch.labels.numel() // 16)].contiguous()
    labels = batch.labels.flatten()[::max(1, batch.labels.numel() // 16)].contiguous()
    log_prob, lse_others = torch.ops.sp2dpo.row_log_probs(rows[:, None], labels[:, None])
    ones = torch.ones_like(log_prob)
    gradient = torch.ops.sp2dpo.row_gradient(rows[:, None], labels[:, None], lse_others, ones)
    wide = rows.double().requires_grad_()
    counts = labels != -100
    expected = wide.log_softmax(-1).gather(-1, labels.clamp(min=0)[:, None]).squeeze(-1)
    expected = torch.where(counts, expected, torch.zeros_like(expected))
    expected.sum().backward()
    difference = (gradient.squeeze(1).double() - wide.grad).abs()
    unit = torch.finfo(rows.dtype).eps / 2
    errors = {"log-probability": (log_prob.squeeze(1) - expected).abs().max().item(),
              "gradient": difference.max().item(),
              # What one rounding leaves, and float arithmetic's share.
              "gradient over tolerance": (
                  difference / (wide.grad.abs() * (unit + 1e-5) + 1e-7)).max().item()}
    if not (errors["log-probability"] < 2e-4 and errors["gradient over tolerance"] <= 1):
        sys.exit(f"measure: the numbers are wrong: {errors}")
    return errors


def limits(machine, batch):
    """What no loss of these logits can be faster than: copies and reads of as many bytes."""
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
    report = {"shape": dict(zip(("pairs", "length", "vocab", "dtype", "mask"), map(str, shape))),
              "errors": check_rows(batch),
              "limits": {k: spread(t) for k, t in limits(machine, batch).items()}}

    def fresh(i):
        buffer = batch.buffers[i % len(batch.buffers)]
        buffer.copy_(batch.logits)
        return buffer.detach().requires_grad_()

    def forward_and_backward(function):
        # Peers overwrite their input in place; autograd allows it of a view of a leaf only.
        return lambda logits: function(logits.view_as(logits), batch).backward()

    calls = {name: (fresh, forward_and_backward(f)) for name, f in functions.items()}
    if shape[-1] > 0:
        calls |= {name: (lambda i: fresh(i).detach().flatten(0, 1)[batch.rows].requires_grad_(),
                         forward_and_backward(f)) for name, f in on_rows.items()}
    _, lse_others = torch.ops.sp2dpo.row_log_probs(batch.logits, batch.labels)
    slope = batch.mask.double()
    calls["sp2dpo, first pass alone"] = (
        lambda i: None, lambda _: torch.ops.sp2dpo.row_log_probs(batch.logits, batch.labels))
    calls["sp2dpo, gradient pass alone"] = (
        lambda i: None,
        lambda _: torch.ops.sp2dpo.row_gradient(batch.logits, batch.labels, lse_others, slope))
    times, failed = take_turns(machine, calls)
    report["times"] = {name: spread(t) for name, t in times.items()}
    report["failed"] = failed
    report["peak bytes"] = {name: machine.peak(lambda: calls[name][1](calls[name][0](0)))
                            for name in times}
    # Rows that count are read twice, and all are written; a copy reads and writes each once.
    kept = len(batch.rows) / batch.labels.numel()
    report["floor"] = (1 + 2 * kept) / 2 * report["limits"]["copy (read and write)"]["median"]
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
    return {"shape": dict(zip(names, map(str, shape))), "failed": failed,
            "times": {name: spread(t) for name, t in times.items()},
            "peak bytes": {name: machine.peak(lambda: calls[name][1](calls[name][0](0)))
                           for name in times},
            "floor": statistics.median(products) if products else float("nan")}


def log_probs_level(machine, pairs):
    values = [torch.randn(pairs, device=machine.device) for _ in range(4)]
    beta = torch.full((pairs,), BETA, device=machine.device)

    def eager(x):
        return -logsigmoid(beta * (x[0] - x[1] - values[2] + values[3])).mean()

    fresh = lambda i: [v.detach().clone().requires_grad_() for v in values[:2]]
    calls = {"sp2dpo": (fresh, lambda x: torch.ops.sp2dpo.log_probs_loss(
                 *x, *values[2:], beta)[0].backward()),
             "sp2dpo, forward alone": (lambda i: values, lambda x: torch.ops.sp2dpo.log_probs_loss(
                 *x, beta)),
             "eager": (fresh, lambda x: eager(x).backward())}
    times, failed = take_turns(machine, calls)
    return {"pairs": pairs, "times": {name: spread(t) for name, t in times.items()},
            "failed": failed}


def table(entry):
    """Of the contenders' times, and the limits'."""
    yield "| what | median, ms | p20 | p80 | over the floor | over sp2dpo | peak, MB |"
    yield "|---|---|---|---|---|---|---|"
    own = entry["times"].get("sp2dpo", {"median": float("nan")})["median"]
    for name, t in itertools.chain(entry["times"].items(), entry.get("limits", {}).items()):
        peak = entry["peak bytes"].get(name)
        yield (f"| {name} | {t['median']:.3f} | {t['p20']:.3f} | {t['p80']:.3f} "
               f"| {t['median'] / entry['floor']:.2f} | {t['median'] / own:.2f} "
               f"| {'' if peak is None else round(peak / 1e6)} |")
    for name, reason in entry["failed"].items():
        yield f"\n{name} failed: {reason}"


def markdown(report):
    yield "# The CUDA kernels, measured\n"
    if report["machine"].get("dry run"):
        yield "**A dry run, without a GPU: no figure here means anything.**\n"
    for name, value in {**report["machine"], **report["versions"]}.items():
        yield f"* {name}: {value}"
    yield f"* clocks before and after: {'; '.join(report['clocks'])}"
    for name, reason in report["missing"].items():
        yield f"* {name} is not among the peers: {reason}"
    yield "\n## Predicted, asked for and measured\n"
    yield "| what | predicted | asked for | measured | |"
    yield "|---|---|---|---|---|"
    for row in targets.verdicts(report):
        yield "| " + " | ".join(row) + " |"
    for entry in report["logits"]:
        shape = entry["shape"]
        yield (f"\n## Logits: {shape['pairs']} pairs × 2 × {shape['length']} rows × {shape['vocab']},"
               f" {shape['dtype']}, {shape['mask']} % masked\n")
        yield from table(entry)
        yield (f"\nThe floor, {entry['floor']:.3f} ms: rows that count read twice and all rows "
               "written, at the rate of the copy.")
        yield f"Largest errors of sampled rows against float64: {entry['errors']}"
    for entry in report["hidden"]:
        shape = entry["shape"]
        yield (f"\n## Hidden states: {shape['pairs']} pairs × 2 × {shape['length']} rows, "
               f"{shape['width']} wide, {shape['vocab']} tokens, {shape['dtype']}, "
               f"{shape['mask']} % masked\n")
        yield from table(entry)
        yield f"\nThe floor, {entry['floor']:.3f} ms: the three products of the rows that count."
    yield f"\nLargest differences from float64 at the hidden level: {report['hidden errors']}"
    yield "\n## Log-probabilities\n"
    yield "| pairs | what | median, µs | p20 | p80 |"
    yield "|---|---|---|---|---|"
    for entry in report["log_probs"]:
        for name, t in entry["times"].items():
            yield (f"| {entry['pairs']} | {name} | {1e3 * t['median']:.1f} | {1e3 * t['p20']:.1f} "
                   f"| {1e3 * t['p80']:.1f} |")


def versions():
    """Of what is timed, as far as it is installed."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        sys.exit("measure: torch sees no GPU; --dry-run walks through without one")
    torch.ops.load_library(arguments.library)
    machine = Machine(arguments.dry_run)
    functions, on_rows, missing = contenders(machine)
    of_hidden, missing_there = hidden_level.contenders(machine)
    report = {"machine": machine.describe(), "missing": {**missing, **missing_there},
              "versions": {"commit": arguments.commit, **versions()},
              "clocks": [machine.clocks()], "logits": [], "hidden": [], "log_probs": []}
    small = (2, 16, 1000, 64, torch.float32 if machine.dry else torch.bfloat16, 25)
    report["hidden errors"] = hidden_level.check(hidden_level.Batch(machine, *small))
    if not report["hidden errors"]["loss"] < 1e-3 or max(report["hidden errors"].values()) > 0.03:
        sys.exit(f"measure: the numbers are wrong: {report['hidden errors']}")

    def write(report):
        (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        (arguments.out / "report.md").write_text("\n".join(markdown(report)) + "\n")

    def keep(level, entry):
        """Written after each step: whoever stops the run has what was measured until then."""
        report[level].append(entry)
        write(report)

    for shape in shapes(machine, arguments.full):
        print("logits", *shape, flush=True)
        keep("logits", logits_level(machine, shape, functions, on_rows))
    for shape in hidden_shapes(machine, arguments.full):
        print("hidden states", *shape, flush=True)
        keep("hidden", hidden_level_of(machine, shape, of_hidden))
    for pairs in (8,) if machine.dry else (8, 512, 4096, 1 << 20):
        print("log-probabilities", pairs, flush=True)
        keep("log_probs", log_probs_level(machine, pairs))
    report["clocks"].append(machine.clocks())
    write(report)


if __name__ == "__main__":
    main()
