"""Reading of untrusted XML: no entities, no document types, nothing from elsewhere, one element at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.limits import Limit, check_file

# What lxml is not to do: read other files, expand entities, build trees beyond its own limits.
STRICT = {"resolve_entities": False, "load_dtd": False, "no_network": True, "huge_tree": False}


def stream_xml(path: Path, tag: str, limit: Limit, what: str) -> Iterator[Any]:
    """Iterate over the elements of a name, each whole; it is emptied before the next one is read.

    limit: bytes of the file. what: its name for messages. Raises SynthError if the file is not a regular file, is no
    XML as far as it is read, declares a document type, or is too large.
    """
    from lxml import etree

    check_file(path, limit, what)
    with path.open("rb") as file:
        try:
            for _, element in etree.iterparse(file, events=("end",), tag=tag, **STRICT):
                if element.getroottree().docinfo.doctype:
                    raise ValueError("it declares a document type")
                yield element
                element.clear()
                while (parent := element.getparent()) is not None and element.getprevious() is not None:
                    del parent[0]
        except (etree.XMLSyntaxError, ValueError) as error:
            found = " ".join(str(error).split())[:300]
            raise SynthError(
                f"{what} cannot be read as XML", code="content-invalid", where=str(path), found=found
            ) from error


def read_xml(path: Path, tag: str, limit: Limit, what: str) -> Any:
    """Return the root element of a file, which must have this name; otherwise as `stream_xml`."""
    for element in stream_xml(path, tag, limit, what):
        if element.getparent() is None:
            return element
    expected = f"<{tag}> around everything"
    raise SynthError(f"{what} has other content", code="content-invalid", where=str(path), expected=expected)
