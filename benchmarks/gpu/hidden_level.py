# SPDX-License-Identifier: Apache-2.0
"""The loss from hidden states and the head, that of other libraries, and its matrix products."""

import torch
from peers import (BETA, Contenders, Rows, compiled_log_probs, dpo, dpo_of_rows, log_probs_of,
                   trl_log_probs)
from torch.nn.functional import linear


class Batch(Rows):
    """Hidden states of `pairs` pairs of two sequences, the first `mask` percent of each masked."""

    def __init__(self, machine, pairs, length, vocab, width, dtype, mask):
        generator = torch.Generator(device=machine.device).manual_seed(1)
        options = {"dtype": dtype, "device": machine.device}
        self.hidden = torch.empty(2 * pairs, length, width, **options)
        self.hidden.normal_(0, 1, generator=generator)
        self.head = torch.empty(vocab, width, **options)
        self.head.normal_(0, width**-0.5, generator=generator)
        self.labels = torch.randint(vocab, (2 * pairs, length), generator=generator,
                                    device=machine.device)
        self.labels[:, :length * mask // 100] = -100
        self.host_labels = self.labels.cpu()
        self.kept = slice(length * mask // 100, None)  # the unmasked part of each sequence
        super().__init__(self.labels)
        self.beta = torch.full((pairs,), BETA, dtype=torch.float64, device=machine.device)

    def leaves(self):
        return (self.hidden.detach().requires_grad_(), self.head.detach().requires_grad_())


def contenders(machine):
    """{name: (hidden, head, batch) -> loss}, {missing: reason}."""
    loss = torch.ops.sp2dpo.hidden_loss

    def both(name, log_probs):
        """On whole sequences, and on the unmasked rows alone."""
        return {name: lambda hidden, head, batch: dpo(
                    log_probs(linear(hidden, head), batch.labels), batch),
                f"{name}, compacted": lambda hidden, head, batch: dpo_of_rows(
                    log_probs(linear(hidden.flatten(0, 1)[batch.rows], head), batch.row_labels),
                    batch)}

    contenders = Contenders(machine, {
        "sp2dpo": lambda hidden, head, batch: loss(hidden, head, None, batch.host_labels,
                                                   batch.beta)[0],
        "sp2dpo, labels on the device": lambda hidden, head, batch: loss(
            hidden, head, None, batch.labels, batch.beta)[0],
        **both("eager", log_probs_of)})

    def liger():
        from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss
        function = LigerFusedLinearDPOLoss(ignore_index=-100, beta=BETA, use_ref_model=False,
                                           compiled=not machine.dry, average_log_prob=False)
        return {
            "Liger": lambda hidden, head, batch: function(head, hidden, batch.labels)[0],
            "Liger, compacted": lambda hidden, head, batch: function(
                head, hidden[:, batch.kept].contiguous(),
                batch.labels[:, batch.kept].contiguous())[0]}

    def cut_cross_entropy():
        from cut_cross_entropy import linear_cross_entropy
        return {
            "CCE": lambda hidden, head, batch: dpo(-linear_cross_entropy(
                hidden, head, batch.labels, ignore_index=-100, reduction="none"), batch),
            "CCE, compacted": lambda hidden, head, batch: dpo_of_rows(-linear_cross_entropy(
                hidden.flatten(0, 1)[batch.rows], head, batch.row_labels,
                reduction="none"), batch)}

    contenders.add("torch.compile", lambda: both("torch.compile", compiled_log_probs()))
    contenders.add("TRL", lambda: both("TRL", trl_log_probs()), needs_gpu=False)
    contenders.add("Liger", liger, needs_gpu=False)
    contenders.add("CCE", cut_cross_entropy)
    return contenders.found, contenders.missing


def products(batch):
    """{name: call} for the three matrix products on the unmasked rows, into allocated memory."""
    hidden = batch.hidden.flatten(0, 1)[batch.rows].contiguous()
    logits = torch.empty(len(hidden), len(batch.head), dtype=hidden.dtype, device=hidden.device)
    d_hidden, d_head = torch.empty_like(hidden), torch.empty_like(batch.head)

    def all_three(_):
        torch.mm(hidden, batch.head.T, out=logits)
        torch.mm(logits, batch.head, out=d_hidden)
        torch.mm(logits.T, hidden, out=d_head)

    return {"its three matrix products": (lambda i: None, all_three)}


def check(batch):
    """The largest differences of loss and gradients from float64, for a small batch."""
    results = []
    for dtype in (batch.hidden.dtype, torch.float64):
        hidden, head = (t.detach().to(dtype).requires_grad_() for t in (batch.hidden, batch.head))
        if dtype == torch.float64:
            loss = dpo(log_probs_of(linear(hidden, head), batch.labels), batch)
        else:
            loss = torch.ops.sp2dpo.hidden_loss(hidden, head, None, batch.host_labels,
                                                batch.beta)[0]
        loss.backward()
        results.append((loss.detach(), hidden.grad, head.grad))
    return {name: ((got.double() - want).abs().max() / want.abs().max()).item()
            for name, got, want in zip(("loss", "d_hidden", "d_head"), *results)}
