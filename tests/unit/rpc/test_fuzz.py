"""The dispatcher against bodies of any kind: it answers, and neither raises nor takes the process down."""

import json
import sys

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.methods import METHODS
from rpc.nesting import MAX_DEPTH, too_deep
from tests.support.effort import examples
from tests.support.scoped import WithChains

ADDRESS = "0x" + "00" * 20
HASH = "0x" + "11" * 32


class Backend(WithChains):
    """A few methods work, one never ends, all others are bugs."""

    async def block_number(self, scope):
        return 26

    async def balance(self, scope, address, ref):
        return 10**24

    async def transaction_receipt(self, scope, hash):
        return None

    async def gas_price(self, scope):
        await trio.sleep_forever()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)

arguments = json_values | st.sampled_from(
    [ADDRESS, HASH, "latest", "0x1", "0x", {"to": ADDRESS}, {"blockHash": HASH}, {"topics": [[]]}]
)
calls = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.sampled_from(sorted(METHODS))},
    optional={"id": json_values, "params": st.lists(arguments, max_size=5) | json_values},
)
bodies = (
    st.binary(max_size=200)
    | (calls | json_values | st.lists(calls | json_values, max_size=5)).map(
        lambda value: json.dumps(value).encode()
    )
    | st.tuples(calls, st.integers(0, 80), st.binary(max_size=3)).map(
        lambda t: (b := json.dumps(t[0]).encode())[: t[1]] + t[2] + b[t[1] :]
    )
)


def is_answer(answer):
    return (
        isinstance(answer, dict)
        and answer["jsonrpc"] == "2.0"
        and isinstance(answer["id"], int | float | str | None)
        and ("result" in answer) != ("error" in answer)
        and ("error" not in answer or isinstance(answer["error"]["code"], int))
    )


@settings(max_examples=examples(400))
@given(bodies)
def test_any_body_gets_a_valid_answer_or_none(body):
    async def main():
        with capture_logs():
            return await Dispatcher(Backend(), Limits(request_timeout=0.01)).handle(body, None)

    answer = trio.run(main)
    if answer is not None:
        value = json.loads(answer)
        for one in value if isinstance(value, list) else [value]:
            assert is_answer(one)


@pytest.fixture
def recursion_limit_of_py_ecc():
    """What a node process runs with: py_ecc sets it on import."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("recursion_limit_of_py_ecc")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b"[" * 90_000,
        b'["]",' * 90_000,
        b'{"a":' * 90_000,
        b"[[]," * 40_000,
        b'{"a":' * 1_000_000,
        b"[" * 1_000_000 + b"]" * 1_000_000,
        b'["]",' * 500_000,
        b'["\\"]",' * 500_000,
        b'["\\\\",' * 500_000,
        b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":' + b"[" * 1_000_000,
        b"[[]," * 500_000,
    ],
)
async def test_deep_nesting_cannot_exhaust_the_stack(body):
    answer = json.loads(await Dispatcher(Backend(), Limits()).handle(body, None))
    assert answer["error"] == {
        "code": -32700,
        "message": "parse error: too many nested arrays and objects",
    }


@given(json_values, st.integers(0, MAX_DEPTH - 20))
def test_json_of_a_reasonable_depth_is_never_too_deep(value, depth):
    text = json.dumps([value] * 10)
    assert not too_deep(("[" * depth + text + "]" * depth).encode())


@pytest.mark.parametrize("opening", ["[", '{"]":', '["\\"]",', '["\\\\",', '[{},"}",'])
def test_depth_is_counted_outside_of_strings_only(opening):
    shallow = '["' + "[" * 1000 + '\\"' + "{" * 1000 + '"]'
    assert not too_deep(shallow.encode())
    assert too_deep((opening * (2 * MAX_DEPTH + 1)).encode())
