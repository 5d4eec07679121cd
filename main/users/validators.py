import re
import unicodedata

from django.core.exceptions import ValidationError

from common.keys import text_key

# Characters that show nothing (Default_Ignorable_Code_Point) and that no general category tells apart.
IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def validate_username(username):
    """Accept letters, marks, digits, punctuation and symbols of every script, emoji among them.

    White space and invisible characters would make two names look alike; a slash, and the names `.` and `..`, could
    not stand in a URL.
    """
    invisible = any(unicodedata.category(character)[0] in "CZ" for character in username)
    if invisible or IGNORABLE.search(username) or len(text_key(username).split()) != 1:
        raise ValidationError("White space and invisible characters are not allowed.", code="invalid")
    if "/" in text_key(username) or username in (".", ".."):
        raise ValidationError("A slash is not allowed, nor are the names '.' and '..'.", code="invalid")
