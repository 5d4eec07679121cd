import unicodedata

from django.core.exceptions import ValidationError

from common.keys import KEY_LENGTH, text_key


def has_control_characters(text: str, *, but: str = "") -> bool:
    return any(unicodedata.category(character) == "Cc" and character not in but for character in text)


def refuse_control_characters(text: str) -> None:
    if has_control_characters(text):
        raise ValidationError("Control characters are not allowed.", code="control_characters")


def refuse_control_characters_within_lines(text: str) -> None:
    if has_control_characters(text, but="\t\n\r"):
        raise ValidationError("Control characters are not allowed.", code="control_characters")


def refuse_long_keys(text: str) -> None:
    """Refuse the few texts whose key is too long for its column: one character can become 18 in a key."""
    if len(text_key(text)) > KEY_LENGTH:
        raise ValidationError("This is too long once its characters are normalised.", code="max_length")
