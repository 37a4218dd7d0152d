# SPDX-License-Identifier: Apache-2.0
"""Runs the DPO losses of TRL and Liger-Kernel on random input; writes inputs and outputs.

Usage: generate.py FOLDER. One file a case, trl_<loss>.txt or liger_<loss>.txt; a line holds a
name, the number of its values, and these. Exits with 77 where the libraries are missing.
"""

import os
import sys
import types
from collections import defaultdict
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

try:
    import torch
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss
    from trl import DPOTrainer
except ImportError as error:
    print(f"{error}: pip install -r tests/oracle/requirements.txt in the Python that has torch")
    sys.exit(77)

PAIRS, LENGTH, WIDTH, VOCABULARY = 6, 9, 8, 61
SMOOTHING = defaultdict(float, robust=0.1, exo_pair=1e-3)  # the others lack it or ignore it
TRL_LOSSES = ("sigmoid hinge ipo exo_pair nca_pair robust bco_pair sppo_hard apo_zero apo_down "
              "discopop sigmoid_norm").split()
LIGER_LOSSES = [name for name in TRL_LOSSES if name not in ("ipo", "sigmoid_norm")]
AVERAGED = ("ipo", "sigmoid_norm")


def write(path, **tensors):
    with open(path, "w") as file:
        for name, tensor in tensors.items():
            values = tensor.detach().double().flatten().tolist()
            print(name, len(values), *map(repr, values), file=file)


def random_batch(dtype):
    """Responses of several lengths after a prompt of at least one token. TRL divides by an unshifted
    mask, which counts one token too many if a response starts at the first token."""
    start = torch.randint(1, 4, (2 * PAIRS, 1))
    end = torch.randint(5, LENGTH + 1, (2 * PAIRS, 1))
    place = torch.arange(LENGTH)
    return types.SimpleNamespace(
        hidden=torch.randn(2 * PAIRS, LENGTH, WIDTH, dtype=dtype, requires_grad=True),
        head=torch.randn(VOCABULARY, WIDTH, dtype=dtype, requires_grad=True),
        ids=torch.randint(VOCABULARY, (2 * PAIRS, LENGTH)),
        mask=((start <= place) & (place < end)).long(),
        beta=torch.tensor([0.03, 0.05, 0.1, 0.2, 0.3, 1.5], dtype=dtype, requires_grad=True),
    )


def shifted_labels(batch):
    """Row t predicts token t + 1, as sp2dpo and Liger expect."""
    labels = batch.ids.masked_fill(batch.mask == 0, -100)
    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)


def token_log_probs(logits, labels):
    picked = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(labels == -100, torch.zeros_like(picked), picked)


def trl_loss(name, log_probs, batch, reference, pairs):
    """Computes TRL's own loss of these pairs from given log-probabilities."""
    rows = torch.cat([pairs, pairs + PAIRS])
    seen = torch.zeros(len(rows), LENGTH - 1)
    outputs = types.SimpleNamespace(log_probs=log_probs[rows, :-1], entropy=seen, mean_logits=seen,
                                    is_top1=seen.bool())
    trainer = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True),
        accelerator=types.SimpleNamespace(device=torch.device("cpu"), gather=lambda x: x,
                                          gather_for_metrics=lambda x: x),
        args=types.SimpleNamespace(discopop_tau=0.05),
        loss_types=[name], loss_weights=[1.0], beta=batch.beta[pairs],
        label_smoothing=SMOOTHING[name], f_divergence_type="reverse_kl", ld_alpha=None,
        precompute_ref_logps=True, aux_loss_enabled=False, use_weighting=False,
        _metrics={"train": defaultdict(list)}, _total_train_tokens=0, _tp_size=1)
    inputs = {"input_ids": batch.ids[rows], "attention_mask": torch.ones_like(batch.ids[rows]),
              "completion_mask": batch.mask[rows], "ref_chosen_logps": reference[pairs],
              "ref_rejected_logps": reference[pairs + PAIRS]}
    return DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)


def trl_case(name):
    batch = random_batch(torch.float64)
    labels = shifted_labels(batch)
    logits = batch.hidden @ batch.head.T
    log_probs = token_log_probs(logits, labels)
    logits.retain_grad()
    log_probs.retain_grad()
    responses = log_probs.sum(1)
    reference = (responses + 4 * torch.randn(2 * PAIRS)).detach()

    everything = torch.arange(PAIRS)
    losses = torch.stack([trl_loss(name, log_probs, batch, reference, everything[i:i + 1])
                          for i in range(PAIRS)])
    trl_loss(name, log_probs, batch, reference, everything).backward()

    # Every token of a response has the same slope.
    count = (labels != -100).sum(1)
    per_answer = log_probs.grad.masked_fill(labels == -100, 0).sum(1) / count
    tokens = count if name in AVERAGED else torch.ones_like(count)
    return dict(label_smoothing=torch.tensor(SMOOTHING[name]), beta=batch.beta, labels=labels,
                hidden=batch.hidden, head=batch.head, policy=responses / tokens,
                reference=reference / tokens, losses=losses, d_policy=per_answer * tokens,
                d_beta=batch.beta.grad, d_logits=logits.grad, d_hidden=batch.hidden.grad,
                d_head=batch.head.grad)


def liger_case(name):
    """Runs pair by pair: Liger would multiply each chunk by every beta of a batch."""
    batch, other = random_batch(torch.float32), random_batch(torch.float32)
    labels = shifted_labels(batch)
    losses = []
    for i in range(PAIRS):
        rows = [i, i + PAIRS]
        loss = LigerFusedLinearDPOLoss(beta=batch.beta[i].item(), loss_type=name, compiled=False,
                                       label_smoothing=SMOOTHING[name])
        losses.append(loss(batch.head, batch.hidden[rows], labels[rows], None,
                           other.hidden[rows], other.head, None)[0])
    losses = torch.stack(losses)
    losses.mean().backward()

    def responses(model):
        return token_log_probs(model.hidden.double() @ model.head.double().T, labels).sum(1)

    return dict(label_smoothing=torch.tensor(SMOOTHING[name]), beta=batch.beta, labels=labels,
                hidden=batch.hidden, head=batch.head, policy=responses(batch),
                reference=responses(other), losses=losses, d_hidden=batch.hidden.grad,
                d_head=batch.head.grad)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)  # TRL turns its constants into tensors
    for name in TRL_LOSSES:
        write(folder / f"trl_{name}.txt", **trl_case(name))
    for name in LIGER_LOSSES:
        write(folder / f"liger_{name}.txt", **liger_case(name))


if __name__ == "__main__":
    main()
