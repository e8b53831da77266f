"""web3.py's shipped module tests through the network's endpoint, over HTTP and WebSocket."""

from typing import Any

import pytest
from web3._utils.module_testing import (
    AsyncEthModuleTest,
    AsyncNetModuleTest,
    EthModuleTest,
    GoEthereumAdminModuleTest,
    GoEthereumAsyncDebugModuleTest,
    GoEthereumAsyncTxPoolModuleTest,
    GoEthereumDebugModuleTest,
    GoEthereumTxPoolModuleTest,
    NetModuleTest,
    Web3ModuleTest,
)
from web3._utils.module_testing.go_ethereum_admin_module import GoEthereumAsyncAdminModuleTest
from web3._utils.module_testing.persistent_connection_provider import (
    PersistentConnectionProviderTest,
)
from web3._utils.module_testing.web3_module import AsyncWeb3ModuleTest

from tests.conformance.web3py.looping import asyncio_tests

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


class _Version:
    def _check_web3_client_version(self, client_version: str) -> None:
        assert client_version.startswith("atoll/")


# ---------------------------------------------------------------------- HTTP


class TestWeb3Http(_Version, Web3ModuleTest):
    pass


class TestEthHttp(EthModuleTest):
    pass


class TestNetHttp(NetModuleTest):
    pass


class TestTxPoolHttp(GoEthereumTxPoolModuleTest):
    pass


class TestDebugHttp(GoEthereumDebugModuleTest):
    pass


class TestAdminHttp(GoEthereumAdminModuleTest):
    pass


# ---------------------------------------------------------------------- asyncio, both transports


def _both(name: str, *bases: type) -> dict[str, Any]:
    return {
        f"Test{name}{transport}": asyncio_tests(
            type(
                f"Test{name}{transport}",
                bases,
                {"TRANSPORT": transport.lower(), "__module__": __name__},
            )
        )
        for transport in ("Http", "Ws")
    }


globals().update(_both("AsyncWeb3", _Version, AsyncWeb3ModuleTest))
globals().update(_both("AsyncEth", AsyncEthModuleTest))
globals().update(_both("AsyncNet", AsyncNetModuleTest))
globals().update(_both("AsyncTxPool", GoEthereumAsyncTxPoolModuleTest))
globals().update(_both("AsyncDebug", GoEthereumAsyncDebugModuleTest))
globals().update(_both("AsyncAdmin", GoEthereumAsyncAdminModuleTest))


@asyncio_tests
class TestSubscriptionsWs(PersistentConnectionProviderTest):
    TRANSPORT = "ws"
