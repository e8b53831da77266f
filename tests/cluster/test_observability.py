"""What nodes say about themselves while they run: metrics, readiness, log lines."""

import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.metrics.catalogue import FAMILIES
from node.testing import Network, until
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import ask, call, send_and_wait, wait_for
from tests.cluster.support.network import ROOT, names_of, ports_kept

MONITORING = ROOT / "docker" / "monitoring"
MANIFEST = {"log": {"format": "json"}}
UNUSED = {"atoll_lane_in_flight_wei"}
"""Has samples only while something is under way."""


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    """2 shards of 2 validators that write JSON."""
    network = networks.shared(shards=2, validators=2, manifest=MANIFEST)
    yield network
    network.invariants.check()


def get(endpoint: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(endpoint + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ready(endpoint: str) -> tuple[int, dict[str, Any]]:
    status, body = get(endpoint, "/readyz")
    return status, json.loads(body)


class Scrape:
    """What `/metrics` of one node says."""

    def __init__(self, endpoint: str) -> None:
        status, self.text = get(endpoint, "/metrics")
        assert status == 200, self.text
        self.families = {
            family.name + ("_total" if family.type == "counter" else ""): family
            for family in text_string_to_metric_families(self.text)
        }

    def value(self, name: str, **labels: str) -> float:
        family = self.families[name.removesuffix("_count").removesuffix("_sum")]
        found = [
            sample.value
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found, f"{name} {labels} is not in the scrape"
        return float(sum(found))


def lines(network: Network, name: str) -> list[dict[str, Any]]:
    log = network.directory / "nodes" / name / "node.log"
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def send_across(network: Network) -> Any:
    alice, bob = network.account(0).signer, network.account(1).signer
    return send_and_wait(network.web3(), alice, to=bob.address, value=10**18)


def test_every_family_has_samples_and_the_text_is_sound(network: Network) -> None:
    send_across(network)
    wait_for(
        lambda: Scrape(network.rpc).value("atoll_audit_runs_total", outcome="balanced"),
        "an audit beside the scrapes",
    )
    for node in network.nodes:
        scrape = Scrape(node.rpc)
        assert set(scrape.families) - UNUSED <= set(FAMILIES)
        if node.name == "s0v0":
            assert set(FAMILIES) - UNUSED <= set(scrape.families)
        for name, family in scrape.families.items():
            assert family.type == FAMILIES[name].kind
            assert family.documentation == FAMILIES[name].help
            assert len({(*tuple(sorted(s.labels.items())), s.name) for s in family.samples}) == len(
                family.samples
            )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(network: Network) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=Scrape(network.rpc).text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_message_between_shards_moves_the_counts(network: Network) -> None:
    source, destination = network.rpc, network.node("s1v0").rpc
    before = Scrape(source), Scrape(destination)
    send_across(network)
    wait_for(
        lambda: (
            Scrape(source).value("atoll_lane_delivered_messages_total", src="0", dst="1")
            == before[0].value("atoll_lane_delivered_messages_total", src="0", dst="1") + 1
        ),
        "the beacon to know of the delivery",
    )
    after = Scrape(source), Scrape(destination)

    def moved(side: int, name: str, **labels: str) -> float:
        return after[side].value(name, **labels) - before[side].value(name, **labels)

    assert moved(0, "atoll_pool_admitted_total", source="user") == 1
    assert moved(0, "atoll_chain_transactions_total") == 1
    assert moved(0, "atoll_chain_messages_total", direction="sent") == 1
    assert moved(0, "atoll_lane_sent_messages_total", src="0", dst="1") == 1
    assert moved(1, "atoll_lane_inbox_messages_total", src="0", dst="1") == 1
    assert moved(1, "atoll_chain_messages_total", direction="delivered") == 1
    assert moved(0, "atoll_chain_gas_used_total") > 0
    assert moved(0, "atoll_consensus_blocks_total", chain="shard", by="consensus") >= 1
    assert moved(0, "atoll_p2p_frames_total", channel="consensus", direction="out") > 0
    assert moved(0, "atoll_storage_batches_total") >= 2
    assert moved(0, "atoll_wal_syncs_total", chain="shard") >= 1
    assert moved(0, "atoll_rpc_requests_total", method="eth_sendRawTransaction", outcome="ok") == 1
    assert moved(0, "atoll_rpc_request_seconds_count", method="eth_sendRawTransaction") == 1
    for scrape in after:
        assert scrape.value("atoll_lane_window_ratio") <= 1
        assert scrape.value("atoll_ready") == 1
        assert scrape.value("atoll_consensus_missing_validators", chain="shard") == 0


def test_a_node_without_its_quorum_is_not_ready_and_says_why(network: Network) -> None:
    assert ready(network.rpc)[0] == 200
    network.faults.kill("s0v1")
    with ports_kept(network, "s0v1"):
        wait_for(lambda: ready(network.rpc)[0] == 503, "s0v0 not to be ready")
        _, report = ready(network.rpc)
        peers = "validators with 50 % of the stake of shard 0 are in reach, no quorum"
        assert report["checks"]["peers"] == peers
        assert peers in report["reasons"]
        assert get(network.rpc, "/healthz") == (200, "alive\n")
        assert get(network.rpc, "/health")[0] == 503
        scrape = Scrape(network.rpc)
        assert scrape.value("atoll_ready") == 0
        assert scrape.value("atoll_ready_check", check="peers") == 0
        assert scrape.value("atoll_consensus_missing_validators", chain="shard") == 1
        assert scrape.value("atoll_p2p_peer_connected", peer="s0v1") == 0
    network.up()
    wait_for(lambda: ready(network.rpc)[0] == 200, "s0v0 to be ready again")


def test_debug_lines_follow_a_transaction_over_both_shards(network: Network) -> None:
    for node in network.nodes:
        assert call(node.rpc, "atoll_setLogLevel", ["debug"]) == "info"
    receipt = send_across(network)
    tx = receipt["transactionHash"].to_0x_hex()
    network.wait_for(until.shown_everywhere(receipt["blockNumber"]))

    def about(name: str) -> dict[str, dict[str, Any]]:
        return {line["event"]: line for line in lines(network, name) if line.get("tx") == tx}

    wait_for(lambda: "message delivered" in about("s1v1"), "the delivery in the log of s1v1")
    sent, delivered = about("s0v0"), about("s1v1")["message delivered"]
    assert {"transaction admitted", "transaction included", "message sent"} <= set(sent)
    assert sent["message sent"]["message"] == delivered["message"]
    assert sent["message sent"]["chain"] == "shard/0"
    assert delivered["chain"] == "shard/1"
    assert delivered["node"] == "s1v1"
    included = sent["transaction included"]
    block = call(network.shard(0).rpc, "eth_getBlockByNumber", [hex(included["height"]), False])
    assert block["hash"] == included["hash"]
    decided = [
        line
        for line in lines(network, "s0v1")
        if line["event"] == "decided" and line["hash"] == included["hash"]
    ]
    assert [line["height"] for line in decided] == [included["height"]]
    for node in network.nodes:
        assert call(node.rpc, "atoll_setLogLevel", ["info"]) == "debug"


def test_a_signal_turns_debug_lines_on_and_off(network: Network) -> None:
    def levels() -> list[str]:
        return [
            line["level"] for line in lines(network, "s1v0") if line["event"] == "log level changed"
        ]

    def debug_lines() -> int:
        return sum(line["level"] == "debug" for line in lines(network, "s1v0"))

    changes, pid = len(levels()), network.node("s1v0").pid
    assert pid is not None
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: len(levels()) == changes + 1, "the level to change")
    before = debug_lines()
    wait_for(lambda: debug_lines() > before, "debug lines")
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: len(levels()) == changes + 2, "the level to change back")


def test_what_a_level_may_be(network: Network) -> None:
    error = ask(network.rpc, "atoll_setLogLevel", ["loud"])["error"]
    assert error["code"] == -32602
    assert "'loud' is no log level; they are debug, info, warning, error" in error["message"]


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_prometheus_scrapes_the_network_and_answers_every_panel(
    network: Network, tmp_path: Path
) -> None:
    """The configuration and the dashboard that the containers use, with a real Prometheus."""
    send_across(network)
    with prometheus(network, tmp_path) as endpoint:

        def query(expression: str) -> list[Any]:
            status, body = get(endpoint, "/api/v1/query?" + urlencode({"query": expression}))
            assert status == 200, (expression, body)
            found: list[Any] = json.loads(body)["data"]["result"]
            return found

        wait_for(
            lambda: {row["metric"]["node"] for row in query("up == 1")} == set(names_of(network)),
            "Prometheus to have scraped every node",
        )
        dashboard = json.loads((MONITORING / "atoll.json").read_text())
        expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", ())]
        wait_for(lambda: query("rate(atoll_consensus_blocks_total[1m]) > 0"), "rates to be there")
        wait_for(lambda: query("atoll_audit_difference_wei"), "the audit")
        silent = [e for e in expressions if not query(e) and "> 0" not in e]
        assert not silent
        assert len(expressions) > 25
        _, body = get(endpoint, "/api/v1/rules")
        rules = json.loads(body)["data"]["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        assert "AtollValueNotConserved" in {rule["name"] for rule in rules}
        assert not query('ALERTS{alertname="AtollValueNotConserved"}')


@contextmanager
def prometheus(network: Network, folder: Path) -> Iterator[str]:
    """Prometheus as docker-compose.yml starts it, for the nodes of `network`; its endpoint."""
    text = (MONITORING / "prometheus.yml").read_text()
    assert "/network/net/targets.json" in text
    targets = str(network.directory / "targets.json")
    text = text.replace("/network/net/targets.json", targets).replace(
        "_interval: 5s", "_interval: 1s"
    )
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(MONITORING / "rules.yml", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: is_up(f"http://{address}"), "Prometheus to start")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def is_up(endpoint: str) -> bool:
    try:
        return get(endpoint, "/-/ready")[0] == 200
    except urllib.error.URLError:
        return False
