"""A real Slurm on this machine, for tests: all its daemons are in a PID namespace that ends with the test.

Its nodes are this machine alone, or several hosts: namespaces of network, host name and /dev/shm, joined by a bridge.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PACKAGES = ("slurm-wlm", "munge", "libpmix-dev")  # srun's pmix plugin loads libpmix by the name of the last
CPUS = 8
MAX_ARRAY_SIZE = 11
START_S = 60.0
INSTALL_S = 300.0
CALL_S = 60.0

CONFIG = """\
ClusterName=test
SlurmctldHost={host}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=0,requeue_delay=0
ReturnToService=2
KillWait=20
MaxArraySize={max_array_size}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
TmpFS={folder}/tmp-%n
PartitionName=main Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
"""
# A node is named like its host: else Open MPI 5 does not learn how many of its ranks share it. Where PMIx keeps its
# files, TmpFS, must not be the same on two nodes.

DAEMONS = """\
set -e
cd "$1"
munged --foreground --force --socket="$1/munge/socket" --key-file="$1/munge/key" --pid-file="$1/munge/pid" \\
    --seed-file="$1/munge/seed" --log-file="$1/munge/log" &
until [ -S munge/socket ]; do sleep 0.05; done
"""

HERE = """\
slurmctld -D &
slurmd -D &
wait
"""

HOSTS = """\
ip link set lo up
ip link add bridge type bridge
ip addr add 10.77.0.254/24 dev bridge
ip link set bridge up
slurmctld -D &
for number in $(seq "$2"); do
    unshare --net --uts --mount bash -c '
        hostname node$1
        mount -t tmpfs tmpfs /dev/shm
        ip link set lo up
        until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
        ip addr add 10.77.0.$1/24 dev eth0
        ip link set eth0 up
        exec slurmd -D -N node$1' host $number &
    until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
    ip link add veth$number type veth peer name eth0 netns $!
    ip link set veth$number master bridge up
done
wait
"""


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs.

    Args:
        variables: the environment in which its commands find it.
        enter: the command line before a command's own, from which it can be reached.
    """

    folder: Path
    variables: dict[str, str]
    nodes: int = 1
    enter: tuple[str, ...] = ()

    def call(self, *command: str) -> str:
        """Return what a command prints; it must succeed."""
        line = [*self.enter, *command]
        answer = subprocess.run(line, env=self.variables, capture_output=True, text=True, timeout=CALL_S)
        assert answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def logs(self) -> str:
        """Return the ends of the daemons' logs, for messages of failed tests."""
        return "\n".join(
            f"== {path.name}\n" + "".join(path.read_text(errors="replace").splitlines(keepends=True)[-20:])
            for path in self.folder.glob("*.log")
        )


def why_not() -> str:
    """Return why no Slurm can be started here, after trying to install it, or nothing."""
    if os.geteuid() != 0:
        return "its daemons need root"
    tools = ("sbatch", "srun", "slurmctld", "slurmd", "munged")
    if any(shutil.which(tool) is None for tool in tools):
        if shutil.which("apt-get") is None:
            return "not installed, and there is no apt-get"
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            try:
                answer = subprocess.run(
                    ["apt-get", *command], env=quiet, capture_output=True, text=True, timeout=INSTALL_S
                )
            except subprocess.TimeoutExpired:
                return f"apt-get {command[0]} took longer than {INSTALL_S:.0f} s"
            if answer.returncode:
                return f"apt-get {command[0]} failed: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}"
    namespaces = subprocess.run([*NAMESPACE, "--net", "--uts", "true"], capture_output=True, text=True)
    return f"no namespaces: {namespaces.stderr.strip()}" if namespaces.returncode else ""


# Whoever starts it may be killed: then unshare is too, and with it the first process of the namespace, and so all.
NAMESPACE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a Slurm with this machine as its one node."""
    host = socket.gethostname()
    controller, node = _free_ports(2)
    lines = f"SlurmctldPort={controller}\nNodeName={host} NodeAddr=127.0.0.1 Port={node} CPUs={CPUS} RealMemory=4000\n"
    with _daemons(lines, "127.0.0.1", [host], DAEMONS + HERE, []) as started:
        yield started


@contextmanager
def cluster_of_hosts(number: int) -> Iterator[Cluster]:
    """Start a Slurm on so many hosts of one CPU, node1 and on."""
    names = [f"node{k}" for k in range(1, number + 1)]
    lines = "".join(f"NodeName={name} NodeAddr=10.77.0.{k} CPUs=1 RealMemory=4000\n" for k, name in enumerate(names, 1))
    with _daemons(lines, "10.77.0.254", names, DAEMONS + HOSTS, ["--net"]) as started:
        yield started


@contextmanager
def _daemons(lines: str, address: str, nodes: list[str], script: str, namespaces: list[str]) -> Iterator[Cluster]:
    """Start the daemons in a folder of their own; whatever happens, they and their jobs end with this or with
    pytest."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, since a socket's path must be
    process = None
    try:
        for name in ("munge", "state", *(f"tmp-{node}" for node in nodes)):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o711)
        (folder / "munge" / "key").write_bytes(os.urandom(1024))
        (folder / "munge" / "key").chmod(0o600)
        config = CONFIG.format(folder=folder, host=socket.gethostname(), address=address, max_array_size=MAX_ARRAY_SIZE)
        (folder / "slurm.conf").write_text(config + lines)
        variables = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        with (folder / "daemons.log").open("w") as log:
            process = subprocess.Popen(
                [*NAMESPACE, *namespaces, "bash", "-c", script, "daemons", str(folder), str(len(nodes))],
                env=variables, stdout=log, stderr=log,
            )  # fmt: skip
        yield _when_up(folder, variables, len(nodes), process, enter=bool(namespaces))
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _when_up(
    folder: Path, variables: dict[str, str], nodes: int, process: "subprocess.Popen[bytes]", *, enter: bool
) -> Cluster:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        inside = psutil.Process(process.pid).children()
        if inside:
            net = (f"nsenter --net=/proc/{inside[0].pid}/ns/net").split() if enter else ()
            started = Cluster(folder, variables, nodes, tuple(net))
            states = subprocess.run([*net, "sinfo", "-hN", "-o", "%T"], env=variables, capture_output=True, text=True)
            if states.stdout.split() == ["idle"] * nodes:
                return started
        time.sleep(0.2)
    log = (folder / "daemons.log").read_text()
    raise AssertionError(f"Slurm did not start:\n{log[-4000:]}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
