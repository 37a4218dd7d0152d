# SPDX-License-Identifier: Apache-2.0
"""What the contenders of all levels have in common."""

import torch
from torch.nn.functional import logsigmoid

BETA = 0.1


class Rows:
    """The rows of a batch that count, for those who leave masked ones out by themselves."""

    def __init__(self, labels):
        self.mask = labels != -100
        self.rows = self.mask.flatten().nonzero().squeeze(1)
        self.row_labels = labels.flatten()[self.rows]
        self.answers = self.rows // labels.shape[1]


def loss_of_answers(sums):
    """Of the answers' log-probabilities [2P], as every trainer writes it."""
    chosen, rejected = sums.chunk(2)
    return -logsigmoid(BETA * (chosen - rejected)).mean()


def dpo(log_probs, batch):
    """The loss of the tokens' log-probabilities [2P, T]."""
    wide = log_probs.to(torch.promote_types(log_probs.dtype, torch.float32))
    return loss_of_answers((wide * batch.mask).sum(1))


def dpo_of_rows(log_probs, batch):
    """The same of the rows that count alone."""
    sums = torch.zeros(len(batch.labels), device=log_probs.device)
    return loss_of_answers(sums.index_add(0, batch.answers, log_probs.float()))


def log_probs_of(logits, labels):
    """The labels' log-probabilities, eagerly, in float32 at least."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)


def compiled_log_probs():
    """As torch.compile makes it of a sum of exponentials."""
    def of(logits, labels):
        wide = logits.float()
        label = labels.clamp(min=0)[..., None]
        return wide.gather(-1, label).squeeze(-1) - wide.logsumexp(-1)

    return torch.compile(of, dynamic=False)


def trl_log_probs():
    from trl.trainer.utils import selective_log_softmax
    # Rows alone are one sequence: its fallback loops over the first dimension.
    return lambda logits, labels: (
        selective_log_softmax(logits, labels.clamp(min=0)) if logits.dim() == 3
        else selective_log_softmax(logits[None], labels[None])[0])


class Contenders:
    """{name: function} of those that are there, and why those are missing that are."""

    def __init__(self, machine, found):
        self.machine, self.found, self.missing = machine, found, {}

    def add(self, name, make, needs_gpu=True):
        """`make` gives {name: function}; it may fail, and where it needs a GPU it is asked on one."""
        if self.machine.dry and needs_gpu:
            self.missing[name] = "is for a GPU"
            return
        try:
            self.found.update(make())
        except Exception as error:  # whatever another project's import raises
            self.missing[name] = f"{type(error).__name__}: {error}"
