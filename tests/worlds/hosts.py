"""Hosts made of network namespaces, on a switch with shaped links, so that MPI ranks meet a real, slow network.

Each host has a network, a host name, a /dev/shm and processes of its own, so that MPI takes it for another machine;
files are shared. A host lives as long as its first process, which waits for the end of a pipe that this process holds:
however this process ends, the kernel ends the hosts' processes and takes their networks apart.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from repro.launch.mpi_env import available_cores, environment, mpirun

BURST_S = 0.6e-3
"""What a link lets through at once after a pause, in seconds' worth. Less would be more like a card of that rate, but
from 1 Gbit/s on the kernel would have to cut its 64 KiB packets up, and the ranks need the processor."""


QUEUE_MS = 200
"""How long a packet may wait for a link before it is dropped: longer than for all that TCP has under way."""

SWITCH = "10.77.0.254"
OWN = ("--net", "--uts", "--ipc", "--mount", "--pid")
"""What a host has for itself, as options of unshare and nsenter."""

TOOLS = ("ip", "tc", "unshare", "nsenter")
# Reno, which every kernel has, keeps links full; BBR, the default of some, is made for long streams, and two that cross
# took up to half as long again.
FIRST_PROCESS = """
echo "$0" > /proc/sys/kernel/hostname
mount -t tmpfs tmpfs /dev/shm
mkdir /dev/shm/tmp
echo reno > /proc/sys/net/ipv4/tcp_congestion_control
echo ready
exec cat
"""
# mpirun calls it as it would call ssh: with a host and a command line for a shell
AGENT = """#!/bin/sh
host=$1
shift
case $host in
{cases}
esac
exec {enter} env TMPDIR=/dev/shm/tmp sh -c "$*"
"""


class Hosts:
    """Hosts with addresses 10.77.0.1, 10.77.0.2, ...; make them with `hosts`."""

    def __init__(self, pids: Sequence[int], switch: int, agent: Path) -> None:
        self._pids, self._switch, self._agent = pids, switch, agent
        self.size = len(pids)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that starts `argv` on one rank a host."""
        addresses = ",".join(f"{_address(number)}:1" for number in range(self.size))
        # those of Open MPI go to the ranks by themselves
        passed = [name for name in self.environment() if not name.startswith(("OMPI_", "PRTE_"))]
        here = ["env", f"--chdir={Path.cwd()}", "TMPDIR=/dev/shm/tmp"]  # nsenter leaves for the root folder
        ranks = ["--bind-to", "none", "--map-by", "ppr:1:node", "-H", addresses, "-n", str(self.size)]
        variables = [word for name in passed for word in ("-x", name)]
        return [*_enter(self._switch), *here, str(mpirun()), *ranks, *variables, *argv]

    def environment(self) -> dict[str, str]:
        """Return the variables that mpirun and the ranks need beside those of this process."""
        return {
            **environment(self.size, available_cores()),
            "PRTE_MCA_plm_ssh_agent": str(self._agent),
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "self,sm,tcp",
            "OMPI_MCA_btl_tcp_if_include": "eth0",
            # By default a long message is one piece on its connection, and what tells the other side to send its own
            # can wait behind it: an all-reduce took twice as long, one way after the other.
            "OMPI_MCA_btl_tcp_flags": "send",
            # The hosts share the machine's cores, also with the kernel's work on their packets: a rank that polls while
            # it waits takes the core from what it waits for.
            "OMPI_MCA_mpi_yield_when_idle": "1",
        }

    def run(self, argv: Sequence[str], timeout_s: float, variables: Mapping[str, str] | None = None) -> str:
        """Run `argv` on one rank a host and return what the ranks printed.

        Raises:
            RuntimeError: it failed; the message ends with what it printed.
        """
        done = subprocess.run(
            self.command(argv), env=os.environ | self.environment() | dict(variables or {}), timeout=timeout_s,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the ranks ended with exit code {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def traffic(self) -> list[tuple[int, int]]:
        """Return the bytes each host has received and sent so far, headers included."""
        found = []
        for pid in self._pids:
            lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()
            fields = next(line for line in lines if line.lstrip().startswith("eth0:")).partition(":")[2].split()
            found.append((int(fields[0]), int(fields[8])))
        return found


@contextmanager
def hosts(size: int, megabits_per_s: int) -> Iterator[Hosts]:
    """Make hosts whose links carry so much each way, headers included; nothing of them is left afterwards.

    Raises:
        OSError, subprocess.CalledProcessError: they cannot be made here, see `why_not`.
    """
    with TemporaryDirectory(prefix="hosts-") as folder, ExitStack() as processes, _lifeline() as lifeline:
        switch = _start("switch", lifeline, processes)
        pids = [_start(f"host{number}", lifeline, processes, _enter(switch)) for number in range(size)]
        _call(switch, "ip link add switch type bridge")
        _call(switch, "ip link set lo up")
        _call(switch, f"ip addr add {SWITCH}/24 dev switch")
        _call(switch, "ip link set switch up")
        burst = int(BURST_S * megabits_per_s * 1e6 / 8)
        shape = f"root tbf rate {megabits_per_s}mbit burst {burst} latency {QUEUE_MS}ms"
        for number, pid in enumerate(pids):
            port = f"port{number}"
            _call(switch, f"ip link add {port} type veth peer name eth0 netns {pid}")
            _call(switch, f"ip link set {port} master switch up")
            _call(pid, "ip link set lo up")
            _call(pid, f"ip addr add {_address(number)}/24 dev eth0")
            _call(pid, "ip link set eth0 up")
            _call(switch, f"tc qdisc add dev {port} {shape}")  # what comes in
            _call(pid, f"tc qdisc add dev eth0 {shape}")  # what goes out
        agent = Path(folder, "agent")
        cases = "\n".join(f"{_address(number)}) pid={_pid_on_switch(pid)} ;;" for number, pid in enumerate(pids))
        agent.write_text(AGENT.format(cases=cases, enter=" ".join(_enter("$pid"))))
        agent.chmod(0o755)
        yield Hosts(pids, switch, agent)


@functools.cache
def why_not() -> str | None:
    """Return why hosts cannot be made here; None where they can."""
    if sys.platform != "linux":
        return "hosts are made of Linux's network namespaces"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"hosts need {', '.join(missing)} (Debian: iproute2, util-linux)"
    if os.geteuid():
        return "hosts need the rights of root"
    try:
        with hosts(1, 1000):
            return None
    except subprocess.CalledProcessError as error:
        return f"hosts cannot be made: {' '.join(error.cmd)}: {error.stderr.strip()}"
    except OSError as error:
        return f"hosts cannot be made: {error}"


@contextmanager
def _lifeline() -> Iterator[int]:
    """Yield the end of a pipe on which all first processes wait.

    They share one so that all end at once: a host does not end before its dead are buried, and those whose parent on
    the switch has ended are for the switch to bury.
    """
    end, held = os.pipe()
    with os.fdopen(end), os.fdopen(held):
        yield end


def _start(name: str, lifeline: int, processes: ExitStack, enter: Sequence[str] = ()) -> int:
    """Start a host without links and return the number of its first process, which ends with its lifeline.

    Args:
        processes: waits for the end of what is started.
        enter: the command that enters the switch, so that the launcher, which runs there, sees the host's processes.
    """
    command = [*enter, "unshare", *OWN, "--fork", "--mount-proc", "sh", "-ec", FIRST_PROCESS, name]
    process = processes.enter_context(
        subprocess.Popen(
            command, stdin=lifeline, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,  # not ended by Ctrl-C, but after what runs on it
        )
    )  # fmt: skip
    assert process.stdout and process.stderr
    if not process.stdout.readline():
        raise OSError(process.stderr.read().strip())
    return psutil.Process(process.pid).children(recursive=True)[-1].pid


def _enter(pid: int | str) -> list[str]:
    """Return the command that runs on the host of a process what is written after it."""
    return ["nsenter", "--target", str(pid), *OWN]


def _pid_on_switch(pid: int) -> int:
    """Return the number that a host's first process has on the switch."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-2])


def _call(pid: int, command: str) -> None:
    subprocess.run(
        ["nsenter", "--target", str(pid), "--net", *command.split()], check=True, capture_output=True, text=True
    )


def _address(number: int) -> str:
    return f"10.77.0.{number + 1}"
