"""The contract of KeyValueStore, over both implementations."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.storage.kv import KeyValueStore, prefix_end
from node.storage.level import LevelStore
from tests.support.memory_store import MemoryStore


@pytest.fixture(params=["level", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValueStore]:
    made: KeyValueStore = (
        LevelStore.open(tmp_path / "db") if request.param == "level" else MemoryStore()
    )
    yield made
    made.close()


def test_get_of_an_absent_key_is_none(store: KeyValueStore) -> None:
    assert store.get(b"a") is None


def test_a_batch_puts_and_deletes(store: KeyValueStore) -> None:
    store.write({b"a": b"1", b"b": b"", b"": b"root"}, sync=True)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"")) == (b"1", b"", b"root")
    store.write({b"a": None, b"b": b"2", b"absent": None}, sync=False)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"absent")) == (None, b"2", None)
    store.write({}, sync=True)
    assert list(store.iterate(b"")) == [(b"", b"root"), (b"b", b"2")]


def test_a_batch_with_a_wrong_type_changes_nothing(store: KeyValueStore) -> None:
    with pytest.raises(TypeError):
        store.write({b"a": b"1", b"b": "text"}, sync=False)  # type: ignore[dict-item]
    assert store.get(b"a") is None


def test_iterate_gives_whole_keys_of_the_prefix_in_order(store: KeyValueStore) -> None:
    store.write(
        dict.fromkeys((b"p\xff\xff", b"p", b"q", b"o\xff", b"p\x00", b"pz"), b"v"), sync=False
    )
    keys = [b"p", b"p\x00", b"pz", b"p\xff\xff"]
    assert [key for key, _ in store.iterate(b"p")] == keys
    assert [key for key, _ in store.iterate(b"p", reverse=True)] == keys[::-1]


def test_iterate_over_the_highest_prefix_has_no_end(store: KeyValueStore) -> None:
    store.write({b"\xff": b"1", b"\xff\xff\x01": b"2", b"\xfe": b"3"}, sync=False)
    assert list(store.iterate(b"\xff")) == [(b"\xff", b"1"), (b"\xff\xff\x01", b"2")]
    assert next(store.iterate(b"\xff", reverse=True)) == (b"\xff\xff\x01", b"2")


@pytest.mark.parametrize(
    ("start", "reverse", "expected"),
    [
        (b"p3", False, [b"p4", b"p6"]),
        (b"p4", False, [b"p4", b"p6"]),
        (b"p7", False, []),
        (b"a", False, [b"p2", b"p4", b"p6"]),
        (b"z", False, []),
        (b"p5", True, [b"p4", b"p2"]),
        (b"p4", True, [b"p4", b"p2"]),
        (b"p1", True, []),
        (b"a", True, []),
        (b"z", True, [b"p6", b"p4", b"p2"]),
    ],
)
def test_iterate_from_a_start_key(
    store: KeyValueStore, start: bytes, reverse: bool, expected: list[bytes]
) -> None:
    store.write({b"o": b"", b"p2": b"", b"p4": b"", b"p6": b"", b"q": b""}, sync=False)
    assert [key for key, _ in store.iterate(b"p", start=start, reverse=reverse)] == expected


def test_an_iterator_sees_the_store_as_of_its_call(store: KeyValueStore) -> None:
    store.write({b"a": b"1", b"b": b"1"}, sync=False)
    entries = store.iterate(b"")
    store.write({b"a": b"2", b"b": None, b"c": b"2"}, sync=False)
    assert list(entries) == [(b"a", b"1"), (b"b", b"1")]
    assert list(store.iterate(b"")) == [(b"a", b"2"), (b"c", b"2")]


def test_use_after_close_is_a_bug(store: KeyValueStore) -> None:
    store.close()
    store.close()
    uses: list[Callable[[], object]] = [
        lambda: store.get(b"a"),
        lambda: store.write({b"a": b"1"}, sync=False),
        lambda: list(store.iterate(b"")),
    ]
    for use in uses:
        with pytest.raises(RuntimeError):
            use()


def test_an_unfinished_iterator_does_not_keep_the_store_from_closing(store: KeyValueStore) -> None:
    store.write({b"a": b"1", b"b": b"2"}, sync=False)
    entries = store.iterate(b"")
    next(entries)
    store.close()


short = st.binary(max_size=3)
batches = st.lists(st.dictionaries(short, st.none() | short, max_size=6), max_size=8)


@given(batches=batches, prefix=short, start=short, reverse=st.booleans())
def test_memory_is_a_sorted_dict(
    batches: list[dict[bytes, bytes | None]], prefix: bytes, start: bytes, reverse: bool
) -> None:
    store, model = MemoryStore(), dict[bytes, bytes]()
    for batch in batches:
        store.write(batch, sync=False)
        for key, value in batch.items():
            model.pop(key, None) if value is None else model.update({key: value})
    expected = [
        (key, value)
        for key, value in sorted(model.items(), reverse=reverse)
        if key.startswith(prefix) and (not start or (key <= start if reverse else key >= start))
    ]
    assert list(store.iterate(prefix, start=start, reverse=reverse)) == expected


@given(prefix=short, key=st.binary(max_size=5))
def test_prefix_end_separates_the_prefix_from_what_follows(prefix: bytes, key: bytes) -> None:
    end = prefix_end(prefix)
    in_range = key >= prefix and (end is None or key < end)
    assert in_range == key.startswith(prefix)
