"""The authors' pickled vocabularies, read without running anything that a pickle asks for."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError
from selfalign.files.nested_values import require_modest_values
from selfalign.files.pickled_opcodes import require_modest_pickle
from selfalign.files.regular_files import read_regular

_ALLOWED = frozenset({("__main__", "Vocabulary"), ("vocab", "Vocabulary")})
_MODULES_OF_OBJECT = frozenset({("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")})
_LARGEST_FILE = 8 * 2**20


class _Words:
    """Stands in for the authors' class; only its attributes matter."""


def _plain_object(cls: type, base: type, state: object) -> object:
    """What a protocol-0 or -1 pickle of an object asks for, for the one class that is allowed."""
    if cls is not _Words or base is not object or state is not None:
        raise pickle.UnpicklingError("an object that is not a Vocabulary")
    return _Words()


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _Words
        if (module, name) in _MODULES_OF_OBJECT:
            return _plain_object
        if (module, name) in {("__builtin__", "object"), ("builtins", "object")}:
            return object
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_original_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a pickle of the VSE family; ids are kept as they are.

    Raises:
        UserError: if the file is missing, damaged, no vocabulary, or asks for anything else to be imported.
    """
    try:
        content = read_regular(path, "vocabulary", _LARGEST_FILE)
        require_modest_pickle(content)
        record = _RestrictedUnpickler(io.BytesIO(content), encoding="utf-8").load()
        require_modest_values(vars(record) if isinstance(record, _Words) else None)
    except UserError:
        raise
    except Exception as error:  # a hostile pickle can raise anything
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"vocabulary {path}: refused: {reason}; nothing of it was run") from error
    ids = getattr(record, "word2idx", None)
    if not isinstance(record, _Words) or not isinstance(ids, dict):
        raise UserError(f"vocabulary {path}: no pickled Vocabulary with a word2idx table")
    if not all(isinstance(word, str) and type(index) is int for word, index in ids.items()):
        raise UserError(f"vocabulary {path}: word2idx must map words to whole numbers")
    return Vocabulary(ids, "nltk_punkt")
