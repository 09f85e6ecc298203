"""Foreign bytes are read without trust, own files are written whole and have one owner at a time.

``torch_files`` and ``plain_values`` read the formats; they are imported by name, for torch takes seconds.
"""

from selfalign.files.locks import lock
from selfalign.files.regular_files import open_regular, read_regular
from selfalign.files.whole_files import whole_file, write_whole

__all__ = [
    "lock",
    "open_regular",
    "read_regular",
    "whole_file",
    "write_whole",
]
