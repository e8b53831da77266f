"""Development methods where the genesis does not allow them, and what a node remembers of them."""

import pytest

from node.view.wallet import wallet
from node.view.wallet.wallet import Impersonation
from rpc.errors import LimitExceeded, MethodNotSupported
from rpc.methods import METHODS
from rpc.methods.development import METHODS as DEVELOPMENT
from rpc.methods.table import Context


@pytest.mark.parametrize("name", sorted(DEVELOPMENT))
async def test_without_the_flag_every_method_says_so(net, name):
    backend = net.views().backend
    context = Context(backend=backend, scope=None, filters=None, aside=None)
    with pytest.raises(MethodNotSupported, match=r"dev_methods = false.*`atoll up`") as refusal:
        await METHODS[name].handler(context)
    assert refusal.value.code == -32004
    assert name in refusal.value.message


def test_whom_a_node_impersonates_is_bounded(monkeypatch):
    monkeypatch.setattr(wallet, "MAX_IMPERSONATED", 2)
    whom = Impersonation()
    one, two, three = (bytes([n]) * 20 for n in (1, 2, 3))
    assert not whom.covers(one)
    assert not whom.covers(None)
    whom.start(one)
    whom.start(two)
    whom.start(two)
    with pytest.raises(LimitExceeded):
        whom.start(three)
    whom.stop(one)
    whom.start(three)
    assert [whom.covers(who) for who in (one, two, three)] == [False, True, True]
    assert whom.addresses == (two, three)
    whom.every_account = True
    assert whom.covers(one)
    assert not whom.covers(None)
