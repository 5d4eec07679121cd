"""Keys: a normal form of texts. Two texts have the same key if people would call them the same name."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

KEY_LENGTH = 254


def text_key(text: str) -> str:
    """Return the text normalised (NFKC), case-folded and stripped, the same on every database.

    `bob`, `BOB` and `ｂｏｂ` share a key; `jose` and `josé`, or two emoji, do not.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Case folding can produce text that is not normalised (NFKC_Casefold, Unicode 3.13).
    return unicodedata.normalize("NFKC", folded).strip()


class ExactCharField(models.CharField):
    """A CharField that every database compares character by character, whatever its default collation."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class KeyField(ExactCharField):
    """Holds the keys of other fields of the model, one per line. It is computed whenever the model is saved."""

    def __init__(self, *sources: str, **kwargs: Any) -> None:
        self.sources = sources
        super().__init__(editable=False, max_length=len(sources) * (KEY_LENGTH + 1) - 1, **kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, _, kwargs = super().deconstruct()
        del kwargs["editable"], kwargs["max_length"]
        return name, path, self.sources, kwargs

    def pre_save(self, instance: models.Model, add: bool) -> str:
        key = "\n".join(text_key(getattr(instance, source)) for source in self.sources)
        setattr(instance, self.attname, key)
        return key
