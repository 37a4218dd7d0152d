# SPDX-License-Identifier: Apache-2.0
"""Compares the losses with those of TRL, Liger-Kernel and torch.compile, in one process.

Usage: peers.py LIBRARY [--quick] [--out FILE.json]; `bash benchmarks/run.sh --peers` provides the
library and the Python. Runs forward and backward, with gradients with respect to logits, or to
hidden states and head. Contenders take turns; times are medians, memory is the peak that a call
adds to the process.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import time
import types

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import torch
from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss
from torch.nn.functional import logsigmoid
from trl.trainer.utils import _ChunkedLogProbFunction, selective_log_softmax

BETA = 0.1  # Liger has one beta for all pairs


def random_batch(shape):
    """Sequences of `rows` rows in total, of which `mask` percent are masked."""
    generator = torch.Generator().manual_seed(1)
    sequences, length = 2 * shape.pairs, shape.rows // (2 * shape.pairs)
    normal = lambda *size: torch.randn(size, generator=generator)
    labels = torch.randint(shape.vocab, (sequences, length), generator=generator)
    labels[:, :length * shape.mask // 100] = -100  # the prompts
    batch = types.SimpleNamespace(labels=labels, mask=labels != -100,
                                  beta=torch.full((shape.pairs,), BETA, dtype=torch.float64),
                                  zeros=torch.zeros(shape.pairs))
    if shape.level == "logits":
        batch.logits = (2 * normal(sequences, length, shape.vocab)).to(shape.dtype)
        batch.inputs = [batch.logits.requires_grad_()]
    else:
        batch.hidden = normal(sequences, length, shape.hidden).to(shape.dtype)
        batch.head = (normal(shape.vocab, shape.hidden) * 2 / shape.hidden**0.5).to(shape.dtype)
        batch.inputs = [batch.hidden.requires_grad_(), batch.head.requires_grad_()]
    return batch


def dpo(log_probs, batch):
    """The loss from the tokens' log-probabilities [2P, T], as trainers write it."""
    chosen, rejected = (log_probs.float() * batch.mask).sum(1).chunk(2)
    return -logsigmoid(BETA * (chosen - rejected)).mean()


def gathered(logits, batch):
    labels = batch.labels.clamp(min=0).unsqueeze(-1)
    return logits.float().log_softmax(-1).gather(-1, labels).squeeze(-1)


def trl_head(batch):
    """TRL 1.16's fused head, which skips masked rows as well."""
    rows = _ChunkedLogProbFunction.apply(batch.hidden[batch.mask], batch.head, None,
                                         batch.labels[batch.mask], 1.0, 32768, None, 1.0,
                                         ("log_probs",))[0]
    return torch.zeros(batch.mask.shape).masked_scatter(batch.mask, rows)


def logits_contenders(batch):
    compiled = torch.compile(lambda logits: dpo(gathered(logits, batch), batch))
    labels = batch.labels.clamp(min=0)
    return {
        "sp2dpo": lambda: torch.ops.sp2dpo.logits_loss(batch.logits, batch.labels, batch.beta)[0],
        "eager": lambda: dpo(gathered(batch.logits, batch), batch),
        "torch.compile": lambda: compiled(batch.logits),
        "TRL selective_log_softmax": lambda: dpo(selective_log_softmax(batch.logits, labels),
                                                 batch),
    }


def hidden_contenders(batch):
    def eager(hidden, head):
        return dpo(gathered(hidden @ head.T, batch), batch)

    def liger(compiled):
        loss = LigerFusedLinearDPOLoss(beta=BETA, use_ref_model=False, compiled=compiled)
        labels = batch.labels.clone()  # Liger marks their shape dynamic, also for torch.compile
        return lambda: loss(batch.head, batch.hidden, labels)[0]

    compiled = torch.compile(eager)
    return {
        "sp2dpo": lambda: torch.ops.sp2dpo.hidden_loss(batch.hidden, batch.head, None,
                                                       batch.labels, batch.beta)[0],
        "eager": lambda: eager(batch.hidden, batch.head),
        "torch.compile": lambda: compiled(batch.hidden, batch.head),
        "TRL fused head": lambda: dpo(trl_head(batch), batch),
        "Liger": liger(False),
        "Liger compiled": liger(True),
    }


def products(batch):
    """The three matrix products on the unmasked rows, into allocated memory."""
    with torch.no_grad():
        rows, head = batch.hidden[batch.mask].detach(), batch.head.detach()
        logits = rows @ head.T
        d_rows, d_head = torch.empty_like(rows), torch.empty_like(head)

    def run():
        torch.mm(rows, head.T, out=logits)
        torch.mm(logits, head, out=d_rows)
        torch.mm(logits.T, rows, out=d_head)
    return run


def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def peak_of(call):
    """The peak of the bytes that the call adds to the process."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before


def measured(shape, budget):
    batch = random_batch(shape)
    contenders = (logits_contenders if shape.level == "logits" else hidden_contenders)(batch)

    def through_backward(loss):
        value = loss()
        torch.autograd.grad(value, batch.inputs)
        return value.item()

    calls = {name: lambda loss=loss: through_backward(loss) for name, loss in contenders.items()}
    values = {name: call() for name, call in calls.items()}  # torch.compile compiles here
    for name, value in values.items():
        if not abs(value - values["eager"]) <= 2e-2 * abs(values["eager"]):
            raise SystemExit(f"peers: the loss of {name} is {value}, eager's {values['eager']}")
    peaks = {name: peak_of(call) for name, call in calls.items()}
    if shape.level == "hidden":
        calls["products"] = products(batch)

    times = {name: [] for name in calls}
    start = time.perf_counter()
    while min(map(len, times.values())) < 5 or time.perf_counter() - start < budget:
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
    return {name: (statistics.median(taken), peaks.get(name)) for name, taken in times.items()}


def shapes(quick):
    shape = lambda **named: types.SimpleNamespace(pairs=4, rows=512, hidden=768, **named)
    dtypes = [torch.bfloat16] if quick else [torch.bfloat16, torch.float32]
    for level, vocab in (("logits", 32000), ("logits", 128256), ("hidden", 32000),
                         ("hidden", 128256)):
        if quick and vocab == 128256:
            continue
        for dtype in dtypes:
            for mask in (0, 50):
                yield shape(level=level, vocab=vocab, dtype=dtype, mask=mask)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="libsp2dpo_torch.so, built with this Python's torch")
    parser.add_argument("--quick", action="store_true", help="V 32000 and bfloat16 only")
    parser.add_argument("--out", help="file for one JSON object per line")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.ops.load_library(arguments.library)

    print(f"torch {torch.__version__}, {arguments.threads} threads; forward and backward, "
          "4 pairs, R 512, H 768")
    columns = "{:<7} {:<9} {:>7} {:>5}  {:<26} {:>9} {:>9} {:>9}"
    print(columns.format("level", "dtype", "V", "mask", "", "ms", "x sp2dpo", "peak MB"))
    lines = []
    for shape in shapes(arguments.quick):
        results = measured(shape, 2 if arguments.quick else 5)
        ours = results["sp2dpo"][0]
        for name, (seconds, peak) in results.items():
            dtype = str(shape.dtype).removeprefix("torch.")
            print(columns.format(shape.level, dtype, shape.vocab, f"{shape.mask}%", name,
                                 f"{seconds * 1e3:.1f}", f"{seconds / ours:.2f}",
                                 "-" if peak is None else f"{peak / 1e6:.0f}"), flush=True)
            lines.append(json.dumps(dict(
                level=shape.level, op=name, dtype=dtype, R=shape.rows, V=shape.vocab,
                H=shape.hidden if shape.level == "hidden" else None, mask=shape.mask,
                seconds=seconds, ratio_sp2dpo=seconds / ours, peak_bytes=peak)))
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
