"""The configuration of a node: what is read, and what a person is told when it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config.node_config import (
    LogConfig,
    NodeConfig,
    P2pConfig,
    PeerConfig,
    RpcConfig,
    TracingConfig,
    load_node_config,
    split_host_port,
)
from node.config.toml import parse_toml, render_toml
from node.primitives.errors import UserError

MINIMAL = 'name = "s0v0"\ngenesis = "../genesis.json"\nidentity_key = "identity.key"\n'
ACCOUNT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def load(tmp_path: Path, text: str) -> NodeConfig:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return load_node_config(path)


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.validator_key is None
    assert config.data_dir == tmp_path / "data"
    assert config.rpc == RpcConfig()
    assert config.rpc.host == "127.0.0.1"
    assert config.log == LogConfig(level="info", format="text")
    assert config.tracing is None
    assert config.peers == ()


def test_relative_paths_are_relative_to_the_file_and_absolute_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "node.toml").write_text(
        MINIMAL + 'data_dir = "/var/atoll"\nvalidator_key = "keys/v.key"'
    )
    monkeypatch.chdir(tmp_path)
    config = load_node_config(Path("deep/node.toml"))
    assert config.genesis == tmp_path / "genesis.json"
    assert config.data_dir == Path("/var/atoll")
    assert config.validator_key == tmp_path / "deep" / "keys" / "v.key"


def test_everything_written_is_read_back(tmp_path: Path) -> None:
    config = NodeConfig(
        name="s1v3",
        genesis=tmp_path / "genesis.json",
        identity_key=tmp_path / 'odd "name"\\\t\x7fé.key',
        data_dir=tmp_path / "data",
        validator_key=tmp_path / "v.key",
        dev_accounts=(ACCOUNT,),
        p2p=P2pConfig(listen="[::1]:4000"),
        rpc=RpcConfig(
            enabled=False, host="::", port=0, cors_origins=("*",), allowed_hosts=("atoll",),
            expose_accounts=False,
        ),
        log=LogConfig(level="debug", format="json"),
        tracing=TracingConfig(endpoint="$COLLECTOR", sample_ratio=0.25),
        peers=(
            PeerConfig(name="s0v0", peer_id="12D3a", address="127.0.0.1:1"),
            PeerConfig(name="s0v1", peer_id="12D3b", address="s0v1:30300"),
        ),
    )  # fmt: skip
    assert load(tmp_path, render_toml(config)) == config


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_survives_rendering(text: str) -> None:
    config = NodeConfig(
        name="a", genesis=Path("g"), identity_key=Path("i"), rpc=RpcConfig(cors_origins=(text,))
    )
    assert parse_toml(render_toml(config), NodeConfig).rpc.cors_origins == (text,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + "[rpc]\nprot = 1", "unknown key 'rpc.prot'; did you mean 'port'?"),
        (MINIMAL + "data-dir = 'x'", "unknown key 'data-dir'; did you mean 'data_dir'?"),
        (MINIMAL + "zzz = 1", "unknown key 'zzz'; known here: name, genesis"),
        (MINIMAL + "[[peers]]\nnam = 'x'", "unknown key 'peers[0].nam'; did you mean 'name'?"),
        (MINIMAL + "[rpc]\nport = 'x'", "key 'rpc.port': expected 'int', got 'str'"),
        (MINIMAL + "[rpc]\nport = 70000", "key 'rpc.port': expected 'int' <= 65535"),
        (MINIMAL + "[cache]\ntrie_nodes = 10", "key 'cache.trie_nodes': expected 'int' >= 1000"),
        (
            MINIMAL + "[cache]\ntrie_nodes = '1M'",
            "key 'cache.trie_nodes': expected 'int', got 'str'",
        ),
        (MINIMAL + "[cache]\ndatabase_mib = 0", "key 'cache.database_mib': expected 'int' >= 1"),
        (MINIMAL + "[cache]\nnodes = 5000", "unknown key 'cache.nodes'"),
        (MINIMAL + "[rpc]\nhost = ''", "key 'rpc.host': a host or address"),
        (MINIMAL + "[log]\nlevel = 'loud'", "key 'log.level': invalid enum value 'loud'"),
        (
            MINIMAL + "[tracing]\nendpoit = 'x'",
            "unknown key 'tracing.endpoit'; did you mean 'endpoint'?",
        ),
        (
            MINIMAL + "[tracing]\nendpoint = 'h:4318'",
            "key 'tracing.endpoint': 'h:4318' is not a URL",
        ),
        (
            MINIMAL + "[tracing]\nendpoint = 'http://h:x'",
            "key 'tracing.endpoint': 'http://h:x' is not",
        ),
        (MINIMAL + "[tracing]\nendpoint = '$'", "key 'tracing.endpoint': '$' is not a URL"),
        (MINIMAL + "[tracing]\nsample_ratio = 2", "key 'tracing.sample_ratio': expected"),
        (MINIMAL + "rpc = 5", "key 'rpc': expected 'object', got 'int'"),
        (MINIMAL + "data_dir = ''", "key 'data_dir': a path is expected"),
        (MINIMAL + "data_dir = 5", "key 'data_dir': a path is expected"),
        (MINIMAL + "[p2p]\nlisten = '127.0.0.1'", "key 'p2p.listen': '127.0.0.1' is not host:port"),
        (MINIMAL + "[p2p]\nlisten = '::1:4'", "key 'p2p.listen'"),
        (MINIMAL + "dev_accounts = ['0x12']", "key 'dev_accounts[0]': '0x12' is not an address"),
        (MINIMAL.replace("s0v0", "../x"), "key 'name': '../x' is not a name"),
        (
            MINIMAL.replace("genesis =", "genesys ="),
            "unknown key 'genesys'; did you mean 'genesis'?",
        ),
        ("name = 's0v0'", "object missing required field 'genesis'"),
        ("name = ", "not valid TOML"),
        (
            MINIMAL + "[[peers]]\nname = 's0v0'\npeer_id = 'x'\naddress = 'h:1'",
            "key 'peers[0].name': 's0v0' is name already",
        ),
        (
            MINIMAL + "[[peers]]\nname = 'a'\npeer_id = 'x'\naddress = 'h:99999'",
            "key 'peers[0].address': 'h:99999' is not host:port",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "node.toml") in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        load_node_config(tmp_path / "absent.toml")
    with pytest.raises(UserError, match="Is a directory"):
        load_node_config(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="UTF-8"):
        load_node_config(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (5 << 20))
    with pytest.raises(UserError, match="too large"):
        load_node_config(tmp_path / "large.toml")


def test_split_host_port() -> None:
    assert split_host_port("s0v0:30300", "k") == ("s0v0", 30300)
    assert split_host_port("[::1]:0", "k") == ("::1", 0)
