"""The faster ways to compute pretraining's model and optimizer say what the plain ones say."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from codelab.train.pretrain import PretrainRecipe, Shape  # noqa: E402

from .test_pretrain import write_recipe  # noqa: E402

SHAPE = Shape(layers=2, heads=2, width=32, positions=32)


def batch(rows: int = 4) -> Any:
    return torch.randint(0, 300, (rows, 33), generator=torch.Generator().manual_seed(1))


def loss_and_gradients(model: Any, rows: Any) -> tuple[float, dict[str, Any]]:
    from codelab.train.pretrain_model import RowLoss

    loss = RowLoss(model)(rows)
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("changes", [{"mask": "flag"}, {"gelu": "sigmoid"}, {"mask": "flag", "gelu": "sigmoid"}])
def test_loss_and_gradients_are_those_of_the_plain_model(changes: dict[str, str]) -> None:
    from codelab.train.pretrain_model import make_model

    plain, plain_gradients = loss_and_gradients(make_model(SHAPE, 300, 0, mask="tensor"), batch())
    found, gradients = loss_and_gradients(make_model(SHAPE, 300, 0, **{"mask": "tensor", **changes}), batch())
    assert found == pytest.approx(plain, rel=1e-6)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-4, atol=1e-7, msg=name)


def attention_calls(mask: str) -> list[dict[str, Any]]:
    """How the compiled model calls its attention, one mapping a layer; every graph counts."""
    from codelab.train.pretrain_model import RowLoss, make_model

    calls: list[dict[str, Any]] = []

    def look(graph: Any, _: Any) -> Any:
        calls.extend(dict(node.kwargs) for node in graph.graph.nodes if "scaled_dot_product" in str(node.target))
        return graph.forward

    torch._dynamo.reset()
    loss = RowLoss(make_model(SHAPE, 300, 0, mask=mask))
    torch.compile(loss, backend=look, fullgraph=True)(batch())
    torch._dynamo.reset()
    return calls


def test_a_compiled_model_calls_its_attention_causal_and_gives_it_no_mask() -> None:
    assert [(call.get("attn_mask"), call["is_causal"]) for call in attention_calls("flag")] == [(None, True)] * 2
    # What `flag` is for; once transformers makes no mask here, both ways are one.
    assert all(call.get("attn_mask") is not None and not call["is_causal"] for call in attention_calls("tensor"))


def test_padded_rows_are_refused() -> None:
    from codelab.train.pretrain_model import make_model

    mask = torch.ones(4, 1, 33, 33, dtype=torch.bool)
    with pytest.raises(ValueError, match="expected full rows"):
        make_model(Shape(layers=1, heads=2, width=32, positions=33), 300, 0)(batch(), attention_mask=mask)


def test_a_saved_model_is_an_ordinary_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from codelab.train.pretrain_model import make_model

    model = make_model(SHAPE, 300, 0, gelu="sigmoid")
    model.save_pretrained(tmp_path)
    assert "causal_full_rows" not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["activation_function"] == "gelu_new"
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"
    with torch.no_grad():
        inputs = batch()[:, :-1]
        torch.testing.assert_close(again(inputs).logits, model(inputs).logits, rtol=1e-4, atol=1e-5)


def test_gelu_written_with_a_sigmoid() -> None:
    from transformers.activations import ACT2FN

    from codelab.train.pretrain_model import SigmoidGelu

    inputs = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e4, 0.0, 1e4])]).requires_grad_()
    again = inputs.detach().double().requires_grad_()
    found, exact = SigmoidGelu()(inputs), ACT2FN["gelu_new"](again)
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=1e-6)
    found.sum().backward()
    exact.sum().backward()
    torch.testing.assert_close(inputs.grad.double(), again.grad, rtol=2e-6, atol=2e-6)
    half = torch.linspace(-3, 3, 101).bfloat16()
    assert torch.equal(SigmoidGelu()(half), SigmoidGelu()(half.float()).bfloat16())


def matrices() -> list[Any]:
    make = torch.Generator().manual_seed(2)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=make) / 10) for shape in [(8, 24), (24, 8), (8, 24), (8, 8)]
    ]


def test_muon_in_batches_is_muon() -> None:
    from codelab.train.muon import BatchedMuon

    plain, batched = matrices(), matrices()
    start = [one.detach().clone() for one in plain]
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    optimizers = torch.optim.Muon(plain, **options), BatchedMuon(batched, **options)
    make = torch.Generator().manual_seed(3)
    for _ in range(5):
        for one, other in zip(plain, batched, strict=True):
            one.grad = torch.randn(one.shape, generator=make)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for first, one, other in zip(start, plain, batched, strict=True):
        moved = (one - first).norm()
        assert moved > 0.1
        assert (one - other).norm() < 0.01 * moved
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    for index, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][index]["momentum_buffer"])


def test_a_matrix_without_a_gradient_stays_and_the_state_of_one_muon_is_read_by_the_other() -> None:
    from codelab.train.muon import BatchedMuon

    params = matrices()
    for one in params[:-1]:
        one.grad = torch.ones_like(one)
    last = params[-1].detach().clone()
    plain = torch.optim.Muon(params, lr=0.1)
    plain.step()
    batched = BatchedMuon(params, lr=0.1)
    batched.load_state_dict(copy.deepcopy(plain.state_dict()))
    batched.step()
    assert torch.equal(params[-1], last)
    expected = 1 - 0.95**2  # of a gradient of ones, twice
    assert batched.state[params[0]]["momentum_buffer"].mean().item() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "scale"), [(None, 1.0), ("match_rms_adamw", 0.2 * math.sqrt(24))])
def test_muon_in_batches_scales_by_shape(name: str | None, scale: float) -> None:
    from codelab.train.muon import BatchedMuon

    moved = []
    for kind in (torch.optim.Muon, BatchedMuon):
        (one,) = matrices()[:1]
        before = one.detach().clone()
        one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(4))
        kind([one], lr=0.1, weight_decay=0.0, adjust_lr_fn=name).step()
        moved.append((one - before).norm().item())
    assert moved[1] == pytest.approx(moved[0], rel=0.01)
    assert moved[1] == pytest.approx(0.1 * scale * math.sqrt(8), rel=0.3)


@pytest.mark.parametrize(("gelu", "batched"), [("tanh", False), ("sigmoid", True)])
def test_a_continued_run_has_the_same_bits_however_its_step_is_computed(
    tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path, gelu: str, batched: bool
) -> None:
    from codelab.records import open_run
    from codelab.train.pretrain_loop import Trainer
    from codelab.train.tokens import open_tokens

    path = write_recipe(
        tmp_path, tiny_tokens, tiny_tokenizer, gelu=gelu, optimizer={"batched": batched}, checkpoint_every=1e9
    )
    recipe = PretrainRecipe.model_validate(yaml.safe_load(path.read_text()))
    folder, losses, weights = open_tokens(tiny_tokens), [], []
    for name, parts in (("whole", [6]), ("broken", [2, 4])):
        for count in parts:  # each part is a new trainer, as after a kill
            trainer = Trainer(recipe, run := open_run(recipe, name, tmp_path / "results", []), folder)
            trainer.restore()
            for _ in range(count):
                trainer.step()
            trainer.save()
            run._lock.close()
        losses.append([row["loss"] for row in run.steps_so_far()])
        weights.append(trainer.model.state_dict())
    assert len(losses[0]) == 6
    assert losses[0] == losses[1]
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


@pytest.mark.parametrize("tuning", ["none", "kernels", "all"])
def test_tuning_reaches_the_compiler(monkeypatch: pytest.MonkeyPatch, tuning: str) -> None:
    from codelab.train.pretrain_model import RowLoss, compile_loss, make_model

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(RowLoss, "compile", lambda self, **more: asked.append(more))
    values = {
        "kind": "pretrain", "title": "t", "hardware": {"minutes": 1}, "tokens": "t", "tokenizer": "t", "output": "o",
        "schedule": {"total": 1}, "tuning": tuning,
    }  # fmt: skip
    loss = RowLoss(make_model(SHAPE, 300, 0))
    compile_loss(loss, PretrainRecipe.model_validate(values))
    compile_loss(loss, PretrainRecipe.model_validate(values | {"compiled": False}))
    expected = {
        "none": {}, "kernels": {"options": {"coordinate_descent_tuning": True}},
        "all": {"mode": "max-autotune-no-cudagraphs"},
    }  # fmt: skip
    assert asked == [expected[tuning]]
