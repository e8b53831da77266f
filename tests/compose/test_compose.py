"""`docker compose up --wait` as a user runs it, what is done to its containers, and that nothing is left."""

import json
import urllib.request
from pathlib import Path

import pytest
from eth_account import Account

from tests.compose.conftest import Project, timed, wait_for
from tests.compose.engine import ROOT, Engine, run

NODES = [f"s{shard}v{index}" for shard in range(2) for index in range(4)]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("profiles", ["", "four-shards", "monitoring", "four-shards,monitoring"])
def test_both_kinds_of_compose_read_the_file(docker: Engine, version: int, profiles: str) -> None:
    services = set(Project(docker, version, profiles)("config", "--services").split())
    shards = 4 if "four-shards" in profiles else 2
    expected = {"genesis"} | {f"s{shard}v{i}" for shard in range(shards) for i in range(4)}
    if "monitoring" in profiles:
        expected |= {"prometheus", "grafana"}
    # docker-compose 1 lists the services of all profiles.
    assert services == expected or (version == 1 and services >= expected)


def test_up_waits_until_every_shard_makes_blocks(project: Project) -> None:
    assert sorted(project.nodes()) == NODES
    for name, container in project.nodes().items():
        assert container["State"]["Health"]["Status"] == "healthy", name
    with urllib.request.urlopen(f"{project.endpoint}/readyz", timeout=10) as answer:
        assert json.load(answer)["ready"] is True
    first = [project.height(shard) for shard in range(2)]
    assert all(height > 0 for height in first)
    wait_for(lambda: all(project.height(s) > first[s] for s in range(2)), "more blocks")


def test_web3_from_the_host_across_shards(project: Project) -> None:
    w3 = project.w3
    alice = Account.from_key(project.accounts(0)[0]["privateKey"])
    bob = project.accounts(1)[0]["address"]
    before = w3.eth.get_balance(bob)
    with timed("2x4: a transfer to another shard, with its receipt"):
        signed = alice.sign_transaction(
            {
                "to": bob,
                "value": 10**18,
                "gas": 21000,
                "chainId": w3.eth.chain_id,
                "nonce": w3.eth.get_transaction_count(alice.address),
                "maxFeePerGas": 2 * w3.eth.gas_price,
                "maxPriorityFeePerGas": w3.eth.max_priority_fee,
            }
        )
        tx = w3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = w3.eth.wait_for_transaction_receipt(tx, timeout=60)
    assert receipt["status"] == 1
    assert w3.eth.get_balance(bob) == before + 10**18


def test_development_methods_are_there_as_with_atoll_up(project: Project) -> None:
    account = Account.create().address
    request = project.w3.provider.make_request
    assert "error" not in request("anvil_setBalance", [account, hex(7)])  # type: ignore[arg-type]
    assert project.w3.eth.get_balance(account) == 7


def test_containers_may_do_little(project: Project) -> None:
    for name, container in project.nodes().items():
        host = container["HostConfig"]
        assert container["Config"]["User"] == "atoll"
        assert host["ReadonlyRootfs"] is True
        assert host["Init"] is True
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        bindings = [b for found in (host["PortBindings"] or {}).values() for b in found]
        assert [b["HostIp"] for b in bindings] == (["127.0.0.1"] if name == "s0v0" else [])
        mounts = {m["Destination"]: m for m in container["Mounts"]}
        assert {m["Type"] for m in mounts.values()} == {"volume"}
        assert mounts["/network"]["RW"] is False
        assert mounts["/data"]["RW"] is True
    genesis = project.containers()["genesis"]
    assert genesis["State"]["ExitCode"] == 0
    uid = project.docker.docker("exec", project.container("s0v0"), "id", "-u")
    assert uid.strip() == "10001"


def test_a_node_has_its_own_keys_and_nobody_elses(project: Project) -> None:
    seen = set()
    for name, container in project.nodes().items():
        mounted = {m["Destination"]: m["Name"] for m in container["Mounts"]}
        own = {"/network": f"{project.name}_{name}-keys", "/data": f"{project.name}_{name}"}
        assert mounted == own
        keys = [f"/network/net/nodes/{name}/{kind}.key" for kind in ("identity", "validator")]
        find = "find / -name identity.key -o -name validator.key | sort"
        exec_find = ("exec", project.container(name), "sh", "-c", find)

        def has_its_own(command: tuple[str, ...] = exec_find, keys: list[str] = keys) -> bool:
            return project.docker.docker(*command, check=False).split() == keys

        wait_for(
            has_its_own, f"{name} to show its own keys and no others"
        )  # an exec may come to nothing
        digest = project.docker.docker("exec", project.container(name), "sha256sum", keys[1])
        seen.add(digest.split()[0])
    assert len(seen) == len(NODES)


def test_prometheus_is_given_addresses_and_no_key(project: Project) -> None:
    read = Project(project.docker, profiles="monitoring")("config", "--format", "json")
    mounts = json.loads(read)["services"]["prometheus"]["volumes"]
    volumes = {m["target"]: m["source"] for m in mounts if m["type"] == "volume"}
    assert volumes == {"/network": "targets", "/prometheus": "prometheus"}
    found = project.docker.docker(
        "run", "--rm", "--volume", f"{project.name}_targets:/network:ro", "--user", "nobody",
        "--entrypoint", "sh", "atoll:local", "-c", "find /network -type f; cat /network/net/*",
    )  # fmt: skip
    path, _, targets = found.partition("\n")
    assert path == "/network/net/targets.json"
    assert [row["labels"]["node"] for row in json.loads(targets)] == NODES


def test_the_image_has_no_compiler(docker: Engine, image: str) -> None:
    found = docker.docker(
        "run", "--rm", "--entrypoint", "sh", image, "-c", "command -v gcc cc ld make || echo none"
    )
    assert found.strip() == "none"


def test_a_process_that_is_killed_comes_back_by_itself(project: Project) -> None:
    kill = (
        "import os, signal\n"
        "pids = [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]\n"
        "of = {p: open(f'/proc/{p}/cmdline').read() for p in pids}\n"
        "os.kill(next(p for p, command in of.items() if 'node.toml' in command), signal.SIGKILL)"
    )
    container = project.container("s1v1")
    project.docker.docker("exec", container, "python", "-c", kill)

    def restarted() -> bool:
        (found,) = project.docker.inspect(container)
        return bool(found["RestartCount"] >= 1 and found["State"]["Running"])

    wait_for(restarted, "the engine to start s1v1 again")
    with timed("2x4: killed process -> back with its shard"):
        wait_for(lambda: project.is_back("s1v1", 1), "s1v1 to be back")


def test_a_container_that_is_killed_and_started_again(project: Project) -> None:
    project.docker.docker("kill", project.container("s1v0"))
    height = project.height(1)
    wait_for(lambda: project.height(1) >= height + 3, "three blocks without s1v0")
    project("start", "s1v0")
    with timed("2x4: killed container, started -> back with its shard"):
        wait_for(lambda: project.is_back("s1v0", 1), "s1v0 to be back")


def test_a_container_that_is_paused(project: Project) -> None:

    def paused() -> bool:
        # The kernel does not freeze a process that waits for the disk, and the engine gives up soon.
        project("pause", "s1v2", check=False)
        return bool(project.containers()["s1v2"]["State"]["Paused"])

    wait_for(paused, "s1v2 to be paused")
    height = project.height(1)
    wait_for(lambda: project.height(1) >= height + 3, "three blocks without s1v2")
    project("unpause", "s1v2")
    with timed("2x4: paused container, unpaused -> back with its shard"):
        wait_for(lambda: project.is_back("s1v2", 1), "s1v2 to be back")


def test_a_container_that_is_cut_off(project: Project) -> None:
    network, container = f"{project.name}_default", project.container("s1v3")
    project.docker.docker("network", "disconnect", network, container)
    height = project.height(1)
    wait_for(lambda: project.height(1) >= height + 3, "three blocks without s1v3")
    wait_for(lambda: project.health("s1v3") == "unhealthy", "the health check to fail")
    (found,) = project.docker.inspect(container)
    said = "".join(entry["Output"] for entry in found["State"]["Health"]["Log"])
    assert "no block for" in said
    project.docker.docker("network", "connect", "--alias", "s1v3", network, container)
    with timed("2x4: container cut off, connected -> back with its shard"):
        wait_for(lambda: project.is_back("s1v3", 1), "s1v3 to be back")


def test_value_is_conserved_after_all_that(project: Project) -> None:
    audit = project.w3.provider.make_request("atoll_audit", ["latest"])["result"]  # type: ignore[arg-type]
    assert audit["balanced"] is True


def test_it_stops_in_time_and_goes_on_where_it_was(project: Project) -> None:
    heights = [project.height(shard) for shard in range(2)]
    with timed("2x4: stop"):
        project("stop")
    for name, container in project.nodes().items():
        assert container["State"]["ExitCode"] == 0, name  # 137: the grace period was over
    with timed("2x4: up --wait on the same data"):
        project("up", "--wait", "--detach")
    assert all(project.height(shard) >= heights[shard] for shard in range(2))


def test_down_leaves_data_and_with_v_nothing(project: Project) -> None:
    project("down")
    assert project.nodes() == {}
    volumes = project.docker.docker("volume", "ls", "-q", "--filter", project.label).split()
    assert f"{project.name}_network" in volumes
    project("down", "-v")
    assert project.leftovers() == ""


def test_docker_compose_1_runs_it_too(docker: Engine, image: str, logs: Path) -> None:
    project = Project(docker, version=1)
    try:
        with timed("2x4: up by docker-compose 1 -> all healthy"):
            project("up", "--detach")
            wait_for(
                lambda: {project.health(name) for name in NODES} == {"healthy"},
                "every container to be healthy",
            )
        assert project.w3.eth.chain_id == 31337
    finally:
        project.save_logs(logs)
        project("down", "-v", check=False)
    assert project.leftovers() == ""


def test_four_shards(docker: Engine, image: str, logs: Path) -> None:
    project = Project(docker, profiles="four-shards")
    try:
        with timed("4x4: up --wait"):
            project("up", "--wait", "--detach")
        assert len(project.nodes()) == 16
        heights = [project.height(shard) for shard in range(4)]
        assert all(height > 0 for height in heights)
    finally:
        project.save_logs(logs)
        with timed("4x4: down -v"):
            project("down", "-v", check=False)
    assert project.leftovers() == ""


def test_the_size_of_the_image(docker: Engine, image: str) -> None:
    """What is ours in it: all layers but those of the base."""
    base = next(
        line.split("=")[1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("ARG PYTHON=")
    )
    whole, below = (docker.inspect(name)[0]["Size"] for name in (image, base))
    print(f"image: {whole >> 20} MiB, of which {below >> 20} MiB are its base")
    assert whole - below < 400 << 20


def test_the_genesis_step_says_what_to_do_about_another_network(docker: Engine, image: str) -> None:
    """Four shards on the data of two: a line that says so, no stack trace."""
    volume = "atoll-test-other"
    command = ["docker", "run", "--rm", "-v", f"{volume}:/network", "--entrypoint"]
    try:
        run(*command, "/opt/atoll/genesis.sh", image, env=docker.environment)
        run(*command, "/opt/atoll/genesis.sh", image, env=docker.environment)  # keeps what is there
        with pytest.raises(AssertionError, match="was made from another manifest"):
            run(
                *command[:3], "-e", "PROFILES=four-shards", *command[3:], "/opt/atoll/genesis.sh",
                image, env=docker.environment,
            )  # fmt: skip
    finally:
        docker.docker("volume", "rm", "-f", volume)
