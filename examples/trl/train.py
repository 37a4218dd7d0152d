# SPDX-License-Identifier: Apache-2.0
"""DPO with a beta for each pair, in TRL.

    sp2dpo schedule --pairs pairs.jsonl --annotations annotations.jsonl \
      --out schedule.jsonl --join joined.jsonl
    python train.py --model MODEL --data joined.jsonl --out trained

Needs trl 1.16 and what it brings. MODEL is a folder or a name on the Hugging Face Hub.
"""

import argparse

import torch
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer


# [trainer]
class WithBeta:
    """A collator that adds the column `beta` to the batch of another one, as a tensor [P]."""

    def __init__(self, collator):
        self.collator = collator

    def __call__(self, examples):
        betas = torch.tensor([example["beta"] for example in examples])
        return {**self.collator(examples), "beta": betas}


class PerPairBetaTrainer(DPOTrainer):
    """Takes each pair's beta from the column `beta` instead of one number from the config."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "beta" not in self.train_dataset.column_names:
            raise ValueError("train_dataset has no column `beta`: sp2dpo schedule --join adds it")
        if any(name.startswith("aot") for name in self.loss_types):
            raise ValueError("aot sorts the batch, so a beta would meet another pair's log-ratio")
        self.data_collator = WithBeta(self.data_collator)

    def _set_signature_columns_if_needed(self):  # TRL drops all other columns without a word
        super()._set_signature_columns_if_needed()
        if "beta" not in self._signature_columns:
            self._signature_columns.append("beta")

    def _compute_loss(self, model, inputs, return_outputs):
        batch = dict(inputs)
        scalar, self.beta = self.beta, batch.pop("beta")  # [P]: broadcasts in TRL's formulas
        try:
            return super()._compute_loss(model, batch, return_outputs)
        finally:
            self.beta = scalar
# [/trainer]


def main():
    parser = argparse.ArgumentParser(description="DPO with a beta for each pair, in TRL.")
    parser.add_argument("--model", required=True, help="folder or name of a causal language model")
    parser.add_argument("--data", required=True, help="pairs with their betas, from --join")
    parser.add_argument("--out", required=True, help="folder for the trained model")
    parser.add_argument("--max-steps", type=int, default=-1, help="end after so many steps")
    options = parser.parse_args()

    # [use]
    pairs = load_dataset("json", data_files=options.data, split="train")
    trainer = PerPairBetaTrainer(
        options.model, train_dataset=pairs,
        args=DPOConfig(options.out, max_steps=options.max_steps, logging_steps=1, report_to="none",
                       use_cpu=not torch.cuda.is_available()))
    trainer.train()
    # [/use]
    trainer.save_model()


if __name__ == "__main__":
    main()
