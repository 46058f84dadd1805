"""Which kernels attention may run on where lengths keep changing.

PyTorch may give scaled dot-product attention to cuDNN, which makes a plan for every shape that it has not met: some
tens of milliseconds on an H200, for each token of a batch that generates and each width of a batch that trains. Not
covered: programs of one fixed shape, where a plan is made once and cuDNN may be the fastest.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

_ANY_LENGTH = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)


@contextmanager
def any_length(*, cudnn: bool = False) -> Iterator[None]:
    """Attention on kernels that take any length as it comes.

    Args:
        cudnn: leave PyTorch's own choice, cuDNN included.
    """
    if cudnn:
        yield
        return
    with sdpa_kernel(list(_ANY_LENGTH)):
        yield
