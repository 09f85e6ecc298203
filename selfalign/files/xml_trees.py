"""XML of others: small, shallow, without document types, so that nothing in it can grow or be fetched."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

_LARGEST = 4 * 2**20
"""Bytes; an image with a hundred boxes takes thirty thousand."""
_DEEPEST = 32
_MOST_ELEMENTS = 100_000


def read_xml(path: Path, what: str) -> ElementTree.Element:
    """The root of an XML file.

    Entities can only be declared in a document type, and one is refused before anything in it is read: no entity is
    expanded, no address opened.

    Args:
        path: the file.
        what: what it is, for messages.

    Raises:
        UserError: if it is missing, no XML, has a document type, or is larger than such files are.
    """
    content = read_regular(path, what, _LARGEST)
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    open_elements = elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal open_elements, elements
        open_elements, elements = open_elements + 1, elements + 1
        if open_elements > _DEEPEST or elements > _MOST_ELEMENTS:
            raise ValueError("too many elements, or too deep in one another")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal open_elements
        open_elements -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type, which no such file needs")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise UserError(f"{what} {path}: no XML that is read here ({' '.join(str(error).split())[:160]})") from error
