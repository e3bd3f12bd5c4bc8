"""`repro calibrate`: the file it writes, and one short measurement with real ranks."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from repro import cli
from repro.errors import UserError
from repro.launch.calibrate import calibrate, check, platform_toml, summary
from repro.worlds.platform import Link, Workload, load


def samples(latency_s: float, bytes_per_s: float) -> list[dict[str, float]]:
    """What a perfect link gives."""
    sizes = (0, 1 << 10, 1 << 16, 1 << 20, 1 << 24)
    return [{"amount": size, "seconds": latency_s + size / bytes_per_s, "rounds": 9} for size in sizes]


def link(latency_s: float, bytes_per_s: float, pair: tuple[int, int] = (0, 1)) -> dict[str, Any]:
    one_way = samples(latency_s / 2, 2 * bytes_per_s)
    return {"pair": list(pair), "exchange": samples(latency_s, bytes_per_s), "one_way": one_way}


def step(workload: str, batch_size: int, seconds: float) -> dict[str, Any]:
    return {"workload": workload, "amount": batch_size, "seconds": seconds, "rounds": 7}


ONE_NODE: dict[str, Any] = {
    "date": "2026-11-21",
    "host": 'a "host"',
    "cpu": "A CPU",
    "cores": 2,
    "load": 0.25,
    "threads_per_rank": 1,
    "versions": {"torch": "2.0", "mpi4py": "4.0"},
    "mpi": "Open MPI v5.0",
    "ranks": 4,
    "ranks_per_node": 4,
    "nodes": 1,
    "links": {"within": link(2e-5, 4e9)},
    "allreduce": [{"engine": "Open MPI 5.0", "amount": 1 << 20, "seconds": 1e-3, "rounds": 9}],
    "steps": [
        step("cifar10/resnet20", 8, 0.05),
        step("cifar10/resnet20", 32, 0.17),
        step("logistic/a9a", 1, 1e-4),
        step("logistic/a9a", 128, 2e-4),
    ],
    "resnet20_flops_per_sample": 2.5e8,
}
FOUR_NODES = ONE_NODE | {
    "nodes": 4,
    "ranks": 8,
    "ranks_per_node": 2,
    "links": {"within": link(2e-5, 4e9), "between": link(1e-4, 1e8, (0, 2))},
}


def written(folder: Path, measurements: dict[str, Any]) -> Path:
    path = folder / "machine.toml"
    path.write_text(platform_toml(measurements))
    return path


def close(found: Link, latency_s: float, bytes_per_s: float) -> bool:
    return found.latency_s == pytest.approx(latency_s, rel=1e-3) and found.bytes_per_s == pytest.approx(
        bytes_per_s, rel=1e-3
    )


def test_one_node_becomes_nodes_of_one_worker(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_NODE)
    platform = load(str(path))
    assert platform.title == 'a "host", measured on 2026-11-21'
    assert platform.workers_per_node == 1
    assert close(platform.between, 2e-5, 4e9)
    assert platform.within == platform.between
    assert "taken for as many nodes of one worker each" in path.read_text()
    assert "measured within a node, since there was none between two nodes" in path.read_text()


def test_several_nodes_have_both_links(tmp_path: Path) -> None:
    path = written(tmp_path, FOUR_NODES)
    platform = load(str(path))
    assert platform.workers_per_node == 2
    assert close(platform.between, 1e-4, 1e8)
    assert close(platform.within, 2e-5, 4e9)
    assert "since there was none" not in path.read_text()
    assert "between ranks 0 and 2" in path.read_text()
    assert path.read_text().startswith(
        '# a "host": 4 nodes with 2 cores of A CPU, Open MPI v5.0, torch 2.0, mpi4py 4.0; load'
    )


def test_nodes_of_one_rank_have_one_link_and_say_so(tmp_path: Path) -> None:
    alone = FOUR_NODES | {"ranks": 4, "ranks_per_node": 1, "links": {"between": link(1e-4, 1e8)}}
    path = written(tmp_path, alone)
    platform = load(str(path))
    assert platform.workers_per_node == 1
    assert platform.within == platform.between
    assert "measured between two nodes, since there was none within a node" in path.read_text()


def test_steps_are_kept_and_others_follow_from_them(tmp_path: Path) -> None:
    platform = load(str(written(tmp_path, ONE_NODE)))
    resnet20 = Workload("cifar10/resnet20", 272_474, 2.5e8)
    assert platform.gradient_s(resnet20, 8) == pytest.approx(0.05, rel=1e-3)
    assert platform.gradient_s(resnet20, 64) == pytest.approx(0.01 + 0.005 * 64, rel=1e-3)
    assert platform.overhead_s == pytest.approx(1e-4, rel=1e-3)
    assert platform.flops_per_s == pytest.approx(2.5e8 * 32 / 0.17, rel=1e-3)


def test_the_all_reduce_is_checked_against_the_link() -> None:
    # 6 messages of 262,144 bytes at 4e9 bytes/s, each after 20 us
    assert check(ONE_NODE) == [
        "all-reduce of 1.05 MB over 4 ranks, Open MPI 5.0: 1 ms; predicted for a ring 513 us",
    ]
    # over several nodes, the card between them is what a ring waits for: 14 messages of 131,072 bytes
    assert check(FOUR_NODES)[0].endswith("predicted for a ring 19.8 ms")


def test_the_summary_says_how_well_the_line_fits() -> None:
    bent = copy.deepcopy(ONE_NODE)
    bent["links"]["within"]["exchange"][-1]["seconds"] *= 2
    assert "link within a node: latency 20 us, 4 GB/s each way, the other way busy too (off by 0% at most)" in summary(
        ONE_NODE
    )
    assert not any("off by 0%" in line for line in summary(bent))


def test_times_that_do_not_rise_still_make_a_link(tmp_path: Path) -> None:
    unsteady = copy.deepcopy(ONE_NODE)
    for sample in unsteady["links"]["within"]["exchange"]:
        sample["seconds"] = 1e-2 - sample["amount"] * 1e-11
    platform = load(str(written(tmp_path, unsteady)))
    assert platform.between.bytes_per_s == pytest.approx((1 << 24) / 9.83e-3, rel=1e-2)


# -- bad input


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **_: object) -> NoReturn:
        raise AssertionError(f"it started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", started)


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(
    ("output", "ranks", "words"),
    [
        ("machine.json", 2, "ends in .toml"),
        ("nowhere/machine.toml", 2, "there is no folder nowhere"),
        ("machine.toml", 1, "at least 2 ranks, not 1"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    output: str, ranks: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["repro", "calibrate", "--output", output, "--ranks", str(ranks)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_ranks_that_fail_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise OSError('no memory for the ranks')"]
    monkeypatch.setattr("repro.launch.calibrate.command", lambda ranks, argv: failing)
    with pytest.raises(UserError) as error:
        calibrate(tmp_path / "machine.toml", 2)
    assert "exit code 1: OSError: no memory for the ranks; `repro doctor`" in str(error.value)
    assert not list(tmp_path.iterdir())


# -- real ranks


@pytest.mark.mpi
@pytest.mark.horovod
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_short_measurement_on_two_ranks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = calibrate(tmp_path / "here.toml", ranks=2, seconds=3.0)
    platform = load(str(path))
    told = capfd.readouterr().out

    assert platform.name == "here"
    assert platform.workers_per_node == 1
    assert 0 <= platform.between.latency_s < 0.1  # 0 where a busy machine's noise is larger
    assert 1e6 < platform.between.bytes_per_s < 1e12
    measured = {row.workload for row in platform.measured}
    assert measured == {"cifar10/resnet20", "cifar10/small", "digits", "logistic/a9a"}
    for workload in measured:
        assert len([row for row in platform.measured if row.workload == workload]) >= 2
    assert 1e8 < platform.flops_per_s < 1e13
    for words in ("link within a node: latency", "predicted for a ring", "horovod", "step of cifar10/resnet20"):
        assert words in told
