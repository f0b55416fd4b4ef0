import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cairn
from cairn.registry import values

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@settings(database=None)
@given(VALUES)
def test_a_hyperparameter_comes_back_as_it_went(value):
    back = values.from_text(values.to_text(value))
    assert back == value and type(back) is type(value)


def test_texts_stay_readable_for_who_reads_them_otherwise():
    assert values.hyperparameters({"criterion": "gini", "depth": 10, "bootstrap": True, "text": "10"}) == {
        "criterion": "gini", "depth": "10", "bootstrap": "true", "text": '"10"'}
    assert values.to_text(object) == "<class 'object'>"


def test_numbers_of_numpy_are_numbers():
    numpy = pytest.importorskip("numpy")
    assert values.hyperparameters({"a": numpy.int64(3), "b": numpy.float32(0.5)}) == {"a": "3", "b": "0.5"}
    assert values.metrics({"auc": numpy.float64(0.5)}) == {"auc": 0.5}


def test_metrics_are_numbers_and_those_that_json_has_no_word_for_too():
    assert values.metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1}) == {
        "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 1.0}
    for wrong in ("0.9", None, [1]):
        with pytest.raises(cairn.InvalidArgument, match="'auc'"):
            values.metrics({"auc": wrong})


def test_tags_are_texts():
    with pytest.raises(cairn.InvalidArgument, match="'n'"):
        values.tags({"n": 1})
