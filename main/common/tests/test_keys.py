import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.keys import text_key


@pytest.mark.parametrize("text", ["Straße", "İstanbul", "ΌΣΟΣ", "ﬁsh", "Å", "ｂｏｂ", "¨", "ẞ", "Ǆ", "👍🏽"])
def test_the_key_of_a_key_is_itself(text):
    assert text_key(text_key(text)) == text_key(text)


@given(st.text())
@example("ǰ")
def test_every_key_is_normalised_and_its_own_key(text):
    key = text_key(text)
    assert unicodedata.is_normalized("NFKC", key)
    assert text_key(key) == key


@pytest.mark.parametrize("text", ["ǰ", "ΐ", "ΰ", "ẖ", "ᾷ"])
def test_a_letter_that_folding_takes_apart_shares_the_key_of_its_capital(text):
    assert text_key(text) == text_key(text.upper())


def test_white_space_around_is_no_part_of_it():
    assert text_key(" \tBob\u00a0") == "bob"
