"""The writable folder: kept while nobody writes, and made anew before the next child sees what one has left."""

import os

import pytest

from codelab.sandbox import Pool, Sample
from codelab.tasks.mbpp import Task

# A verdict shows no values, but it quotes an exception.
LOOK = """
import os
def f(_):
    here, room = os.stat("."), os.statvfs(".")
    found = [here.st_dev, here.st_ctime_ns, here.st_mode & 0o7777, len(os.listdir(".")), room.f_bfree, room.f_ffree]
    raise RuntimeError(" ".join(map(str, [os.getcwd(), *found])))
"""
TRACES = {
    "a file": "open('left', 'w').write('x')",
    "a file in a folder": "os.makedirs('a/b'); open('a/b/left', 'w').write('x')",
    "a file that is gone": "open('left', 'w').write('x'); os.remove('left')",
    "a full disk": "open('left', 'wb').write(b'x' * (1 << 19))",
    "a link": "os.symlink('/', 'left')",
    "a file without a name": "kept.append(open('left', 'w')); os.remove('left'); kept[0].write('x'); kept[0].flush()",
    "other times": "os.utime('.', None)",
    "a closed folder": "os.chmod('.', 0)",
    "an owner": "os.chown('.', os.getuid(), -1)",
    "an attribute": "os.setxattr('.', 'user.left', b'x')",
}
UNSEEN = {"a closed folder", "an owner", "an attribute"}  # refused: the folder belongs to another user
IDLE = "def f(_):\n    return 1\n"


def look(pool: Pool, task: Task, index: int) -> tuple[str, tuple[int, int], list[int]]:
    """Path, the file system's number and its birth, and what the next program sees in the folder."""
    (seen,) = pool.judge([Sample(task, index, LOOK)])
    assert seen.detail.startswith("RuntimeError: "), seen
    place, device, born, *rest = seen.detail.removeprefix("RuntimeError: ").split()
    return place, (int(device), int(born)), [int(number) for number in rest]


@pytest.fixture(scope="module")
def pool():
    with Pool(1) as opened:
        if opened.report.refused or os.geteuid():
            pytest.skip("each child has a folder of its own here")
        yield opened


@pytest.mark.parametrize("name", TRACES)
def test_no_trace_reaches_the_next_program(pool, square, name):
    one = Task(task_id=1, text=square.text, code=square.code, tests=("assert f(1) == 1",))
    (quiet,) = pool.judge([Sample(one, 0, IDLE)])
    assert quiet.passed
    before = look(pool, one, 1)
    attempt = f"    try:\n        {TRACES[name]}\n    except OSError:\n        pass\n"
    writer = f"import os\nkept = []\ndef f(_):\n{attempt}    return 1\n"
    (wrote,) = pool.judge([Sample(one, 2, writer)])
    assert wrote.passed, wrote
    after = look(pool, one, 3)
    assert after[0] == before[0] == "/tmp"
    assert after[2] == before[2]
    assert after[2][:2] == [0o1777, 0]
    assert (after[1] == before[1]) == (name in UNSEEN)


def test_the_folder_is_kept_while_nobody_writes(pool, square):
    one = Task(task_id=1, text=square.text, code=square.code, tests=("assert f(1) == 1",))
    seen = [look(pool, one, index) for index in range(4)]
    assert seen == seen[:1] * 4
