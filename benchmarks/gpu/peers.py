# SPDX-License-Identifier: Apache-2.0
"""What the contenders of all levels share."""

import torch
from torch.nn.functional import logsigmoid

BETA = 0.1


class Rows:
    """The unmasked rows of a batch, for contenders that are given only those."""

    def __init__(self, labels):
        self.mask = labels != -100
        self.rows = self.mask.flatten().nonzero().squeeze(1)
        self.row_labels = labels.flatten()[self.rows]
        self.sequences = self.rows // labels.shape[1]


def loss_of_sums(sums):
    """The loss from the sequences' log-probabilities [2P], as trainers write it."""
    chosen, rejected = sums.chunk(2)
    return -logsigmoid(BETA * (chosen - rejected)).mean()


def dpo(log_probs, batch):
    """The loss from the tokens' log-probabilities [2P, T]."""
    wide = log_probs.to(torch.promote_types(log_probs.dtype, torch.float32))
    return loss_of_sums((wide * batch.mask).sum(1))


def dpo_of_rows(log_probs, batch):
    """The same from the unmasked rows alone."""
    sums = torch.zeros(len(batch.labels), device=log_probs.device)
    return loss_of_sums(sums.index_add(0, batch.sequences, log_probs.float()))


def log_probs_of(logits, labels):
    """The labels' log-probabilities, eager, in float32 or wider."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)


def compiled_log_probs():
    """The same by torch.compile, written with a sum of exponentials."""
    def of(logits, labels):
        wide = logits.float()
        label = labels.clamp(min=0)[..., None]
        return wide.gather(-1, label).squeeze(-1) - wide.logsumexp(-1)

    return torch.compile(of, dynamic=False)


def trl_log_probs():
    from trl.trainer.utils import selective_log_softmax
    # Rows become one sequence, since TRL's fallback loops over the first dimension.
    return lambda logits, labels: (
        selective_log_softmax(logits, labels.clamp(min=0)) if logits.dim() == 3
        else selective_log_softmax(logits[None], labels[None])[0])


class Contenders:
    """{name: function} of the available contenders, {missing: reason}."""

    def __init__(self, machine, found):
        self.machine, self.found, self.missing = machine, found, {}

    def add(self, name, make, needs_gpu=True):
        """`make` returns {name: function}. It may fail; without a GPU it is skipped if it needs one."""
        if self.machine.dry and needs_gpu:
            self.missing[name] = "needs a GPU"
            return
        try:
            self.found.update(make())
        except Exception as error:  # anything that another project's import raises
            self.missing[name] = f"{type(error).__name__}: {error}"
