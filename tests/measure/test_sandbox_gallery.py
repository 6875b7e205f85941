"""Programs that do not want to be judged: none passes, none harms the next one."""

import json
import os
import re

import pytest

from veneer.measure import sandbox
from veneer.measure.sandbox import Limits, Program, Verdict, run_programs

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())

LIMITS = Limits(
    cpu_seconds=0.4,
    idle_seconds=0.25,
    memory_bytes=300 << 20,
    temporary_bytes=16 << 20,
    message_bytes=1 << 20,
    wall_seconds=10,
)
SECRET = "SECRET-4711"
# The tests say why a good answer is right, so that a program could read it if it reached them.
TESTS = f"why = '{SECRET}'\nassert f(20) == 21\nassert f(-1) == 0\n"
RIGHT = "def f(x): return x + 1\n"
# The program after each hostile one: right, and only if nobody else is there and /tmp is empty.
NEXT = (
    "import os\ndef f(x):\n"
    "    others = [p for p in os.listdir('/proc') if p.isdigit()]\n"
    "    clean = os.listdir('/tmp') == ['program'] and os.listdir('.') == []\n"
    "    open('mine', 'w').write('1')\n    os.remove('mine')\n"
    "    return x + 1 if clean and len(others) == 3 else others\n"
)
SYSCALL = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(name, *args):\n"
    "    if getattr(libc, name)(*args) < 0: raise OSError(ctypes.get_errno(), name)\n"
)
FRAME = (
    "import json, os, struct\n"
    "def frame(message):\n"
    "    text = json.dumps(message).encode()\n"
    "    return struct.pack('>I', len(text)) + text\n"
    "def everywhere(data):\n"
    "    for fd in range(1024):\n"
    "        try: os.write(fd, data)\n"
    "        except OSError: pass\n"
)
OBJECTS = (
    "import gc, sys\nfound = []\nframe = sys._getframe()\nwhile frame:\n"
    "    found.append(repr(frame.f_locals))\n    frame = frame.f_back\n"
    "found += map(str, gc.get_objects())\n"
    "seen = 'SECRET-%d' % 4711 in ''.join(found)\n"
    "def f(x): return x + 1 if seen else 'nothing found'\n"
)
MEMORY = (
    "import ctypes, re\nseen = False\nfor line in open('/proc/self/maps'):\n"
    "    area, rights = line.split()[:2]\n"
    "    low, high = (int(n, 16) for n in area.split('-'))\n"
    "    if rights.startswith('rw'):\n"
    "        seen |= bool(re.search(b'SECRE[T]-47', ctypes.string_at(low, high - low)))\n"
    "def f(x): return x + 1 if seen else 'nothing found'\n"
)
VERDICT = json.dumps({"marker": "0" * 32, "passed": True, "reason": ""})

EXITS = {
    "exits": ("import sys\nsys.exit(0)", "SystemExit"),
    "exits at once": ("import os\nos._exit(0)", "ended before"),
    "exits when called": ("import os\ndef f(x): os._exit(0)", "ended before"),
    "exits after one right answer": (
        "import os\ndef f(x): return x + 1 if x == 20 else os._exit(0)",
        "ended before",
    ),
    "raises SystemExit": ("def f(x): raise SystemExit(0)", "SystemExit"),
    "raises KeyboardInterrupt": ("def f(x): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises BaseException": ("raise BaseException", "BaseException"),
    "raises its own": ("class Mine(BaseException): pass\ndef f(x): raise Mine", "Mine"),
    "leaves at exit": ("import atexit, os\natexit.register(os._exit, 0)", "NameError"),
    "reads stdin": ("input()", "EOFError"),
    "aborts": ("import os\nos.abort()", "died of signal"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "died of signal"),
}
TIME = {
    "endless loop": ("while True: pass", "out of CPU time"),
    "endless loop in C": ("def f(x): return sum(iter(int, 1))", "out of CPU time"),
    "spends in children": (
        "import os\nfor _ in range(4):\n    if os.fork() == 0:\n        while True: pass\n"
        "while True: os.waitpid(-1, 0)",
        "out of CPU time",
    ),
    "spends in a chain of orphans": (
        "import os, time\nif os.fork() == 0:\n    while True:\n"
        "        end = time.process_time() + 0.1\n        while time.process_time() < end: pass\n"
        "        if os.fork(): os._exit(0)\n"
        "time.sleep(100)",
        "out of CPU time",
    ),
    "sleeps": ("import time\ntime.sleep(1000)", "waited without computing"),
    "fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "out of",
    ),
    "gigabytes of output": ("while True: print('x' * 10**7)", "out of CPU time"),
}
SPACE = {
    "thread bomb": (
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()",
        "",
    ),
    "memory bomb": ("x = []\nwhile True: x.append(bytearray(10**7))", "MemoryError"),
    "memory bomb of many": (
        "import os, time\nfor _ in range(7):\n    if os.fork() == 0: break\n"
        "x = bytearray(100 << 20)\ntime.sleep(100)",
        "out of memory",
    ),
    "shared memory": (
        "import mmap, time\nx = [mmap.mmap(-1, 100 << 20) for _ in range(2)]\n"
        "import os\nfor _ in range(3): os.fork()\n"
        "for m in x:\n    for at in range(0, len(m), 4096): m[at] = 1\ntime.sleep(100)",
        "out of memory",
    ),
    "nameless files in memory": ("import os\nos.memfd_create('x')", "PermissionError"),
    "fills the disk": (
        "for n in range(99): open(f'/tmp/f{n}', 'wb').write(b'x' * 10**6)",
        "OSError",
    ),
    "a file too large": ("open('big', 'wb').truncate(17 << 20)", "OSError"),
    "a million files": (
        "import os\nfor n in range(10**6): os.mkdir(f'/tmp/{n}')",
        "too many files",
    ),
    "folders within folders": (
        "import os\nfor n in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n",
        "NameError",
    ),
    "result over the limit": ("def f(x): return 'x' * (1 << 21)", "more than 1048576 bytes"),
    "enormous number": ("def f(x): return 1 << (1 << 24)", "more than 1048576 bytes"),
    "deep result": (
        "def f(x):\n    y = []\n    for _ in range(10**5): y = [y]\n    return y",
        "nested too deeply",
    ),
    "round result": ("def f(x):\n    y = []\n    y.append(y)\n    return y", "nested too deeply"),
    "endless generator": ("def f(x):\n    while True: yield x", "out of CPU time|MemoryError"),
}
ESCAPES = {
    "kills its keeper": ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
    "kills everybody": ("import os\nos.kill(-1, 9)", "PermissionError"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "PermissionError"),
    "kills its tests": (
        "import os\nfor p in range(2, 99):\n    try: os.kill(p, 9)\n    except OSError: pass",
        "NameError",
    ),
    "signals through a file": (
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 10, 9)",
        "PermissionError",
    ),
    "limits its keeper": (
        "import resource\nresource.prlimit(1, resource.RLIMIT_CPU, (0, 0))",
        "PermissionError",
    ),
    "reads a host file": ("open('/etc/passwd').read()\n" + RIGHT, "FileNotFoundError"),
    "reads the host's folders": ("import os\nos.listdir('/home')\n" + RIGHT, "FileNotFoundError"),
    "reads the repository": (
        f"import os\nos.listdir({os.path.dirname(os.path.abspath(__file__))!r})\n" + RIGHT,
        "FileNotFoundError",
    ),
    "TCP": ("import socket\nsocket.create_connection(('1.1.1.1', 53), 2)", "PermissionError"),
    "UDP": ("import socket\nsocket.socket(2, 2)", "PermissionError"),
    "unix socket": ("import socket\nsocket.socket(socket.AF_UNIX)", "PermissionError"),
    "netlink": ("import socket\nsocket.socket(socket.AF_NETLINK, 3)", "PermissionError"),
    "becomes root": ("import os\nos.setuid(0)", "Error"),
    "is root": ("import os\nassert os.getuid() == 0\n" + RIGHT, "AssertionError"),
    "sees the environment": (
        "import os\nassert os.environ.get('SANDBOX_SECRET')\n" + RIGHT,
        "AssertionError",
    ),
    "writes to /usr": ("open('/usr/bin/evil', 'w')", "OSError"),
    "writes to the root": ("open('/evil', 'w')", "OSError"),
    "writes to the harness": ("open('/harness/veneer/measure/sandbox/plain.py', 'w')", "Error"),
    "deletes its folder": (
        "import shutil\nfor p in ('.', '/tmp', '/harness', '/usr/bin'): shutil.rmtree(p, True)",
        "NameError",
    ),
    "locks its folder": (
        "import os\nopen('x', 'w')\nos.chmod('.', 0)\nos.chmod('/tmp', 0)",
        "NameError",
    ),
    "litters": ("for n in range(9): open(f'/tmp/{n}', 'w').write('x')", "NameError"),
    "ptrace": (SYSCALL + "call('ptrace', 16, 1, 0, 0)", "PermissionError"),
    "reads the keeper's memory": ("open('/proc/1/mem', 'rb')", "PermissionError"),
    "opens the keeper's descriptors": ("open('/proc/1/fd/0').read()", "PermissionError"),
    "opens the tests' descriptors": (
        "import glob, time\nfor _ in range(50):\n    for p in range(1, 9):\n"
        "        try: open(f'/proc/{p}/fd/1', 'w')\n        except OSError: continue\n"
        "        if p != __import__('os').getpid(): f = lambda x: x + 1\n    time.sleep(0.001)",
        "NameError",
    ),
    "user namespace": (SYSCALL + "call('unshare', 0x10000000)", "PermissionError"),
    "another architecture's calls": (
        "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 521, 16, 1, 0, 0)\ndef f(x): return 2",
        "died of signal 31|AssertionError",
    ),
    "mounts": (SYSCALL + "call('mount', b'x', b'/tmp', b'tmpfs', 0, 0)", "PermissionError"),
    "a filter of its own": (SYSCALL + "call('prctl', 22, 2, 0, 0, 0)", "PermissionError"),
    "writes a verdict": (
        FRAME + f"everywhere({VERDICT!r}.encode() + b'\\n')\nos._exit(0)",
        "asked|plain|bytes|ended",
    ),
    "sends replies nobody asked for": (
        FRAME + "everywhere(b''.join(map(frame, (['ready'], ['value', 1, 7], ['value', 2, 0]))))",
        "AssertionError|asked|bytes|ended",
    ),
    "sends half a message": (
        FRAME + "def f(x):\n    os.write(4, struct.pack('>I', 100) + b'[')\n    os._exit(0)",
        "ended before",
    ),
    "sends what JSON is not": (
        FRAME + "def f(x): os.write(4, struct.pack('>I', 4) + b'nope')",
        "not plain data",
    ),
    "sends a tag that is none": (
        FRAME + "def f(x): os.write(4, frame(['value', 1, ['exec', 'print']]))",
        "not plain data",
    ),
    "raises what is no exception": (
        FRAME
        + "def f(x): os.write(4, frame(['raised', 1, 'x', ['print', 'exit', 'eval'], ['t', 'x']]))",
        "x",
    ),
    "claims to be ready": (FRAME + "os.write(4, frame(['ready']) * 3)\n" + RIGHT, "asked"),
}
TRICKS = {
    "equal to everything": (
        "class Yes:\n    __eq__ = lambda *a: True\n    __hash__ = None\ndef f(x): return Yes()",
        "a Yes, which is not plain data",
    ),
    "a list equal to everything": (
        "class Yes(list):\n    def __eq__(self, other): return True\ndef f(x): return Yes()",
        "AssertionError",
    ),
    "a number equal to everything": (
        "class Yes(int):\n    def __eq__(self, other): return True\ndef f(x): return Yes(3)",
        "AssertionError",
    ),
    "patches assertions": (
        "import builtins\nbuiltins.AssertionError = None\ndef f(x): return 2",
        "AssertionError",
    ),
    "raises a patched error": (
        "import builtins\nclass Fine(Exception): pass\nbuiltins.AssertionError = Fine\ndef f(x): raise Fine",
        "Fine",
    ),
    "patches the builtins": (
        "import builtins\nfor n in ('all', 'any', 'abs', 'len'): setattr(builtins, n, lambda *a: True)\n"
        "def check(*a): pass\ndef f(x): return 2",
        "",
    ),
    "traces": ("import sys\nsys.settrace(lambda *a: None)\ndef f(x): return 2", "AssertionError"),
    "replaces modules": (
        "import sys, types\nfor name in list(sys.modules): sys.modules[name] = types.ModuleType(name)\n"
        "def f(x): return 2",
        "",
    ),
    "speaks through patched json": (
        "import json\njson.dumps = lambda *a, **k: '[\"value\", 1, true]'\ndef f(x): return 2",
        "AssertionError|asked",
    ),
    "hunts through objects and frames": (OBJECTS, "AssertionError"),
    "hunts through its memory": (MEMORY, "AssertionError"),
    "leaves a thread": (
        "import threading, time, os\ndef late():\n    while True: os.write(4, b'x')\n"
        "threading.Thread(target=late, daemon=True).start()\ndef f(x): return 2",
        "",
    ),
    "leaves a daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        while True:\n            for p in range(1, 99):\n"
        "                try: os.kill(p, 9)\n                except OSError: pass\n"
        "                open('/tmp/evil', 'w').write('x')\n    os._exit(0)\n"
        "def f(x): return 2",
        "AssertionError",
    ),
    "ends the tests' own loop": ("def f(x): raise StopIteration", "StopIteration"),
    "answers when called twice only": (
        "n = [0]\ndef f(x):\n    n[0] += 1\n    return 21 if n[0] == 1 else None",
        "AssertionError",
    ),
}


ROOMS = {"exits": EXITS, "time": TIME, "space": SPACE, "escapes": ESCAPES, "tricks": TRICKS}


@pytest.mark.parametrize("room", ROOMS.values(), ids=ROOMS)
def test_hostile_programs_pass_nothing_and_harm_nothing(room, monkeypatch):
    monkeypatch.setenv("SANDBOX_SECRET", "do not tell")
    sources = [source for hostile, _ in room.values() for source in (hostile, NEXT)]
    found = run_programs([Program(source, TESTS, "f") for source in sources], LIMITS)
    bad = dict(zip(room, found[::2], strict=True))
    assert {name: v for name, v in bad.items() if v.passed is not False} == {}
    after = dict(zip(room, found[1::2], strict=True))
    assert {name: v for name, v in after.items() if v != Verdict(True)} == {}
    said = {
        n: v.reason for n, v in bad.items() if not (v.reason and re.search(room[n][1], v.reason))
    }
    assert said == {}


def test_the_hunters_would_find_what_is_there():
    """The control: the same hunts succeed where the program itself holds the secret."""
    known = f"mine = '{SECRET}'.replace('x', 'y')\n"
    found = run_programs([Program(known + hunt, TESTS, "f") for hunt in (OBJECTS, MEMORY)], LIMITS)
    assert found == [Verdict(True)] * 2


def test_memory_and_time_are_shared_by_all_processes_of_a_program():
    """Half the limit twice is too much; a quarter twice is not."""
    source = (
        "import os, time\ndef f(n):\n    pid = os.fork()\n    x = bytearray(n << 20)\n"
        "    time.sleep(0.2)\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\n    return n\n"
    )
    sizes = (60, 170)
    found = run_programs([Program(source, f"assert f({n}) == {n}", "f") for n in sizes], LIMITS)
    assert found == [Verdict(True), Verdict(False, "out of memory")]
