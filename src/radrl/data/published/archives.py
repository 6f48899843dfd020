"""Archives that are read without unpacking them, and XML without entities."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from radrl.data.published import safe_files
from radrl.data.published.safe_files import BROKEN, LARGEST_TEXT, damaged, find
from radrl.data.published.tables import Wrong
from radrl.errors import UserError, one_line

MOST_MEMBERS = 2_000_000


def archive_members(root: Path, names: Sequence[str], ending: str) -> Iterator[tuple[str, bytes | Wrong]]:
    """Yields name and bytes of each regular file of a .tgz, .tar or .zip whose name ends so, in the archive's order.

    Nothing is written to disk; names are only names, they are never opened.

    Raises:
        UserError: no such file, or the archive is damaged or a bomb.
    """
    file = find(root, names)
    left = max(safe_files.UNPACKED_AT_LEAST, file.stat().st_size * safe_files.UNPACKED_TIMES)
    count = 0
    try:
        for name, size, read in _members(file):
            count, left = count + 1, left - size
            if left < 0 or count > MOST_MEMBERS:
                raise UserError(f"{file}: unpacks to far more than a data set holds; use the published file")
            if name.endswith(ending):
                content = read() if size <= LARGEST_TEXT else b""
                where = one_line(f"{file}:{name}")
                yield name, content if size <= LARGEST_TEXT else Wrong(where, f"larger than {LARGEST_TEXT >> 20} MiB")
    except BROKEN as error:
        raise damaged(file, error) from None


def _members(file: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: _zip_bytes(archive, info)
        return
    with tarfile.open(file, "r|*") as archive:
        for member in archive:
            if member.isfile():
                yield member.name, member.size, lambda member=member: _tar_bytes(archive, member)
            elif member.size > LARGEST_TEXT:
                raise UserError(f"{file}: '{one_line(member.name)}' is no file and has content; use the published file")


def _tar_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""  # None for what is no file, which is not asked for


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as stream:
        return stream.read(info.file_size)  # what the directory says; a member that holds more is cut


def parse_xml(content: bytes) -> Element:
    """Returns the root element of an XML file.

    Raises:
        ValueError: not XML, or with a document type, so that no entity is ever expanded.
    """
    try:
        return fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise ValueError("XML with a document type") from None
    except (ParseError, LookupError) as error:  # LookupError: an encoding that does not exist
        raise ValueError(f"not XML ({error})") from None
