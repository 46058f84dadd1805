"""Which attention kernels are allowed where lengths change, and that the choice ends with the block."""

import pytest

pytest.importorskip("torch")

import torch

from codelab.models.attention import any_length
from codelab.models.generation import Prompt, Sampling
from codelab.models.transformers_generation import TransformersGenerator

from .tiny import model, tokenizer


def allowed() -> tuple[bool, bool, bool]:
    cuda = torch.backends.cuda
    return cuda.cudnn_sdp_enabled(), cuda.flash_sdp_enabled(), cuda.math_sdp_enabled()


def test_cudnn_is_left_out_inside_alone():
    before = allowed()
    assert before[0]
    with any_length():
        assert allowed() == (False, True, True)
    assert allowed() == before


def test_an_error_gives_the_choice_back():
    with pytest.raises(RuntimeError), any_length():
        raise RuntimeError
    assert allowed()[0]


@pytest.mark.parametrize("cudnn", [False, True])
def test_generation_asks_for_it(cudnn):
    network, seen = model(), []
    network.register_forward_pre_hook(lambda *_: seen.append(allowed()[0]))
    generator = TransformersGenerator(network, tokenizer(), cudnn_attention=cudnn)
    generator.generate([Prompt("one", "def f(")], 1, Sampling(3), 0)
    assert seen
    assert set(seen) == {cudnn}
