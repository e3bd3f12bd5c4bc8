"""A real Slurm on this machine, for tests: one node, all its daemons in a PID namespace that ends with the test."""

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

import pytest

PACKAGES = ("slurm-wlm", "munge", "libpmix-dev")  # srun's pmix plugin loads libpmix by the name of the last
CPUS = 8
MAX_ARRAY_SIZE = 11
START_S = 60.0
INSTALL_S = 300.0
CALL_S = 60.0

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
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
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 Port={node} CPUs={cpus} RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
"""

DAEMONS = """\
set -e
cd "$1"
munged --foreground --force --socket="$1/munge/socket" --key-file="$1/munge/key" --pid-file="$1/munge/pid" \\
    --seed-file="$1/munge/seed" --log-file="$1/munge/log" &
until [ -S munge/socket ]; do sleep 0.05; done
slurmctld -D &
slurmd -D &
wait
"""


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs; `variables` is the environment in which its commands find it."""

    folder: Path
    variables: dict[str, str]

    def call(self, *command: str) -> str:
        """Return what a command of Slurm prints; it must succeed."""
        answer = subprocess.run(command, env=self.variables, capture_output=True, text=True, timeout=CALL_S)
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
            answer = subprocess.run(["apt-get", *command], env=quiet, capture_output=True, text=True, timeout=INSTALL_S)
            if answer.returncode:
                return f"apt-get {command[0]} failed: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}"
    namespace = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True)
    return f"no PID namespace: {namespace.stderr.strip()}" if namespace.returncode else ""


NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a Slurm in a folder of its own; whatever happens, its daemons and jobs end with this or with pytest."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, since a socket's path must be
    process = None
    try:
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o711)
        (folder / "munge" / "key").write_bytes(os.urandom(1024))
        (folder / "munge" / "key").chmod(0o600)
        controller, node = _free_ports(2)
        (folder / "slurm.conf").write_text(
            CONFIG.format(
                folder=folder,
                host=socket.gethostname(),
                controller=controller,
                node=node,
                cpus=CPUS,
                max_array_size=MAX_ARRAY_SIZE,
            )
        )
        variables = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        with (folder / "daemons.log").open("w") as log:
            process = subprocess.Popen(
                [*NAMESPACE, "bash", "-c", DAEMONS, "daemons", str(folder)], env=variables, stdout=log, stderr=log
            )
        started = Cluster(folder, variables)
        _wait_for_node(started, process)
        yield started
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_node(cluster: Cluster, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        nodes = subprocess.run(["sinfo", "-h", "-o", "%T"], env=cluster.variables, capture_output=True, text=True)
        if nodes.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    pytest.fail(f"Slurm did not start:\n{cluster.logs()}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
