import pytest

from common.keys import text_key


@pytest.mark.parametrize("text", ["Straße", "İstanbul", "ΌΣΟΣ", "ﬁsh", "Å", "ｂｏｂ", "¨", "ẞ", "Ǆ", "👍🏽"])
def test_the_key_of_a_key_is_itself(text):
    assert text_key(text_key(text)) == text_key(text)


def test_white_space_around_is_no_part_of_it():
    assert text_key(" \tBob\u00a0") == "bob"
