"""How this process keeps memory."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1
_DEFAULTS = {_M_MMAP_MAX: 65536, _M_TRIM_THRESHOLD: 128 * 1024}


def keep_freed_memory(keep: bool = True) -> None:
    """Let freed memory stay with the process, to be used again, instead of going back to the system; or not.

    glibc gives blocks of 32 MiB and more back at once, and the system clears every page of the next one: a third of
    the time of a training step on the CPU, where each tensor is such a block. Without glibc nothing happens.

    Args:
        keep: ``False`` for glibc's own way.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in ({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER} if keep else _DEFAULTS).items():
            libc.mallopt(option, value)
