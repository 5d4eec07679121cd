import re
import unicodedata

from django.core.exceptions import ValidationError

from common.keys import text_key

# Invisible characters (Default_Ignorable_Code_Point) that have no general category of their own.
IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def validate_username(username: str) -> None:
    """Accept letters, marks, digits, punctuation and symbols of every script, emoji among them.

    With white space or invisible characters two names could look alike. A slash, and the names `.` and `..`, do not
    work in a URL.
    """
    invisible = any(unicodedata.category(character)[0] in "CZ" for character in username)
    if invisible or IGNORABLE.search(username) or len(text_key(username).split()) != 1:
        raise ValidationError("White space and invisible characters are not allowed.", code="invalid")
    if "/" in text_key(username) or username in (".", ".."):
        raise ValidationError("A slash is not allowed, nor are the names '.' and '..'.", code="invalid")
