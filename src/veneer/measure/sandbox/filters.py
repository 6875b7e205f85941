"""System calls that nothing in the sandbox may make, as seccomp filters (through libseccomp).

Two filters: one for everything inside, which bubblewrap loads, and a tighter one for the program's
own process, which must not reach the processes beside it. Both let through what they do not name,
except calls younger than the list itself (Linux 6.x numbers): those do not exist in here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import lru_cache

INSTALL = (
    "Install libseccomp and its Python module "
    "(Debian, Ubuntu: apt-get install libseccomp2; pip install pyseccomp)."
)

EVERYWHERE = {
    "memory and descriptors of other processes, and the kernel's": (
        "ptrace process_vm_readv process_vm_writev kcmp userfaultfd perf_event_open bpf "
        "move_pages migrate_pages lookup_dcookie"
    ),
    "keys": "add_key request_key keyctl",
    "file systems and namespaces": (
        "mount umount umount2 pivot_root chroot unshare setns open_by_handle_at "
        "name_to_handle_at fanotify_init quotactl swapon swapoff acct nfsservctl sysfs"
    ),
    "the machine": (
        "kexec_load kexec_file_load reboot init_module finit_module delete_module create_module "
        "query_module get_kernel_syms syslog iopl ioperm modify_ldt vm86 vm86old uselib "
        "personality settimeofday stime clock_settime clock_settime64 clock_adjtime "
        "clock_adjtime64 adjtimex sethostname setdomainname vhangup _sysctl vserver"
    ),
}
PROGRAM = {
    "the network": "socket socketcall connect bind listen accept accept4",
    "signals to other processes": "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo",
    "settings of other processes": (
        "setpriority ioprio_set sched_setaffinity sched_setattr sched_setparam sched_setscheduler"
    ),
    "memory that no limit sees": "memfd_create shmget shmat semget msgget mq_open",
    "filters of its own": "seccomp",
}
# From 424 on, numbers are the same on every architecture that Python commonly runs on.
# Kept: pidfd_open, close_range, openat2, faccessat2, epoll_pwait2, futex_waitv.
YOUNG = [n for n in range(424, 512) if n not in (434, 436, 437, 439, 441, 449)]

CLONE_NEW = 0x7E020080  # any of the namespace flags: time, mount, cgroup, UTS, IPC, user, pid, net
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15  # a signal to somebody else when a file is ready
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902
PR_SET_SECCOMP = 22
AF_UNIX = 1
LOW = 0xFFFFFFFF  # the kernel reads 32 bits of these arguments


@lru_cache(maxsize=1)
def missing() -> str:
    """Why no filter can be made here; empty if one can."""
    try:
        everything_inside()
    except (ImportError, RuntimeError, OSError, AttributeError, TypeError) as error:
        return (
            f"Programs run only behind a seccomp filter, and none can be made ({error}). {INSTALL}"
        )
    return ""


@lru_cache(maxsize=1)
def everything_inside() -> bytes:
    """The filter for keeper, tests and program, as code for the kernel."""
    return _compiled(EVERYWHERE, for_program=False)


@lru_cache(maxsize=1)
def program_only() -> bytes:
    """The filter for the program's process and all it starts, on top of the other."""
    return _compiled(PROGRAM, for_program=True)


def _compiled(names: Mapping[str, str], for_program: bool) -> bytes:
    import pyseccomp as sc

    refuse, absent = sc.ERRNO(errno.EPERM), sc.ERRNO(errno.ENOSYS)
    rules = sc.SyscallFilter(sc.ALLOW)  # other architectures' calls: killed
    for name in " ".join(names.values()).split():
        rules.add_rule(refuse, name)
    for number in YOUNG:
        rules.add_rule(absent, number)

    def when(name: str, at: int, *values: int) -> None:
        for value in values:
            rules.add_rule(refuse, name, sc.Arg(at, sc.MASKED_EQ, LOW, value))

    if for_program:
        when("fcntl", 1, F_SETOWN, F_SETSIG, F_SETOWN_EX)
        when("ioctl", 1, FIOSETOWN, SIOCSPGRP)
        when("prctl", 0, PR_SET_SECCOMP)
        rules.add_rule(refuse, "prlimit64", sc.Arg(0, sc.NE, 0))  # of others
        rules.add_rule(refuse, "socketpair", sc.Arg(0, sc.NE, AF_UNIX))
    else:
        when("ioctl", 1, TIOCSTI, TIOCLINUX)
        for bit in range(32):
            if (flag := 1 << bit) & CLONE_NEW:
                flags = 1 if os.uname().machine.startswith("s390") else 0
                rules.add_rule(refuse, "clone", sc.Arg(flags, sc.MASKED_EQ, flag, flag))
    with os.fdopen(os.memfd_create("filter"), "w+b") as code:
        rules.export_bpf(code)
        code.seek(0)
        return code.read()
