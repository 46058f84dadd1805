"""Hostile programs against processes, time, memory and disk. The task is f(2) = 4, f(3) = 9, f(4) = 16.

Each would pass where the checker trusts an exit status or a flag, or would leave something behind. ``@OUTSIDE@`` is a
folder of the test.
"""

GOOD = "\ndef f(x):\n    return x * x\n"

PROCESSES: dict[str, str] = {
    "exit_at_import": "import sys\nsys.exit(0)",
    "os_exit_at_import": "import os\nos._exit(0)",
    "os_exit_in_call": "import os\ndef f(x):\n    os._exit(0)",
    "system_exit_in_call": "def f(x):\n    raise SystemExit(0)",
    "quit_by_name": "def f(x):\n    exit(0)",
    "kill_parent": "import os, signal\ndef f(x):\n    os.kill(os.getppid(), signal.SIGKILL)",
    "kill_group": "import os, signal\ndef f(x):\n    os.killpg(0, signal.SIGKILL)",
    "kill_everything": "import os, signal\ndef f(x):\n    os.kill(-1, signal.SIGKILL)",
    "kill_low_pids": """
import os
def f(x):
    for pid in range(1, 3000):
        try:
            os.kill(pid, 9)
        except OSError:
            pass
""",
    "stop_itself": "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSTOP)",
    "abort": "import os\ndef f(x):\n    os.abort()",
    "segfault": "import ctypes\ndef f(x):\n    ctypes.string_at(0)",
    "endless_loop_at_import": "while True:\n    pass",
    "endless_loop_in_call": "def f(x):\n    while True:\n        pass",
    "endless_loop_in_one_operation": "def f(x):\n    return sum(range(10 ** 15))",
    "endless_recursion": "def f(x):\n    return f(x)",
    "endless_recursion_unlimited": """
import sys
sys.setrecursionlimit(10 ** 9)
def g(x):
    return [g(x) for _ in range(1)]
def f(x):
    return sorted([1, 2], key=lambda y: f(x))
""",
    "swallowed_timeout": """
def f(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "ignored_signals": """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def f(x):
    while True:
        pass
""",
    "sleep": "import time\ndef f(x):\n    time.sleep(1000)",
    "wait_for_nothing": "import os\nread, write = os.pipe()\ndef f(x):\n    os.read(read, 1)",
    "read_standard_input": "def f(x):\n    return input()",
    "fork_bomb": "import os\nwhile True:\n    os.fork()",
    "fork_bomb_patient": """
import os
def f(x):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
    "thread_bomb": """
import threading, time
def f(x):
    while True:
        threading.Thread(target=time.sleep, args=(1000,)).start()
""",
    "thread_bomb_patient": """
import threading
def spin():
    while True:
        pass
def f(x):
    while True:
        try:
            threading.Thread(target=spin, daemon=True).start()
        except RuntimeError:
            pass
""",
    "leftover_subprocess": "import subprocess\nsubprocess.Popen(['sleep', '987'])\ndef f(x):\n    return 0",
    "leftover_shell": "import os\ndef f(x):\n    return os.system('sleep 987 &')",
    "leftover_daemon": """
import os, time
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(987)
        os._exit(0)
""",
    "leftover_multiprocessing": """
import multiprocessing, time
def f(x):
    multiprocessing.get_context('fork').Process(target=time.sleep, args=(987,)).start()
""",
    "leftover_clone": """
import ctypes, os, time
libc = ctypes.CDLL(None)
def f(x):
    for number in (56, 57, 58, 220):
        if libc.syscall(number, 17, 0, 0, 0, 0) == 0:
            time.sleep(987)
            os._exit(0)
    return -1
""",
    "exec_another": "import os\ndef f(x):\n    os.execv('/bin/true', ['true'])",
    "own_session": "import os\nos.setsid()\ndef f(x):\n    return x",
    "memory_flood": "def f(x):\n    return len(bytearray(1 << 34)) and x * x",
    "memory_flood_slow": "held = []\ndef f(x):\n    while True:\n        held.append(bytearray(1 << 24))",
    "memory_flood_at_import": "held = [0] * (1 << 32)" + GOOD,
    "memory_map_flood": "import mmap\ndef f(x):\n    return mmap.mmap(-1, 1 << 34) and x * x",
    "memory_flood_folded": "held = 'a' * (1 << 34)" + GOOD,
    "disk_flood": """
def f(x):
    with open('flood', 'wb') as handle:
        while True:
            handle.write(b'0' * (1 << 20))
""",
    "disk_flood_many_files": """
def f(x):
    number = 0
    while True:
        with open(f'flood-{number}', 'wb') as handle:
            handle.write(b'0' * (1 << 20))
        number += 1
""",
    "disk_flood_sparse": "import os\ndef f(x):\n    open('s', 'wb').truncate(1 << 44)\n    return x * x",
    "open_file_flood": "import os\nheld = [open(os.devnull) for _ in range(100000)]" + GOOD,
    "raised_limits": """
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
    resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    + GOOD,
    "output_flood": "def f(x):\n    while True:\n        print('passed' * 1000, flush=True)",
    "error_output_flood": "import sys\ndef f(x):\n    while True:\n        sys.stderr.write('passed' * 1000)",
    "compile_bomb_nesting": "x = " + "(" * 100_000 + ")" * 100_000 + GOOD,
    "compile_bomb_operators": "x = " + "-" * 200_000 + "1" + GOOD,
    "compile_bomb_power": "x = 9 ** 9 ** 9 ** 9" + GOOD,
}
"""Name → program."""
