"""The files of the chat page, as they are sent: read once, named by what is in them, and compressed."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "page"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}

# The page itself; all other files are below a path that has the version in it.
PAGE = "index.html"


@dataclass(frozen=True)
class File:
    content_type: str
    text: bytes
    compressed: bytes

    @classmethod
    def of(cls, suffix: str, text: bytes) -> "File":
        return cls(f"{TYPES[suffix]}; charset=utf-8", text, gzip.compress(text, 9, mtime=0))


@dataclass(frozen=True)
class Files:
    # Changes with any of the files. A browser may keep what is below it for ever.
    version: str
    page: File
    others: Mapping[str, File]


@cache
def files() -> Files:
    texts = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
    version = sha256(repr(texts).encode()).hexdigest()[:16]
    page = texts.pop(PAGE).decode()
    # Named in the page, all modules are asked for at once, and not one after the other as they import each other.
    modules = "\n".join(
        f'<link rel="modulepreload" href="chat/{version}/{name}">' for name in texts if name.endswith(".js")
    )
    page = page.replace("{{ modules }}", modules).replace("{{ version }}", version)
    others = {name: File.of(Path(name).suffix, text) for name, text in texts.items()}
    return Files(version, File.of(".html", page.encode()), others)
