# SPDX-License-Identifier: Apache-2.0
"""The operators as Python finds them.

python operators_test.py libsp2dpo_torch.so VERSION, of the libtorch that it was built with.
"""

import sys
import unittest

try:
    import torch
    from torch.library import opcheck
except ImportError as error:
    print(f"skipped: {sys.executable} has no torch with torch.library.opcheck ({error})")
    sys.exit(77)

ops = torch.ops.sp2dpo
P, T, V, H = 3, 4, 7, 5


class Batch:
    """Three pairs at each of the levels, in float64 unless said otherwise."""

    def __init__(self, dtype=torch.float64):
        self.generator = torch.Generator().manual_seed(3)
        normal = lambda *shape: torch.randn(
            shape, dtype=torch.float64, generator=self.generator).to(dtype).requires_grad_()
        self.labels = torch.randint(V, (2 * P, T), generator=self.generator)
        self.labels[:, 2] = -100
        self.chosen, self.rejected = normal(P), normal(P)
        self.ref_chosen, self.ref_rejected = normal(P).detach(), normal(P).detach()
        self.logits, self.hidden = normal(2 * P, T, V), normal(2 * P, T, H)
        self.head, self.bias = normal(V, H), normal(V)
        uniform = torch.rand(P, dtype=torch.float64, generator=self.generator)
        self.beta = (0.03 + 0.27 * uniform).requires_grad_()
        self.margin = (0.1 * normal(P).detach().double()).requires_grad_()
        self.weight = uniform + 0.5

    def common(self):
        return dict(margin=self.margin, weight=self.weight)

    def references(self):
        return dict(ref_chosen_logps=self.ref_chosen, ref_rejected_logps=self.ref_rejected)

    def level1(self):
        return (self.chosen, self.rejected, self.ref_chosen, self.ref_rejected, self.beta)

    def level2(self):
        return (self.logits, self.labels, self.beta)

    def level3(self):
        return (self.hidden, self.head, self.bias, self.labels, self.beta)

    def losses(self):
        """(operator, arguments, keywords, tensors that a gradient flows to) of each level."""
        rows = dict(self.common(), **self.references())
        controls = [self.beta, self.margin]
        logps = [self.chosen, self.rejected]
        yield ops.log_probs_loss, self.level1(), self.common(), [*logps, *controls]
        yield ops.logits_loss, self.level2(), rows, [self.logits, *controls]
        yield ops.hidden_loss, self.level3(), rows, [self.hidden, self.head, self.bias, *controls]


def gradients(loss, tensors):
    return torch.autograd.grad(loss.sum(), tensors)


def plain_loss(batch):
    """Level one by torch's own operations."""
    z = batch.beta * ((batch.chosen - batch.ref_chosen) - (batch.rejected - batch.ref_rejected))
    return -(batch.weight * torch.nn.functional.logsigmoid(z - batch.margin)).mean()


class Operators(unittest.TestCase):
    def same(self, got, wanted):
        for a, b in zip(got, wanted, strict=True):
            self.assertEqual(a.dtype, b.dtype)
            self.assertTrue(torch.equal(a, b), f"{a} is not {b}")

    def close(self, got, wanted):
        for a, b in zip(got, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)

    def test_loss_of_log_probs_is_that_of_torchs_own_operations(self):
        batch = Batch()
        loss = ops.log_probs_loss(*batch.level1(), **batch.common())[0]
        inputs = [batch.chosen, batch.rejected, batch.beta, batch.margin]
        self.close([loss, *gradients(loss, inputs)],
                   [plain_loss(batch), *gradients(plain_loss(batch), inputs)])

    def test_one_beta_for_all_pairs_may_be_a_number(self):
        batch = Batch()
        number = ops.log_probs_loss(*batch.level1()[:-1], 0.1)[0]
        tensor = ops.log_probs_loss(*batch.level1()[:-1], torch.full((P,), 0.1).double())[0]
        torch.testing.assert_close(number, tensor, rtol=1e-8, atol=0)
        ops.logits_loss(batch.logits, batch.labels, 0.1)
        ops.hidden_loss(batch.hidden, batch.head, None, batch.labels, 0.1)

    def test_gradients_are_right_at_every_level(self):
        for op, arguments, keywords, tensors in Batch().losses():
            for options in [{}, dict(loss_type="nca_pair", margin=None, reduction="sum")]:
                if "loss_type" in options:
                    tensors = [t for t in tensors if t.shape != (P,) or t is not tensors[-1]]
                options = {**keywords, **options}

                def loss(*inputs):
                    swap = dict(zip(map(id, tensors), inputs))
                    of = lambda x: swap.get(id(x), x)
                    return op(*map(of, arguments), **{k: of(v) for k, v in options.items()})[0]

                with self.subTest(op=str(op), **{k: str(v) for k, v in options.items()}):
                    self.assertTrue(torch.autograd.gradcheck(loss, tensors))
                    if op is ops.log_probs_loss:
                        self.assertTrue(torch.autograd.gradgradcheck(loss, tensors))

    def test_losses_by_pair_have_gradients_by_pair(self):
        batch = Batch()
        for op, arguments, keywords, tensors in list(batch.losses())[:2]:
            by_pair = op(*arguments, **keywords, reduction="none")[0]
            summed = op(*arguments, **keywords, reduction="sum")[0]
            self.assertEqual(by_pair.shape, (P,))
            self.close(gradients(by_pair, tensors), gradients(summed, tensors))

    def test_opcheck_passes_for_the_losses(self):
        for op, arguments, keywords, _ in Batch().losses():
            for extra in [{}, dict(loss_type="robust", label_smoothing=0.1)]:
                with self.subTest(op=str(op), **extra):
                    opcheck(op.default, arguments, {**keywords, **extra})
        batch = Batch()
        opcheck(ops.logits_loss.default, batch.level2(), dict(reduction="none"))
        opcheck(ops.log_probs_loss.default, batch.level1(), dict(reduction="none"))
        opcheck(ops.log_probs_loss.number, (*batch.level1()[:-1], 0.1))
        opcheck(ops.logits_loss.number, (batch.logits, batch.labels, 0.1))
        opcheck(ops.hidden_loss.number, (batch.hidden, batch.head, None, batch.labels, 0.1))

    def test_opcheck_passes_for_the_lower_operators(self):
        batch = Batch(torch.float32)
        for tensor in vars(batch).values():
            if isinstance(tensor, torch.Tensor):
                tensor.requires_grad_(False)
        rows = dict(batch.common(), **batch.references())
        opcheck(ops.log_probs_loss_forward.default, batch.level1(), batch.common())
        opcheck(ops.log_probs_loss_curvature.default,
                (torch.ones(4, P, dtype=torch.float64), *batch.level1()), batch.common())
        opcheck(ops.logits_loss_forward.default, batch.level2(), rows)
        opcheck(ops.logits_loss_forward.default, batch.level2(), dict(rows, reduction="none"))
        opcheck(ops.hidden_loss_forward.default, batch.level3(), dict(rows, need_bias=True))
        opcheck(ops.hidden_loss_forward.default, batch.level3(), dict(rows, need_weight=False))
        log_prob, lse_others = ops.row_log_probs(batch.logits, batch.labels)
        opcheck(ops.row_log_probs.default, (batch.logits, batch.labels))
        opcheck(ops.row_gradient.default, (batch.logits, batch.labels, lse_others, log_prob))
        both = ops.row_log_probs_and_gradient.default
        opcheck(both, (batch.logits, batch.labels))
        opcheck(both, (batch.logits, batch.labels, log_prob))
        for unit in (False, True):
            opcheck(ops.logits_loss_value_and_grad.default, batch.level2(), dict(rows, unit=unit))

    def test_one_pass_gives_log_probs_and_unit_gradient(self):
        batch = Batch()
        counts = batch.labels != -100
        label = torch.where(counts, batch.labels, 0)[..., None]
        wanted = batch.logits.log_softmax(-1).gather(-1, label).squeeze(-1) * counts
        wanted.sum().backward()
        log_prob, _, unit = ops.row_log_probs_and_gradient(batch.logits, batch.labels)
        self.close([log_prob, unit], [wanted, batch.logits.grad])
        # Logits are never cast: they are summed up in float32 at least, whatever their type.
        narrow = batch.logits.detach().bfloat16()
        plain = ops.row_log_probs_and_gradient(narrow, batch.labels)
        with torch.autocast("cpu", torch.bfloat16):
            self.same(ops.row_log_probs_and_gradient(narrow, batch.labels), plain)

    def test_unit_gradient_and_row_scale_make_the_gradients_of_a_head(self):
        # What the mode is for: the scale goes into the products that consume the gradient.
        batch = Batch()
        hidden, head = batch.hidden, batch.head
        loss = ops.logits_loss(hidden @ head.T, batch.labels, batch.beta)[0]
        wanted = [loss, *gradients(loss, [hidden, head])]
        with torch.no_grad():
            loss, *_, unit, scale = ops.logits_loss_value_and_grad(
                hidden @ head.T, batch.labels, batch.beta, unit=True)
            scale = scale.view(2 * P, T, 1)
            d_head = torch.einsum("stv,sth->vh", unit, scale * hidden)
            self.close([loss, scale * (unit @ head), d_head], wanted)

    def test_compiled_equals_eager_whatever_the_batch(self):
        for backend in ["aot_eager", "inductor"]:
            for index in range(3):
                torch._dynamo.reset()
                op = list(Batch().losses())[index][0]
                step = torch.compile(lambda *a, **k: op(*a, **k)[0] * 2, backend=backend,
                                     fullgraph=True, dynamic=index > 0)
                batch = Batch()
                _, arguments, keywords, tensors = list(batch.losses())[index]
                compiled, eager = step(*arguments, **keywords), op(*arguments, **keywords)[0] * 2
                with self.subTest(op=str(op), backend=backend):
                    self.close([compiled, *gradients(compiled, tensors)],
                               [eager, *gradients(eager, tensors)])

    def test_hooks_see_the_gradients(self):
        for op, arguments, keywords, tensors in Batch().losses():
            seen = []
            handle = tensors[0].register_hook(lambda slope: seen.append(slope) or 2 * slope)
            doubled = gradients(op(*arguments, **keywords)[0], tensors)
            handle.remove()
            plain = gradients(op(*arguments, **keywords)[0], tensors)
            self.same([*seen, doubled[0], *doubled[1:]], [plain[0], 2 * plain[0], *plain[1:]])

    def test_gradients_accumulate_over_steps_and_over_a_retained_graph(self):
        for op, arguments, keywords, tensors in Batch().losses():
            once = gradients(op(*arguments, **keywords)[0], tensors)
            retained = op(*arguments, **keywords)[0]
            retained.backward(retain_graph=True)
            retained.backward()
            op(*arguments, **keywords)[0].backward()
            self.same([t.grad for t in tensors], [slope + slope + slope for slope in once])
            for tensor in tensors:
                tensor.grad = None

    def test_steps_with_a_common_normalizer_add_up_to_one_batch(self):
        batch = Batch()
        whole = ops.log_probs_loss(*batch.level1())[0]
        whole.backward()
        wanted, batch.chosen.grad = batch.chosen.grad, None
        for i in range(P):
            part = [tensor[i:i + 1] for tensor in batch.level1()]
            ops.log_probs_loss(*part, normalizer=P)[0].backward()
        self.close([batch.chosen.grad], [wanted])

    def test_checkpointing_runs_the_forward_again(self):
        from torch.utils.checkpoint import checkpoint
        batch = Batch()
        head = lambda logits: ops.logits_loss(torch.tanh(logits), batch.labels, batch.beta)[0]
        again = checkpoint(head, batch.logits, use_reentrant=False)
        self.same(gradients(again, [batch.logits]), gradients(head(batch.logits), [batch.logits]))

    def test_inference_mode_gives_the_same_numbers(self):
        for op, arguments, keywords, _ in Batch().losses():
            wanted = op(*arguments, **keywords)
            with torch.inference_mode():
                self.same(op(*arguments, **keywords), wanted)

    def test_autocast_multiplies_hidden_states_in_the_narrow_type(self):
        batch = Batch(torch.float32)
        narrow = [t.detach().bfloat16() for t in (batch.hidden, batch.head, batch.bias)]
        wanted = ops.hidden_loss(*narrow, batch.labels, batch.beta)
        with torch.autocast("cpu", torch.bfloat16):
            got = ops.hidden_loss(batch.hidden, batch.head, batch.bias, batch.labels, batch.beta)
        self.same(got, wanted)
        got[0].backward()
        self.assertEqual(batch.head.grad.dtype, torch.float32)

    def test_errors_reach_python_with_their_reason(self):
        batch = Batch()
        with self.assertRaisesRegex(RuntimeError, "unknown loss_type dpo; expected one of: sigmoid"):
            ops.log_probs_loss(*batch.level1(), loss_type="dpo")
        with self.assertRaisesRegex(RuntimeError, "sorts the log-ratios over the batch"):
            ops.log_probs_loss(*batch.level1(), loss_type="aot")
        with self.assertRaisesRegex(RuntimeError, r"the label of row 0 is \d+; expected a token in \[0, 7\)"):
            ops.logits_loss(batch.logits, torch.full_like(batch.labels, V), batch.beta)


if __name__ == "__main__":
    library, version = sys.argv[1:3]
    if torch.__version__.split("+")[0] != version:
        print(f"skipped: built with libtorch {version}, but {sys.executable} has torch "
              f"{torch.__version__}")
        sys.exit(77)
    torch.ops.load_library(library)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
