"""web3.py's own module tests on a network of two shards: the fixtures that they ask for.

web3.py ships the tests and leaves the fixtures to whoever runs them; these do what its own suite for geth
does (`tests/integration` in its source distribution). "The keyfile account" is one whose key the node
holds. Asynchronous tests run on an asyncio loop of their own, see `asyncio_tests`.
"""

import asyncio
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils import to_bytes
from web3 import AsyncHTTPProvider, AsyncWeb3, Web3, WebSocketProvider
from web3._utils.contract_sources.contract_data.emitter_contract import EMITTER_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.math_contract import MATH_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.offchain_lookup import OFFCHAIN_LOOKUP_DATA
from web3._utils.contract_sources.contract_data.panic_errors_contract import (
    PANIC_ERRORS_CONTRACT_DATA,
)
from web3._utils.contract_sources.contract_data.revert_contract import REVERT_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.storage_contract import STORAGE_CONTRACT_DATA
from web3._utils.module_testing.utils import RequestMocker

from tests.conformance.web3py.chain import FAST, SLOW, Chain, Chains, Facts
from tests.conformance.web3py.expected import failure_reason

NEEDS_PENDING = ("replace_transaction", "modify_transaction", "_unmined", "pending_tx")
"""In the names of tests that look at a transaction before it is included."""
TRIES = 5
LEAVES_TRACES = "sign_authorization"
"""In the name of a test that writes to its account's storage: geth's suite has a chain for each test."""
CONTRACTS = {
    "math_contract": MATH_CONTRACT_DATA,
    "emitter_contract": EMITTER_CONTRACT_DATA,
    "revert_contract": REVERT_CONTRACT_DATA,
    "offchain_lookup_contract": OFFCHAIN_LOOKUP_DATA,
    "panic_errors_contract": PANIC_ERRORS_CONTRACT_DATA,
    "storage_contract": STORAGE_CONTRACT_DATA,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            reason = failure_reason(item.nodeid.partition("::")[2])
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The count by which web3.py's tests are compared between nodes."""
    stats = terminalreporter.stats
    mine = {
        outcome: sum(
            "conformance/web3py" in str(report.nodeid) for report in stats.get(outcome, [])
        )
        for outcome in ("passed", "xpassed", "xfailed", "failed", "error")
    }
    total = sum(mine.values())
    if total:
        passed = mine["passed"] + mine["xpassed"]
        terminalreporter.write_line(f"web3.py module tests: {passed} of {total} passed")


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chains]:
    """The networks of the module, each made when it is first asked for."""
    chains = Chains(tmp_path_factory.mktemp("web3py"), CONTRACTS)
    yield chains
    chains.stop()


@pytest.fixture
def chain(request: pytest.FixtureRequest, chains: Chains) -> Chain:
    """The chain with the facts about it that a test asks for."""
    return chains.get(SLOW if _needs_pending(request.node) else FAST)


def _needs_pending(item: pytest.Function) -> bool:
    return any(word in item.originalname for word in NEEDS_PENDING)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that looks at a pending transaction begins just after a block; should the next one come
    between its requests nevertheless, it says nothing, and is run once more."""
    if not _needs_pending(pyfuncitem):
        return None
    chain: Chain = pyfuncitem.funcargs["chain"]
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for left in reversed(range(TRIES)):
        head = chain.wait_for_block()  # the next one is a whole interval away
        try:
            pyfuncitem.obj(**arguments)
        except Exception:
            if not left or chain.head == head:
                raise
        else:
            break
    return True


@pytest.fixture
def facts(chain: Chain) -> Facts:
    return chain.facts


@pytest.fixture
def endpoint(chain: Chain) -> str:
    return chain.endpoint


@pytest.fixture
def datadir() -> str:
    return ""  # the node does not tell where it is


@pytest.fixture
def w3(endpoint: str) -> Web3:
    return Web3(Web3.HTTPProvider(endpoint, request_kwargs={"timeout": 30}))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield loop
    for number, handler in before.items():  # a provider that has connected leaves its own
        signal.signal(number, handler)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def async_w3(
    request: pytest.FixtureRequest, endpoint: str, loop: asyncio.AbstractEventLoop
) -> Iterator[AsyncWeb3[Any]]:
    """Over the transport that the test's class names."""
    transport = getattr(request.cls, "TRANSPORT", "http")

    async def connect() -> AsyncWeb3[Any]:
        if transport == "http":
            return AsyncWeb3(AsyncHTTPProvider(endpoint))
        url = endpoint.replace("http", "ws", 1)
        return await AsyncWeb3(WebSocketProvider(url, request_timeout=30))

    web3 = loop.run_until_complete(connect())
    if hasattr(web3.provider, "_request_processor"):
        web3.provider._request_processor.clear_caches()
    yield web3
    loop.run_until_complete(web3.provider.disconnect())


# ---------------------------------------------------------------------- what they know of the chain


@pytest.fixture(params=[lambda text: to_bytes(hexstr=text), str], ids=["bytes", "text"])
def address_conversion_func(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def keyfile_account_pkey(request: pytest.FixtureRequest, facts: Facts) -> str:
    if LEAVES_TRACES in request.node.originalname:
        return facts.unused_keys.pop()
    return facts.private_key


@pytest.fixture
def keyfile_account_address(facts: Facts) -> str:
    return facts.account


@pytest.fixture
def keyfile_account_address_dual_type(facts: Facts, address_conversion_func: Any) -> str:
    return facts.account


@pytest.fixture
def async_keyfile_account_address(facts: Facts) -> str:
    return facts.account


@pytest.fixture
def async_keyfile_account_address_dual_type(facts: Facts, address_conversion_func: Any) -> str:
    return facts.account


@pytest.fixture
def math_contract_deploy_txn_hash(facts: Facts) -> str:
    return facts.math_deployment


@pytest.fixture
def mined_txn_hash(facts: Facts) -> str:
    return facts.mined


@pytest.fixture
def txn_hash_with_log(facts: Facts) -> str:
    return facts.with_log


@pytest.fixture
def empty_block(w3: Web3, facts: Facts) -> Any:
    return w3.eth.get_block(facts.empty_block)


@pytest.fixture
def block_with_txn(w3: Web3, facts: Facts) -> Any:
    return w3.eth.get_block(facts.block_with_transaction)


@pytest.fixture
def block_with_txn_with_log(w3: Web3, facts: Facts) -> Any:
    return w3.eth.get_block(facts.block_with_log)


@pytest.fixture
def async_empty_block(
    async_w3: AsyncWeb3[Any], loop: asyncio.AbstractEventLoop, facts: Facts
) -> Any:
    return loop.run_until_complete(async_w3.eth.get_block(facts.empty_block))


@pytest.fixture
def async_block_with_txn(
    async_w3: AsyncWeb3[Any], loop: asyncio.AbstractEventLoop, facts: Facts
) -> Any:
    return loop.run_until_complete(async_w3.eth.get_block(facts.block_with_transaction))


@pytest.fixture
def async_block_with_txn_with_log(
    async_w3: AsyncWeb3[Any], loop: asyncio.AbstractEventLoop, facts: Facts
) -> Any:
    return loop.run_until_complete(async_w3.eth.get_block(facts.block_with_log))


def _contract(name: str) -> tuple[Any, Any]:
    @pytest.fixture(name=name)
    def contract(w3: Web3, facts: Facts) -> Any:
        return w3.eth.contract(address=facts.contracts[name], **CONTRACTS[name])

    @pytest.fixture(name=f"async_{name}")
    def async_contract(async_w3: AsyncWeb3[Any], facts: Facts) -> Any:
        return async_w3.eth.contract(address=facts.contracts[name], **CONTRACTS[name])

    return contract, async_contract


math_contract, async_math_contract = _contract("math_contract")
emitter_contract, async_emitter_contract = _contract("emitter_contract")
revert_contract, async_revert_contract = _contract("revert_contract")
offchain_lookup_contract, async_offchain_lookup_contract = _contract("offchain_lookup_contract")
panic_errors_contract, async_panic_errors_contract = _contract("panic_errors_contract")
storage_contract, async_storage_contract = _contract("storage_contract")


def _address(contract: str, name: str) -> Any:
    @pytest.fixture(name=name)
    def address(facts: Facts, address_conversion_func: Any) -> Any:
        return address_conversion_func(facts.contracts[contract])

    return address


math_contract_address = _address("math_contract", "math_contract_address")
async_math_contract_address = _address("math_contract", "async_math_contract_address")
emitter_contract_address = _address("emitter_contract", "emitter_contract_address")
async_emitter_contract_address = _address("emitter_contract", "async_emitter_contract_address")


@pytest.fixture
def request_mocker() -> type[RequestMocker]:
    return RequestMocker


@pytest.fixture
def skip_if_testrpc() -> Any:
    return lambda w3: None


@pytest.fixture
def async_skip_if_testrpc() -> Any:
    return lambda w3: None


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What web3.py warns of in its own tests is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
