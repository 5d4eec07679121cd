import unicodedata

from django.core.exceptions import ValidationError

from common.keys import KEY_LENGTH, text_key


def has_control_characters(text, *, but=""):
    return any(unicodedata.category(character) == "Cc" and character not in but for character in text)


def refuse_control_characters(text):
    if has_control_characters(text):
        raise ValidationError("Control characters are not allowed.", code="control_characters")


def refuse_control_characters_within_lines(text):
    if has_control_characters(text, but="\t\n\r"):
        raise ValidationError("Control characters are not allowed.", code="control_characters")


def refuse_long_keys(text):
    """Refuse the few texts whose key outgrows its column, since one character can become 18 in it."""
    if len(text_key(text)) > KEY_LENGTH:
        raise ValidationError("This is too long once its characters are normalised.", code="max_length")
