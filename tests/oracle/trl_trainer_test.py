# SPDX-License-Identifier: Apache-2.0
"""examples/trl/train.py on a schedule that the program makes, with a tiny model of random weights.

python trl_trainer_test.py SP2DPO FOLDER. Exits with 77 where TRL is missing. Needs no network.
"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false",
                  CUDA_VISIBLE_DEVICES="", TQDM_DISABLE="1")

try:
    import torch
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer
except ImportError as error:
    print(f"{error}: pip install -r tests/oracle/requirements.txt in the Python that has torch")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
PROGRAM, FOLDER = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, str(ROOT / "examples/trl"))
from train import PerPairBetaTrainer  # noqa: E402

MODEL, JOINED = FOLDER / "model", FOLDER / "joined.jsonl"


def setUpModule():
    data = ROOT / "examples/data"
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, ROOT / "tests/interop/tiny_model.py", MODEL], check=True)
    os.environ["HF_HOME"] = str(FOLDER / "hf")
    subprocess.run([PROGRAM, "schedule", "--pairs", data / "pairs.jsonl",
                    "--annotations", data / "annotations.jsonl", "--out", FOLDER / "schedule.jsonl",
                    "--join", JOINED], check=True, stdout=subprocess.DEVNULL)


def config(name, **options):
    options = dict(max_steps=3, per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1,
                   report_to="none", save_strategy="no", use_cpu=True, bf16=False,
                   disable_tqdm=True, seed=1, beta=0.1) | options
    return DPOConfig(str(FOLDER / name), **options)


def pairs():
    return load_dataset("json", data_files=str(JOINED), split="train",
                        cache_dir=str(FOLDER / "cache"))


def losses(trainer):
    trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def weights(trainer):
    trainer.train()
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


class PerPairBeta(unittest.TestCase):
    def test_the_joined_file_carries_the_betas_of_the_schedule(self):
        schedule = {}
        for line in (FOLDER / "schedule.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "id" in row:
                schedule[row["id"]] = row["beta"]
        joined = pairs()
        self.assertEqual(dict(zip(joined["id"], joined["beta"])), schedule)
        self.assertGreater(len(set(joined["beta"])), 50)

    def test_the_loss_and_the_rewards_take_the_beta_of_each_pair(self):
        trainer = PerPairBetaTrainer(str(MODEL), args=config("formula"), train_dataset=pairs())
        batch = next(iter(trainer.get_train_dataloader()))
        self.assertEqual(batch["beta"].shape, (4,))
        tokens = {name: value for name, value in batch.items() if name != "beta"}
        reference = trainer.compute_ref_log_probs(trainer.model, tokens)
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        policy = trainer.compute_ref_log_probs(trainer.model, tokens)
        trainer.precompute_ref_logps = True
        given = dict(batch, ref_chosen_logps=reference[0], ref_rejected_logps=reference[1])
        chosen, rejected = policy[0] - reference[0], policy[1] - reference[1]

        trainer.model.train()
        loss = trainer._compute_loss(trainer.model, given, False)
        wanted = -torch.nn.functional.logsigmoid(batch["beta"] * (chosen - rejected)).mean()
        torch.testing.assert_close(loss.detach(), wanted, rtol=1e-5, atol=1e-6)
        margin = (batch["beta"] * (chosen - rejected)).mean().item()
        self.assertAlmostEqual(trainer._metrics["train"]["rewards/margins"][-1], margin, places=4)
        self.assertEqual(trainer.beta, 0.1)
        self.assertIn("beta", given)

    def test_equal_betas_train_as_the_scalar_does(self):
        equal = pairs().remove_columns("beta").add_column("beta", [0.1] * 120)
        same = weights(PerPairBetaTrainer(str(MODEL), args=config("equal"), train_dataset=equal))
        scalar = weights(DPOTrainer(str(MODEL), args=config("scalar"), train_dataset=pairs()))
        own = weights(PerPairBetaTrainer(str(MODEL), args=config("own"), train_dataset=pairs()))
        self.assertTrue(torch.equal(same, scalar))
        self.assertFalse(torch.equal(own, scalar))

    def test_precomputed_reference_log_probs_give_the_same_losses(self):
        live = losses(PerPairBetaTrainer(str(MODEL), args=config("live"), train_dataset=pairs()))
        cached = losses(PerPairBetaTrainer(
            str(MODEL), args=config("cached", precompute_ref_log_probs=True),
            train_dataset=pairs()))
        for a, b in zip(live, cached, strict=True):
            self.assertAlmostEqual(a, b, places=3)

    def test_a_dataset_without_betas_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no column `beta`"):
            PerPairBetaTrainer(str(MODEL), args=config("none"),
                               train_dataset=pairs().remove_columns("beta"))

    def test_aot_is_refused(self):
        with self.assertRaisesRegex(ValueError, "aot sorts the batch"):
            PerPairBetaTrainer(str(MODEL), args=config("aot", loss_type="aot"),
                               train_dataset=pairs())

    def test_the_example_runs_as_its_page_says(self):
        subprocess.run([sys.executable, ROOT / "examples/trl/train.py", "--model", MODEL,
                        "--data", JOINED, "--out", FOLDER / "trained", "--max-steps", "2"],
                       check=True, stdout=subprocess.DEVNULL)
        self.assertTrue((FOLDER / "trained/model.safetensors").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
