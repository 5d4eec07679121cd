from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import Error

from common.files import FileError


@contextmanager
def told_in_a_sentence(beginning: str) -> Iterator[None]:
    """Tell what cannot be done, and why, in one sentence, and end with 1."""
    try:
        yield
    except FileError as error:
        raise CommandError(f"{beginning}: {error}") from None
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
        raise CommandError(f"{beginning}: {what}") from None
    except Error as error:
        raise CommandError(f"{beginning}: the database says {error}") from None
