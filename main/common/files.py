"""Files that appear under their names once they are whole, and never half written."""

import fcntl
import gzip
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

# Bytes that are read and written at a time.
CHUNK = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
# What reading raises where compressed content is broken.
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)


class FileError(Exception):
    """Why a file cannot be written, or is not what it should be, as a sentence."""


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


@contextmanager
def appearing(path: Path, *, replace: bool) -> Iterator[Path]:
    """Give the path of an empty file, for its owner alone, which gets its name when the block ends without an error.

    A process that is killed leaves it behind as NAME.part, and the next one takes it over.
    """
    _require_free(path, replace)
    part = beside(path, ".part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor, part)
        try:
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            yield part
            os.fsync(descriptor)
            _require_free(path, replace)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path)
    finally:
        os.close(descriptor)


def _require_free(path: Path, replace: bool) -> None:
    if path.is_dir():
        raise FileError(f"{path} is a folder.")
    if not replace and os.path.lexists(path):
        raise FileError(f"{path} is there already; --force replaces it.")


def _lock(descriptor: int, part: Path) -> None:
    """Lock the file, so that no other process writes it; refuse if another one does, or has just finished it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_the_same = os.path.samestat(os.fstat(descriptor), os.stat(part))
    except (BlockingIOError, FileNotFoundError):
        is_the_same = False
    if not is_the_same:
        raise FileError(f"Another process is writing {part}.")


def _sync_folder(path: Path) -> None:
    """Have the names in the file's folder reach the disk."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def passing(path: Path) -> Iterator[Path]:
    """Give the path of an empty file, for its owner alone, that is removed when the block ends."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def open_to_write(path: Path, *, compressed: bool) -> IO[bytes]:
    # The fastest level: texts become small at any, and a backup is to be over soon.
    return cast(IO[bytes], gzip.open(path, "wb", compresslevel=1)) if compressed else path.open("wb")


def open_to_read(path: Path) -> IO[bytes]:
    """The content, decompressed if it is compressed. Reading raises one of BROKEN where that is broken."""
    with path.open("rb") as file:
        is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path, "rb")) if is_compressed else path.open("rb")


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    shutil.copyfileobj(source, target, CHUNK)
