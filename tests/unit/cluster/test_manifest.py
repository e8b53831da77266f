"""The manifest of a network, and what a person is told when it is wrong."""

import re
from pathlib import Path

import pytest

from node.cluster.launch import WantedNetwork, read_params
from node.cluster.make import make_network
from node.cluster.manifest import (
    Manifest,
    NodeSection,
    RpcSection,
    fill_template,
    load_manifest,
)
from node.config.node_config import TracingConfig
from node.config.toml import render_toml
from node.execution.state.state import State
from node.primitives.basics import ShardId
from node.primitives.errors import UserError
from node.primitives.genesis import Params, load_genesis, parse_address
from node.primitives.placement import home_by_range
from node.shard.genesis import shard_genesis

STRANGER = "0x" + "11" * 20


def load(tmp_path: Path, text: str) -> Manifest:
    (tmp_path / "network.toml").write_text(text)
    return load_manifest(tmp_path / "network.toml")


def test_an_empty_file_is_the_default_network(tmp_path: Path) -> None:
    manifest = load(tmp_path, "")
    assert manifest == Manifest()
    assert (manifest.shards, manifest.committee_sizes(), manifest.chain_id) == (2, (4, 4), 31337)
    assert manifest.protocol_params() == Params()


def test_development_methods_are_on_where_it_is_said_and_in_what_up_makes(tmp_path: Path) -> None:
    said = load(tmp_path, "[params]\ndev_methods = true\n")
    assert said.protocol_params() == Params(dev_methods=True)
    assert load(tmp_path, render_toml(said)) == said
    assert not Manifest().protocol_params().dev_methods
    assert WantedNetwork().manifest().protocol_params() == Params(dev_methods=True)
    with pytest.raises(UserError, match="dev_methods"):
        load(tmp_path, "[params]\ndev_methods = 1\n")


def test_origins_of_web_pages_are_named_on_the_command_line(tmp_path: Path) -> None:
    assert WantedNetwork().manifest().rpc.cors_origins == Manifest().rpc.cors_origins == ()
    wanted = WantedNetwork(cors_origins=("https://app.example", "*"))
    assert wanted.manifest().check().rpc.cors_origins == ("https://app.example", "*")
    for wrong in ("app.example", "https://app.example/path", "ftp://a", ""):
        with pytest.raises(UserError, match="--cors-origin"):
            WantedNetwork(cors_origins=(wrong,)).manifest()
    with pytest.raises(UserError, match=r"rpc\.cors_origins"):
        load(tmp_path, '[rpc]\ncors_origins = ["app.example"]\n')


def test_options_of_up_are_keys_of_the_manifest(tmp_path: Path) -> None:
    wanted = WantedNetwork(
        shards=1,
        host="::1",
        compat="hardhat",
        accounts=3,
        balance_ether=7,
        mnemonic="zoo " * 11 + "wrong",
        block_time=2.0,
        params=read_params(["gas_limit=60000000", "base_fee=0", "heartbeat=1.5"]),
    )
    manifest = wanted.manifest().check()
    assert (manifest.shards, manifest.rpc.host, manifest.rpc.compat) == (1, "::1", "hardhat")
    assert (manifest.accounts.count, manifest.accounts.balance_ether) == (3, 7)
    assert manifest.accounts.mnemonic.startswith("zoo")
    assert manifest.protocol_params() == Params(
        dev_methods=True,
        gas_limit=60_000_000,
        base_fee=0,
        min_block_interval=2.0,
        heartbeat=1.5,  # named itself
    )
    base = load(tmp_path, "shards = 3\n[accounts]\ncount = 5\n[params]\nheartbeat = 9\n")
    changed = WantedNetwork(base=base, balance_ether=1, params={"base_fee": 5}).manifest().check()
    assert (changed.shards, changed.accounts.count, changed.accounts.balance_ether) == (3, 5, 1)
    assert changed.protocol_params() == Params(
        heartbeat=9, base_fee=5
    )  # and as the file has the rest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gas_limits=1", "gas_limits"),
        ("gas_limit", "gas_limit"),
        ("gas_limit=many", "a number, true or false"),
        ("gas_limit=1.5", "gas_limit"),
        ("=5", "--param '=5'"),
    ],
)
def test_what_is_no_rule_is_refused_by_its_name(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        read_params([text])
    assert str(raised.value).startswith("--param ")


def test_a_stored_network_is_not_another_one(tmp_path: Path) -> None:
    made = make_network(
        Manifest(validators=1, shards=1, params={"dev_methods": True}, rpc=RpcSection(port=0)),
        tmp_path,
    )
    WantedNetwork(
        accounts=10,
        balance_ether=10_000,
        host="127.0.0.1",
        params={"dev_methods": True, "heartbeat": 3.0},
    ).check_against(made)
    for wanted, words in (
        (WantedNetwork(accounts=11), "accounts.count 10, not 11"),
        (WantedNetwork(balance_ether=1), "accounts.balance_ether 10000, not 1"),
        (WantedNetwork(mnemonic="zoo"), "accounts.mnemonic another one, not another one"),
        (WantedNetwork(host="::1"), "rpc.host 127.0.0.1, not ::1"),
        (WantedNetwork(compat="anvil"), "rpc.compat None, not anvil"),
        (
            WantedNetwork(block_time=1.0),
            "params.min_block_interval 0.05, not 1.0; params.heartbeat 3.0, not 1",
        ),
        (WantedNetwork(base=Manifest()), "another manifest"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            wanted.check_against(made)


def test_accounts_of_the_genesis(tmp_path: Path) -> None:
    text = f"""
        shards = 2
        validators = 1
        [rpc]
        port = 0
        [alloc.{STRANGER}]
        balance = "0xde0b6b3a7640000"
        code = "0x5f545f5260205ff3"
        storage = {{ "0x0" = "0x2a" }}
        [alloc.{"0x" + "22" * 20}]
        balance = 5
    """
    manifest = load(tmp_path, text)
    assert load(tmp_path, render_toml(manifest)) == manifest
    genesis = load_genesis(make_network(manifest, tmp_path / "made").directory / "genesis.json")
    assert (genesis.alloc[STRANGER], genesis.alloc["0x" + "22" * 20]) == (10**18, 5)
    assert list(genesis.contracts) == [STRANGER]
    home = home_by_range(parse_address(STRANGER), 2)
    for shard in (0, 1):
        _, delta = shard_genesis(genesis, ShardId(shard))
        state = State(delta.nodes.get, delta.root)
        here = shard == home
        account = bytes.fromhex(STRANGER[2:])
        assert (state.nonce(account), state.storage(account, 0)) == ((1, 42) if here else (0, 0))
        assert state.code(account) == (bytes.fromhex("5f545f5260205ff3") if here else b"")


@pytest.mark.parametrize(
    ("address", "keys", "words"),
    [
        ("0x4e59b44847b379578588920ca78fbf26c0b4956c", "balance = 1", "every shard has"),
        ("0x12", "balance = 1", "is not an address"),
        ("0x" + "22" * 20, 'balance = "much"', "is no number of wei"),
        ("0x" + "22" * 20, 'balance = "-5"', "is no number of wei"),
        ("0x" + "22" * 20, 'code = "5f"', "code must be 0x"),
        (
            "0x" + "ab" * 20,
            f"balance = 1\n[alloc.{'0x' + 'AB' * 20}]\nnonce = 2",
            "the same account",
        ),
    ],
)
def test_what_no_account_of_the_genesis_can_be(
    tmp_path: Path, address: str, keys: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        load(tmp_path, f"[alloc.{address}]\n{keys}\n")


def test_a_section_stands_for_a_development_account_however_it_is_spelled(tmp_path: Path) -> None:
    [account, *_] = (make_network(Manifest(), tmp_path / "plain")).accounts
    text = f"[rpc]\nport = 0\n[alloc.{account.address.lower()}]\nbalance = 7\n"
    layout = make_network(load(tmp_path, text), tmp_path / "made")
    assert load_genesis(layout.directory / "genesis.json").alloc[account.address] == 7


def test_what_is_rendered_is_read_back(tmp_path: Path) -> None:
    manifest = Manifest(
        shards=3,
        validators=(1, 2, 4),
        seed='a "seed"',
        timestamp=5,
        params={"heartbeat": 1.5, "gas_limit": 7_000_000},
        tracing=TracingConfig(sample_ratio=0.5),
        nodes={"s1v1": NodeSection(rpc_port=9000, dial_host="elsewhere")},
    )
    assert load(tmp_path, render_toml(manifest)) == manifest
    assert manifest.protocol_params() == Params(heartbeat=1.5, gas_limit=7_000_000)
    assert [name for name, _, _ in manifest.node_names()] == [
        "s0v0", "s1v0", "s1v1", "s2v0", "s2v1", "s2v2", "s2v3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tracing]\nendpoint = 'udp://h'", "key 'tracing.endpoint': 'udp://h' is not a URL"),
        ("[tracing]\nratio = 1", "unknown key 'tracing.ratio'; known here: endpoint, sample_ratio"),
        ("shard = 3", "unknown key 'shard'; did you mean 'shards'?"),
        ("shards = 0", "key 'shards': expected 'int' >= 1"),
        ("validators = 'four'", "key 'validators'"),
        ("shards = 2\nvalidators = [1]", "key 'validators': 1 numbers for 2 shards"),
        ("shards = 1000\nvalidators = 4", "4000 validators are over the limit"),
        ("chain_id = 0", "key 'chain_id'"),
        ("[params]\nheart_beat = 1", "section 'params': "),
        ("[params]\nheartbeat = 'x'", "key 'params"),
        ("[nodes.s9v9]\nrpc_port = 1", "section 'nodes.s9v9': there is no such node"),
        ("[nodes.s0v0]\nport = 1", "unknown key 'nodes.s0v0.port'; did you mean '"),
        ("[p2p]\ndial_host = '{nme}'", "key 'p2p.dial_host': '{nme}' is not a host"),
        ("[rpc]\nhost = 'a b'", "key 'rpc.host': 'a b' is not a host"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "network.toml"))
    assert expected in str(caught.value)


def test_templates() -> None:
    assert (
        fill_template("{name}.s{shard}.v{index}", "k", name="s1v2", shard=1, index=2)
        == "s1v2.s1.v2"
    )
