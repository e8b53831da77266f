"""The pytest plugin (entry point `atoll`): fixtures that are networks of real processes. See docs/testing.md.

    def test_transfer(atoll):                        # a shared network, put back after the test
    @pytest.mark.atoll(shards=4, validators=2)       # of that shape
    def test_partition(atoll_network):
        net = atoll_network(shards=2, validators=4)  # a network for this test alone

pytest loads this module at every start, also for tests that want no network: at the top it imports only the
standard library and pytest.
"""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

if TYPE_CHECKING:
    from node.testing.network import Network
    from node.testing.shared import SharedNetworks

    MakeNetwork = Callable[..., Network]

Isolation = Literal["revert", "fresh", "none"]
ISOLATIONS = ("revert", "fresh", "none")
INI_SHARDS, INI_VALIDATORS, INI_ISOLATION = "atoll_shards", "atoll_validators", "atoll_isolation"
INI_LINES, INI_ONE = "atoll_log_lines", "atoll_one_at_a_time"
MARKER = (
    'atoll(shards=2, validators=1, isolation="revert", ...): what network the fixtures `atoll`, `atoll_module` '
    "and `atoll_session` give; all options are in docs/testing.md"
)

USED = pytest.StashKey[list[tuple[str, "Network"]]]()
KNOWN = pytest.StashKey[set["Network"]]()
NETWORKS = pytest.StashKey["SharedNetworks"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("atoll", "networks of Atoll")
    group.addoption(
        "--atoll-keep",
        action="store_true",
        help="keep the directory of every network: data and logs",
    )
    group.addoption(
        "--atoll-shards", type=int, metavar="N", help="shards where no mark says how many"
    )
    group.addoption(
        "--atoll-validators",
        type=int,
        metavar="N",
        help="validators of a shard where no mark says it",
    )
    parser.addini(INI_SHARDS, "shards of a network where no mark says how many", default="2")
    parser.addini(INI_VALIDATORS, "validators of each shard where no mark says it", default="1")
    parser.addini(
        INI_ISOLATION, "what `atoll` does between tests: revert, fresh or none", default="revert"
    )
    parser.addini(INI_LINES, "lines of each node's log that a failure shows", default="15")
    parser.addini(INI_ONE, "a shared network rests while a test has another one", type="bool")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


# ---------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def atoll_networks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[SharedNetworks]":
    """All networks of the session, for fixtures of any scope. They are stopped when the session ends.

    `atoll_networks.start(shards=2)` starts a network for the caller alone, `.shared(shards=2)` gives the one
    that all callers with these options share.
    """
    from node.testing.shared import SharedNetworks

    networks = SharedNetworks(
        lambda: tmp_path_factory.mktemp("atoll"),
        keep=request.config.getoption("--atoll-keep"),
        one_at_a_time=request.config.getini(INI_ONE),
    )
    request.config.stash[NETWORKS] = networks
    yield networks
    networks.stop()


@pytest.fixture(scope="session")
def atoll_session(request: pytest.FixtureRequest, atoll_networks: "SharedNetworks") -> "Network":
    """The shared network of the configured shape, for fixtures that outlive a test, as contracts that are
    deployed once. Nothing is put back by this one; what tests do with `atoll` is."""
    return _record(request, _start(atoll_networks.shared, _options(request).network))


@pytest.fixture(scope="module")
def atoll_module(
    request: pytest.FixtureRequest, atoll_networks: "SharedNetworks"
) -> "Iterator[Network]":
    """A network of its own for every module, as `pytestmark = pytest.mark.atoll(...)` says."""
    yield from _fresh(request, atoll_networks)


@pytest.fixture
def atoll_network(
    request: pytest.FixtureRequest, atoll_networks: "SharedNetworks"
) -> "Iterator[MakeNetwork]":
    """A function that starts networks of this test's own: `net = atoll_network(shards=2, validators=4)`."""
    started: list[Network] = []

    def start(**options: Any) -> "Network":
        __tracebackhide__ = True
        network = _start(atoll_networks.start, {**_configured(request.config), **options})
        started.append(_record(request, network))
        return network

    yield start
    for network in started:
        network.stop()


@pytest.fixture
def atoll(request: pytest.FixtureRequest, atoll_networks: "SharedNetworks") -> "Iterator[Network]":
    """A network with every node up and every account as at its genesis, or as session fixtures have left it.

    One of the configured shape (mark, command line, ini) that tests share: each finds it as the one before
    found it. `isolation="fresh"` starts one for the test instead, "none" leaves it as the test does.
    """
    from node.testing.isolation import isolated, snapshot_of

    options = _options(request)
    if options.isolation == "fresh":
        yield from _fresh(request, atoll_networks)
        return
    network = _start(atoll_networks.shared, options.network)
    if options.isolation == "none":
        yield _record(request, network)
        return
    snapshot = snapshot_of(network)
    if snapshot is None:
        yield from _fresh(request, atoll_networks)
        return
    with isolated(_record(request, network), snapshot) as trouble:
        yield network
    if trouble:
        request.node.add_report_section("teardown", "atoll", "\n".join(trouble))
        network.stop()


def _fresh(request: pytest.FixtureRequest, networks: "SharedNetworks") -> "Iterator[Network]":
    network = _record(request, _start(networks.start, _options(request).network))
    yield network
    network.stop()


# ---------------------------------------------------------------------- what was asked for


class Asked(NamedTuple):
    """By mark, command line and ini: the options of the network, and what happens between tests."""

    network: dict[str, Any]
    isolation: str


def _configured(config: pytest.Config) -> dict[str, Any]:
    """The options of a test without a mark."""
    return {
        "shards": config.getoption("--atoll-shards") or _number(config, INI_SHARDS),
        "validators": config.getoption("--atoll-validators") or _number(config, INI_VALIDATORS),
    }


def _options(request: pytest.FixtureRequest) -> Asked:
    options = _configured(request.config)
    isolation = request.config.getini(INI_ISOLATION)
    where = f"{INI_ISOLATION} of the configuration"
    mark = request.node.get_closest_marker("atoll")
    if mark is not None:
        if mark.args:
            pytest.fail(
                f"@pytest.mark.atoll takes names only: shards=2, validators=4, not {mark.args}",
                pytrace=False,
            )
        options.update(mark.kwargs)
        if "isolation" in options:
            isolation, where = options.pop("isolation"), "@pytest.mark.atoll"
    if isolation not in ISOLATIONS:
        pytest.fail(
            f"{where}: isolation is {', '.join(ISOLATIONS)}, not {isolation!r}", pytrace=False
        )
    return Asked(options, isolation)


def _number(config: pytest.Config, key: str) -> int:
    text = str(config.getini(key))
    if not text.isascii() or not text.isdigit():
        raise pytest.UsageError(f"{key} of the configuration is a number, not {text!r}")
    return int(text)


def _start(start: "Callable[..., Network]", options: dict[str, Any]) -> "Network":
    """Start a network; report an error without the frames of this plugin."""
    __tracebackhide__ = True
    from node.primitives.errors import AtollError

    try:
        return start(**options)
    except AtollError as error:
        trouble = str(error)
    pytest.fail(trouble, pytrace=False)


# ---------------------------------------------------------------------- failures


def _record(request: pytest.FixtureRequest, network: "Network") -> "Network":
    """Remember the user of a network for the report of a failure: the test, or the pytest node with this
    fixture.
    """
    assert request.fixturename is not None
    request.config.stash.setdefault(KNOWN, set()).add(network)
    request.node.stash.setdefault(USED, []).append((request.fixturename, network))
    return network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """To a failure is added what the nodes wrote."""
    report = yield
    if report.failed:
        lines = _number(item.config, INI_LINES)
        for network in _used_by(item):
            network.keep = True
            report.sections.extend(_sections(network, lines))
    return report


def _used_by(item: pytest.Item) -> "list[Network]":
    fixtures = getattr(item, "fixturenames", ())
    networks = item.config.stash.get(NETWORKS, None)
    if networks is None or "atoll_networks" not in fixtures:
        return []
    recorded = [use for node in item.listchain() for use in node.stash.get(USED, [])]
    used = [network for fixture, network in recorded if fixture in fixtures]
    # Networks that fixtures of the project have started: the tests that use them are not known.
    known = item.config.stash.get(KNOWN, set())
    used += [network for network in networks.running if network not in known]
    return list(dict.fromkeys(network for network in used if network.is_up))


def _sections(network: "Network", lines: int) -> list[tuple[str, str]]:
    sections = [("atoll", network.describe())]
    for node in network.nodes:
        sections.append((f"atoll {node.name}, end of {node.log}", "\n".join(node.logs(lines))))
    return sections


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    networks = config.stash.get(NETWORKS, None)
    for directory in networks.kept if networks is not None else []:
        terminalreporter.write_line(f"atoll: the files of a network are kept in {directory}")
