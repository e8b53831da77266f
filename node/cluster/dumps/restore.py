"""`atoll load`: the network of a dump, on this machine.

Addresses and paths in a dump belong to the machine it was made on, or may be hostile. So every node gets
loopback addresses with free ports here, and the paths of a new network.
"""

import shutil
from contextlib import closing
from pathlib import Path

import msgspec

from node.cluster.addresses import NodeAddresses, plan_addresses
from node.cluster.check_file import check_file
from node.cluster.dumps.archive import ArchiveReader, Contents, Progress
from node.cluster.launch import locked_directory
from node.cluster.layout import (
    ACCOUNTS,
    GENESIS,
    MANIFEST,
    MARKER,
    NODES,
    NetworkLayout,
    NodeFiles,
    claim_directory,
    clear_directory,
    load_layout,
    node_files,
)
from node.cluster.manifest import Manifest, NodeSection, P2pSection, RpcSection, load_manifest
from node.cluster.targets import write_targets
from node.config.node_config import NodeConfig
from node.config.node_faults import NodeFaults
from node.config.toml import load_toml, render_toml
from node.primitives.errors import UserError
from node.primitives.genesis import load_genesis
from node.storage.files import make_directory, remove, write_atomically, write_new

SECRET = (".key", ACCOUNTS, MANIFEST)
STORED = f"{NODES}/{MANIFEST}"
"""The place of the manifest until the network is whole: a directory without network.toml has no network."""
SPARE_BYTES = 64 << 20


def load_network(
    file: Path, directory: Path, *, rpc_port: int | None, reset: bool, progress: Progress
) -> tuple[NetworkLayout, Contents]:
    """Make the network of a dump in `directory`, which must be empty or absent, or is cleared with `reset`.

    `rpc_port`: of the first node, 0 for free ones; left out, that of the dump or the next one that is free.
    When anything is wrong nothing is left of it. Raises UserError.
    """
    directory = directory.absolute()
    with closing(ArchiveReader(file)) as archive:
        _check_contents(file, archive.contents)
        with locked_directory(directory, reset=reset) as lock:
            new = not directory.exists()
            claim_directory(directory)
            try:
                lock()
                _check_space(directory, archive.contents.total)
                _extract(archive, directory, progress)
                _settle(file, directory, archive.contents, rpc_port)
                layout = load_layout(directory)
                write_targets(layout)
            except OSError as error:
                _undo(directory, new)
                raise UserError(f"{error.filename or directory}: {error.strerror}") from None
            except BaseException:
                _undo(directory, new)
                raise
            return layout, archive.contents


def _check_contents(file: Path, contents: Contents) -> None:
    paths = {entry.path for entry in contents.files}
    for name in (GENESIS, ACCOUNTS, MANIFEST):
        if name not in paths:
            raise UserError(f"{file} is damaged: there is no {name} in it; make the dump again")


def _check_space(directory: Path, wanted: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < wanted + SPARE_BYTES:
        raise UserError(
            f"{directory}: {wanted >> 20} MiB are needed, and {free >> 20} MiB are free"
        )


def _extract(archive: ArchiveReader, directory: Path, progress: Progress) -> None:
    for entry, pieces in archive.files(progress):
        path = directory / (STORED if entry.path == MANIFEST else entry.path)
        make_directory(path.parent)
        write_new(path, pieces, mode=0o600 if entry.path.endswith(SECRET) else 0o644)


def _settle(file: Path, directory: Path, contents: Contents, rpc_port: int | None) -> None:
    """Turn the files of another machine into a network of this one; network.toml comes last."""
    genesis, stored = load_genesis(directory / GENESIS), load_manifest(directory / STORED)
    names = [validator.name for validator in genesis.validators]
    if names != [name for name, _, _ in stored.node_names()] or names != contents.nodes:
        raise UserError(f"{file} is damaged: genesis, manifest and list are not of one network")
    directories = {path.name for path in (directory / NODES).iterdir() if path.is_dir()}
    if directories != set(names):
        raise UserError(f"{file} is damaged: it does not have the files of every node")
    files = [node_files(directory, name) for name in names]
    configs = [load_toml(node.config, NodeConfig, what="a configuration") for node in files]
    manifest = _on_this_machine(stored, configs[0].rpc.port if rpc_port is None else rpc_port)
    addresses = plan_addresses(manifest, any_rpc_port=rpc_port is None)
    by_name = {node.name: node for node in addresses}
    for node, config in zip(files, configs, strict=True):
        _rewrite(node, config, by_name)
        check_file(node.config)
        make_directory(node.directory / "data")
        (node.directory / "data").chmod(0o700)
    remove(directory / STORED)
    write_atomically(directory / MANIFEST, render_toml(manifest).encode(), mode=0o600)


def _on_this_machine(manifest: Manifest, rpc_port: int) -> Manifest:
    stakes = {
        name: NodeSection(stake_ether=node.stake_ether)
        for name, node in manifest.nodes.items()
        if node.stake_ether is not None
    }
    return msgspec.structs.replace(
        manifest,
        data_dir=Path("data"),
        p2p=P2pSection(),
        rpc=RpcSection(
            port=rpc_port,
            cors_origins=manifest.rpc.cors_origins,
            send_wait=manifest.rpc.send_wait,
        ),
        tracing=None,  # a collector of another machine
        nodes=stakes,
    ).check()


def _rewrite(node: NodeFiles, config: NodeConfig, addresses: dict[str, NodeAddresses]) -> None:
    """The configuration with the paths and addresses of here, without faults and tracing; all else stays."""
    if config.name != node.name:
        raise UserError(f"{node.config}: it is the configuration of {config.name!r}")
    own = addresses[node.name]
    for peer in config.peers:
        if peer.name not in addresses:
            raise UserError(f"{node.config}: the peer {peer.name!r} is not in the dump")
    changed = msgspec.structs.replace(
        config,
        genesis=Path("..") / ".." / GENESIS,
        identity_key=Path(node.identity_key.name),
        validator_key=None if config.validator_key is None else Path(node.validator_key.name),
        data_dir=Path("data"),
        faults=NodeFaults(),
        tracing=None,
        p2p=msgspec.structs.replace(config.p2p, listen=own.listen),
        rpc=msgspec.structs.replace(
            config.rpc, host=own.rpc_host, port=own.rpc_port, allowed_hosts=own.allowed_hosts
        ),
        peers=tuple(
            msgspec.structs.replace(peer, address=addresses[peer.name].dial)
            for peer in config.peers
        ),
    ).check()
    write_atomically(node.config, render_toml(changed).encode())


def _undo(directory: Path, new: bool) -> None:
    clear_directory(directory)
    (directory / MARKER).unlink(missing_ok=True)
    if new:
        directory.rmdir()
