"""Random values against the table in the README: over memory, where both lanes are Python alone."""

import pytest
from hypothesis import given, settings
from pages.differences import Comparison
from pages.recipes import build, refusal
from tools.recipes import recipes

from pyodide_msgchan import DataCloneError
from pyodide_msgchan.testing.clone import clone
from pyodide_msgchan.testing.endpoint import decode_packed, encode_packed


def cloned(value):
    return clone(value, {})[0]


def packed(value):
    return decode_packed(encode_packed(value, {})[0])


@pytest.mark.parametrize("lane,send", [("memory", cloned), ("packed", packed)])
def test_values_are_what_the_table_says(lane, send):
    @settings(max_examples=300)
    @given(recipes(in_browser=False))
    def check(recipe):
        case = build(recipe, lane)
        if case.refused:
            with pytest.raises(DataCloneError) as caught:
                send(case.sent)
            assert not refusal(caught.value)
        else:
            assert not Comparison().look(send(case.sent), case.expected)

    check()
