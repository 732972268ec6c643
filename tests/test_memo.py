"""A memo asks its function once a key, and its memory is bounded whatever the keys are."""

from __future__ import annotations

import tracemalloc

import pytest

from piwik_import.memo import Memo


def test_a_memo_calls_its_function_once_a_key_until_it_is_full():
    calls: list[str] = []
    memo: Memo[str, int] = Memo(lambda text: calls.append(text) or len(text), limit=2, longest=3)
    assert [memo[text] for text in ("a", "bb", "a", "bb")] == [1, 2, 1, 2]
    assert calls == ["a", "bb"]
    assert memo["ccc"] == 3
    assert list(memo) == ["ccc"]


def test_a_memo_keeps_neither_long_texts_nor_failures():
    memo: Memo[str, int] = Memo(int, longest=3)
    assert memo["1234"] == 1234
    with pytest.raises(ValueError, match="abc"):
        memo["abc"]
    assert memo == {}


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        (["aaa", "bbb", "cccc"], ["aaa", "bbb", "cccc"]),
        (["aaa", "bbb", "ccccc"], ["ccccc"]),
        (["aaa", "bbb", "ccccc", "ddddd"], ["ccccc", "ddddd"]),
        (["aaa", "bbbbbbbbbbbb", "ccc"], ["aaa", "ccc"]),
        ([("aaa", None), ("bbb", "ccc", 7)], [("aaa", None), ("bbb", "ccc", 7)]),
        ([("aaa", None), ("bbb", "ccc", "dd")], [("bbb", "ccc", "dd")]),
        ([b"aaaa", b"bbbb", b"cccc"], [b"cccc"]),
        ([None, 10**99, 1.5], [None, 10**99, 1.5]),
    ],
    ids="fits|one too many|begins anew|too long to keep|tuples fit|tuples|bytes|weighs nothing".split("|"),
)
def test_a_memo_forgets_everything_before_its_keys_pass_their_weight(keys, kept):
    memo: Memo[object, object] = Memo(repr, weight=10, longest=10)
    assert [memo[key] for key in keys] == list(map(repr, keys))
    assert list(memo) == kept


def test_neither_failures_nor_what_was_cleared_count_against_the_weight():
    memo: Memo[str, int] = Memo(int, weight=10)
    memo["12345678"]
    memo.clear()
    memo["1111"]
    with pytest.raises(ValueError, match="no number"):
        memo["no number"]
    memo["222222"]
    assert list(memo) == ["1111", "222222"]


@pytest.mark.parametrize("shape", [str, lambda text: (None, text)], ids=["texts", "tuples"])
def test_long_keys_that_never_come_twice_take_little_memory(shape):
    memo: Memo[object, None] = Memo(lambda _: None)
    tracemalloc.start()
    for number in range(20_000):
        memo[shape(f"{number:01000}")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20  # 1.2 MiB; all of the keys are 20
