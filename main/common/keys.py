"""Keys: the form of a text in which two texts are equal exactly when people would call them the same name."""

import unicodedata

from django.db import models

KEY_LENGTH = 254


def text_key(text):
    """Return the text normalised (NFKC), case-folded and stripped, the same on every database.

    `bob`, `BOB` and `ｂｏｂ` share a key; `jose` and `josé`, or two emoji, do not.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding can take a text apart again (NFKC_Casefold, Unicode 3.13).
    return unicodedata.normalize("NFKC", folded).strip()


class ExactCharField(models.CharField):
    """A CharField that compares character by character on every database, whatever the server's default."""

    def db_parameters(self, connection):
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class KeyField(ExactCharField):
    """Holds the keys of other fields of the model, one a line, and is written whenever the model is saved."""

    def __init__(self, *sources, **kwargs):
        self.sources = sources
        super().__init__(editable=False, max_length=len(sources) * (KEY_LENGTH + 1) - 1, **kwargs)

    def deconstruct(self):
        name, path, _, kwargs = super().deconstruct()
        del kwargs["editable"], kwargs["max_length"]
        return name, path, self.sources, kwargs

    def pre_save(self, instance, add):
        key = "\n".join(text_key(getattr(instance, source)) for source in self.sources)
        setattr(instance, self.attname, key)
        return key
