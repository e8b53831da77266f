"""The networks of one test session, by what they are asked to be. Knows nothing of pytest."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

from node.config.toml import render_toml
from node.primitives.errors import AtollError
from node.testing.network import Network
from node.testing.options import Options, manifest_of, with_sections


class SharedNetworks:
    """Starts networks in directories of their own and stops them."""

    def __init__(
        self, root: Callable[[], Path], *, keep: bool = False, one_at_a_time: bool = False
    ) -> None:
        """`root` makes the directory for all networks, once the first one is wanted. With `keep` their files
        stay; otherwise those of a network stay if something says `network.keep = True`, as a failed test.
        `one_at_a_time`: shared networks `rest` while another one is wanted."""
        self._make_root = root
        self._root: Path | None = None
        self._keep = keep
        self._one_at_a_time = one_at_a_time
        self.manifest: Mapping[str, Any] = {}
        "Of every network, as `Options.manifest`; what a network asks for itself goes first."
        self._numbers = itertools.count()
        self._shared: dict[str, Network] = {}
        self._resting: set[Network] = set()
        self._all: list[Network] = []

    def shared(self, **options: Unpack[Options]) -> Network:
        """The network of these options with all its nodes, the same one for every caller, until it is stopped.

        Raises as Network.start.
        """
        options = self._completed(options)
        shape = render_toml(manifest_of(options))
        network = self._shared.get(shape)
        if network is None or not (network.is_up or network in self._resting):
            network = self._shared[shape] = self.start(**options)
        elif self._one_at_a_time:
            self.rest(but=network)
        if not network.answers:
            network.up()
        self._resting.discard(network)
        return network

    def rest(self, *, but: Network | None = None) -> None:
        """Stop the nodes of shared networks; `shared` starts them again, with their data."""
        for network in self._shared.values():
            if network.is_up and network is not but:
                network.down()
                self._resting.add(network)

    def start(self, **options: Unpack[Options]) -> Network:
        """Start a network for one caller alone. Raises as Network.start."""
        if self._one_at_a_time:
            self.rest()
        if self._root is None:
            self._root = self._make_root()
        options = self._completed(options)
        shape = manifest_of(options)
        sizes = set(shape.committee_sizes())
        name = f"{next(self._numbers)}-{shape.shards}x{'_'.join(map(str, sorted(sizes)))}"
        network = Network(directory=self._root / name, keep=self._keep, **options)
        self._all.append(network)
        network.up()
        return network

    def _completed(self, options: Options) -> Options:
        if not self.manifest:
            return options
        return {**options, "manifest": with_sections(self.manifest, options.get("manifest", {}))}

    @property
    def running(self) -> list[Network]:
        return [network for network in self._all if network.is_up]

    @property
    def kept(self) -> list[Path]:
        """The directories of networks whose files stay."""
        return [network.directory for network in self._all if network.keep]

    def stop(self) -> None:
        """Stop all of them. What one of them raises is raised when the others have been stopped."""
        trouble: AtollError | None = None
        for network in self._all:
            try:
                network.stop()
            except AtollError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
