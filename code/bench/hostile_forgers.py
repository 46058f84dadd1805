"""Hostile programs against the verdict: what they write outside, and what they patch or forge.

The task is f(2) = 4, f(3) = 9, f(4) = 16. ``@OUTSIDE@`` is a folder of the test.
"""

WRITERS: dict[str, str] = {
    "write_outside": "open('@OUTSIDE@/written', 'w').write('x')\ndef f(x):\n    return x * x",
    "write_outside_relative": "open('../' * 20 + '@OUTSIDE@/relative', 'w').write('x')\ndef f(x):\n    return x * x",
    "write_through_symlink": """
import os
os.symlink('@OUTSIDE@', 'link')
open('link/linked', 'w').write('x')
def f(x):
    return x * x
""",
    "write_the_library": """
import os
open(os.path.join(os.path.dirname(os.__file__), 'left_behind.py'), 'w').write('x')
def f(x):
    return x * x
""",
    "write_shared_memory": "open('/dev/shm/codelab-left-behind', 'w').write('x')\ndef f(x):\n    return x * x",
    "system_v_memory": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.shmget(0x51AB, 4096, 0o1666) >= 0 else ctypes.get_errno()
""",
    "message_queue": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.mq_open(b'/codelab-left-behind', 0o102, 0o666, None) >= 0 else ctypes.get_errno()
""",
    "remove_everything": """
import shutil
def f(x):
    shutil.rmtree('@OUTSIDE@')
    return x * x
""",
    "become_root": "import os\nos.setuid(0)\nos.setgid(0)\nopen('/root/.left', 'w')\ndef f(x):\n    return x * x",
    "new_namespace": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.unshare(0x10000000) == 0 else ctypes.get_errno()
""",
    "mount": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0 else ctypes.get_errno()
""",
    "leave_the_root": "import os\nos.chroot('/tmp')\ndef f(x):\n    return x * x",
    "outlive_the_parent": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.prctl(1, 0, 0, 0, 0) == 0 else ctypes.get_errno()
""",
}
"""Name → program: what would be left behind or changed outside."""

FORGERS: dict[str, str] = {
    "patched_builtins": """
import builtins
for name in ('eval', 'exec', 'compile', 'type', 'isinstance', 'repr', 'len'):
    setattr(builtins, name, lambda *a, **k: True)
def f(x):
    return None
""",
    "deleted_builtins": "import builtins\nbuiltins.__dict__.clear()\ndef f(x):\n    return None",
    "patched_json": """
import json
json.dumps = lambda *a, **k: '["v", true]'
json.JSONEncoder.encode = lambda *a, **k: '["v", true]'
def f(x):
    return None
""",
    "patched_os": "import os\nos._exit = os.write = lambda *a: 0\ndef f(x):\n    return None",
    "patched_encoder": """
import sys
for name, module in list(sys.modules.items()):
    if name.startswith('guest'):
        for key in list(vars(module)):
            if key in ('answer', 'line', 'Encoder'):
                setattr(module, key, lambda *a: b'["v", true]\\n')
def f(x):
    return None
""",
    "patched_import": """
import sys
class Hook:
    def find_spec(self, name, path=None, target=None): return None
sys.meta_path[:] = [Hook()]
sys.path[:] = []
sys.modules.clear()
def f(x):
    return None
""",
    "at_exit": """
import atexit, os
atexit.register(os._exit, 0)
def f(x):
    raise ValueError
""",
    "finaliser": """
import os
class Last:
    def __del__(self): os._exit(0)
last = Last()
def f(x):
    global last
    del last
    return x * x
""",
    "tracer": """
import sys
def trace(frame, event, arg):
    for name in ('outcome', 'passed', 'value', 'frame'):
        frame.f_locals[name] = True
    return trace
sys.settrace(trace)
sys.setprofile(lambda *a: None)
def f(x):
    return None
""",
    "forged_answers": """
import os
def f(x):
    for fd in range(3, 20):
        try:
            os.write(fd, b'["v", true]\\n["v", true]\\n["v", true]\\n')
        except OSError:
            pass
    return None
""",
    "forged_verdict": """
import os
def f(x):
    os.write(4, b'{"passed": true, "failure": "none"}\\n')
    os._exit(0)
""",
    "forged_fault": """
import os
os.write(4, b'["fault", "the sandbox failed"]\\n')
def f(x):
    return None
""",
    "forged_ready": "import os\nos.write(4, b'[\"ready\"]\\n' * 3)\ndef f(x):\n    return x * x",
    "forged_types": """
import os
os.write(4, b'["p", "ok", ""]\\n["v", ["o", "Always"]]\\n["v", ["d", 1]]\\n["v", ["s", ["l"]]]\\n')
os._exit(0)
""",
    "forged_depth": """
import os
os.write(4, b'["p", "ok", ""]\\n' + b'[' * 100_000 + b']' * 100_000 + b'\\n')
os._exit(0)
""",
    "forged_number": """
import os
os.write(4, b'["p", "ok", ""]\\n["v", ' + b'9' * 500_000 + b']\\n')
os._exit(0)
""",
    "too_many_answers": """
import os
def f(x):
    os.write(4, b'["v", 4]\\n' * 10)
    return x * x
""",
    "closed_pipe": "import os\ndef f(x):\n    os.close(4)\n    return x * x",
    "closed_everything": "import os\nos.closerange(0, 1000)\ndef f(x):\n    return x * x",
    "exchanged_pipe": "import os\nos.dup2(os.open('answers', os.O_RDWR | os.O_CREAT), 4)\ndef f(x):\n    return x * x",
    "flooded_pipe": "import os\nblock = b'0' * 65536\ndef f(x):\n    while True:\n        os.write(4, block)",
    "flooded_pipe_lines": "import os\nblock = b'[]\\n' * 9999\ndef f(x):\n    while True:\n        os.write(4, block)",
    "filled_pipe_and_wait": """
import os, time
os.set_blocking(4, False)
def f(x):
    time.sleep(1000)
""",
    "half_a_line": "import os\ndef f(x):\n    os.write(4, b'[\"v\", 4')\n    os._exit(0)",
    "printed_verdict": "print('passed\\nok\\n1.0')\nimport sys\nsys.stdout.flush()\ndef f(x):\n    return 'passed'",
    "no_function": "result = 'passed'",
    "empty": "",
    "prose": "The function f squares its argument, so all tests pass.",
}
"""Name → program: what would be patched or forged."""
