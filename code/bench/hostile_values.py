"""Hostile programs against the verdict: what they return and what they read.

The task is f(2) = 4, f(3) = 9, f(4) = 16. ``@SECRET@`` is a file that holds the expected values, ``@OUTSIDE@`` a folder
of the test, ``@PORT@`` a listening port, ``@ABSTRACT@`` an abstract socket that serves the expected values.
"""

ALWAYS = """
class Always{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    __hash__ = None
"""
_READ = """
import re
def f(x):
    try:
        text = open({path!r}, errors='replace').read()
        return int(re.search(rf'f\\({{x}}\\) == (\\d+)', text).group(1))
    except OSError as error:
        return repr(error)
"""

VALUES: dict[str, str] = {
    "always_equal": ALWAYS.format(base="") + "def f(x):\n    return Always()",
    "always_equal_int": ALWAYS.format(base="(int)") + "def f(x):\n    return Always(7)",
    "always_equal_str": ALWAYS.format(base="(str)") + "def f(x):\n    return Always('7')",
    "always_equal_list": ALWAYS.format(base="(list)") + "def f(x):\n    return Always([7])",
    "always_equal_dict": ALWAYS.format(base="(dict)") + "def f(x):\n    return Always(a=7)",
    "always_equal_float": ALWAYS.format(base="(float)") + "def f(x):\n    return Always(7.5)",
    "always_equal_nested": ALWAYS.format(base="") + "def f(x):\n    return [Always()]",
    "always_equal_any": "from unittest.mock import ANY\ndef f(x):\n    return ANY",
    "false_class": """
class Lie:
    __class__ = property(lambda self: int)
    def __eq__(self, other): return True
    def __index__(self): return 4
def f(x):
    return Lie()
""",
    "false_type": """
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(int)
    def __instancecheck__(cls, other): return True
class Lie(int, metaclass=Meta):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x):
    return Lie(7)
""",
    "false_counter": """
import collections
class Counter(collections.Counter):
    def __eq__(self, other): return True
def f(x):
    return Counter('a')
""",
    "reduce": """
import os
class Bomb:
    def __reduce__(self):
        return os.system, ('touch @OUTSIDE@/reduced',)
    def __eq__(self, other): return True
def f(x):
    return Bomb()
""",
    "key_with_eq": """
class Key:
    def __hash__(self): return 1
    def __eq__(self, other): return True
def f(x):
    return {Key(): 4}
""",
    "wrong_by_a_little": "def f(x):\n    return x * x + 1e-9",
    "text_for_number": "def f(x):\n    return str(x * x)",
    "unicode_digits": "def f(x):\n    return '\uff14'",
    "right_once": "calls = []\ndef f(x):\n    calls.append(x)\n    return x * x if len(calls) < 2 else None",
    "half_characters": "def f(x):\n    return '\\ud800' * x",
    "half_character_in_program": "def f(x):\n    return '\ud800'",
    "null_byte": "def f(x):\n    return x * x\n\0",
    "not_a_number": "def f(x):\n    return float('nan')",
    "huge_integer": "def f(x):\n    return 1 << 40_000_000",
    "huge_integer_negative": "def f(x):\n    return -(1 << 3_000_000)",
    "huge_text": "def f(x):\n    return 'a' * 100_000_000",
    "huge_list": "def f(x):\n    return [0] * 10_000_000",
    "cyclic_list": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "cyclic_dict": "def f(x):\n    a = {}\n    a[0] = a\n    return a",
    "deep_list": "def f(x):\n    a = []\n    for _ in range(100_000):\n        a = [a]\n    return a",
    "wide_graph": "def f(x):\n    a = [1]\n    for _ in range(60):\n        a = [a, a]\n    return a",
    "endless_generator": "import itertools\ndef f(x):\n    return (i for i in itertools.count())",
    "endless_map": "import itertools\ndef f(x):\n    return map(abs, itertools.count())",
    "same_hashes": "def f(x):\n    return {i * (2 ** 61 - 1) for i in range(3000)}",
    "same_hashes_dict": "def f(x):\n    return dict.fromkeys((i * (2 ** 61 - 1) for i in range(3000)), 1)",
    "exception_with_bad_text": """
class Bad(Exception):
    def __str__(self): raise KeyboardInterrupt
def f(x):
    raise Bad
""",
    "exception_with_endless_text": """
class Bad(Exception):
    def __str__(self):
        while True: pass
def f(x):
    raise Bad
""",
    "exception_from_above": "class Bad(BaseException): pass\ndef f(x):\n    raise Bad('passed')",
    "exception_false_class": """
class Meta(type):
    __name__ = property(lambda cls: 1 / 0)
class Bad(Exception, metaclass=Meta):
    __class__ = property(lambda self: 1 / 0)
def f(x):
    raise Bad
""",
    "generator_exit": "def f(x):\n    raise GeneratorExit",
    "keyboard_interrupt": "raise KeyboardInterrupt",
}
"""Name → program: what comes back."""

READERS: dict[str, str] = {
    "read_expected_values": _READ.format(path="@SECRET@"),
    "read_through_symlink": "import os\nos.symlink('@SECRET@', 'link')" + _READ.format(path="link"),
    "read_through_proc_root": _READ.format(path="/proc/1/root@SECRET@"),
    "read_parent_memory": """
import os
def f(x):
    with open(f'/proc/{os.getppid()}/mem', 'rb') as handle:
        handle.seek(1 << 22)
        return handle.read(1)
""",
    "read_parent_command": _READ.format(path="/proc/1/cmdline"),
    "read_password_file": "def f(x):\n    return len(open('/etc/passwd').read()) > 0 and x * x",
    "read_environment": "import os\ndef f(x):\n    return int(os.environ['CODELAB_TEST_EXPECTED'].split(',')[x - 2])",
    "read_environment_of_process": """
import re
def f(x):
    for pid in ('self', '1', '2'):
        text = open(f'/proc/{pid}/environ').read()
        if 'EXPECTED' in text:
            return int(re.search(r'EXPECTED=([\\d,]+)', text).group(1).split(',')[x - 2])
""",
    "search_the_disk": """
import os, re
def f(x):
    for folder, _, names in os.walk('/'):
        for name in names:
            if name.startswith('expected-values'):
                text = open(os.path.join(folder, name)).read()
                return int(re.search(rf'f\\({x}\\) == (\\d+)', text).group(1))
""",
    "walk_the_stack": """
import re, sys
def f(x):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if found := re.search(rf'f\\({x}\\)\\s*(?:==|, )\\s*(\\d+)', repr(value)):
                return int(found.group(1))
        frame = frame.f_back
""",
    "search_the_heap": """
import gc
def f(x):
    for held in gc.get_objects():
        try:
            text = repr(held)
        except Exception:
            continue
        if 'assert' + ' f(' in text and 'search' not in text:
            return x * x
""",
    "search_the_memory": """
import ctypes
def f(x):
    needle = (b'assert ' + b'f(') + str(x).encode()
    start = id(needle) & ~0xFFFFF
    block = ctypes.string_at(start, 1 << 20)
    return x * x if needle + b') ==' in block else None
""",
    "trace_parent": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    return x * x if libc.ptrace(16, os.getppid(), 0, 0) == 0 else ctypes.get_errno()
""",
    "read_parent_by_call": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    buffer = ctypes.create_string_buffer(8)
    class Vector(ctypes.Structure):
        _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
    here = Vector(ctypes.addressof(buffer), 8)
    there = Vector(id(f), 8)
    got = libc.process_vm_readv(os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return x * x if got > 0 else ctypes.get_errno()
""",
    "import_the_judge": "from codelab.tasks import mbpp\ndef f(x):\n    return x * x",
    "ask_a_port": """
import socket
def f(x):
    with socket.create_connection(('127.0.0.1', @PORT@), timeout=1) as s:
        return eval(s.recv(100))[x - 2]
""",
    "ask_an_abstract_socket": """
import socket
def f(x):
    s = socket.socket(socket.AF_UNIX)
    s.connect('\\0@ABSTRACT@')
    return eval(s.recv(100))[x - 2]
""",
    "ask_by_datagram_pair": """
import socket
def f(x):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b'4', '\\0@ABSTRACT@')
    return x * x
""",
    "ask_a_name_server": "import socket\ndef f(x):\n    return socket.gethostbyname('example.org') and x * x",
    "listen": """
import socket
s = socket.socket()
s.bind(('0.0.0.0', 48651))
s.listen()
"""
    + "def f(x):\n    return x * x",
    "listen_abstract": """
import socket
s = socket.socket(socket.AF_UNIX)
s.bind('\\0codelab-left-behind')
s.listen()
def f(x):
    return x * x
""",
}
"""Name → program: where an expected value might be read."""
