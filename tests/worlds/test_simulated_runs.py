"""Whole runs in the simulated world: the command, its record, and that the same seed gives the same one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from repro.launch.simulate import main
from repro.papers import PAPERS
from repro.runs.record import Record
from repro.runs.simulate import Simulated, simulate
from repro.runs.spec import Run, Sgd, options
from repro.runs.store import Store
from repro.tasks import make_task
from repro.worlds import platform
from repro.worlds.events import Deadlock
from tests.worlds.machines import machine

LIMIT_S = 120
TASKS = {name: make_task(name, {}, 1) for name in ("logistic", "quadratic", "digits")}
METHODS = ("largebatch", "dpsgd", "sgp", "swarm", "swarm_nonblocking")

torch.set_num_threads(1)


def make_run(algorithm: str, task: str = "logistic", workers: int = 4, steps: int = 12, **fields: object) -> Run:
    return Run(
        algorithm=algorithm, task=task, workers=workers, seed=1, batch_size=8,
        epochs=(steps - 0.5) * workers * 8 / TASKS[task].num_samples, sgd=Sgd(0.1, 0.9), scale="smoke",
        world="simulated", platform=machine().key, evaluations=3, **fields,
    )  # fmt: skip


def made(run: Run, **arguments: object) -> Simulated:
    return simulate(run, TASKS[run.task], machine(), **arguments)  # type: ignore[arg-type]


def everything(done: Simulated) -> tuple[object, ...]:
    return done.rows, done.workers, done.params_sha256


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The same simulated run by the command, in two processes."""
    records = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        arguments = ["demo.digits-swarm", "--scale", "smoke", "--world", "simulated", "--platform", "piz-daint"]
        more = ["--delays", "lognormal:0.3", "--workers", "6", "--results", str(folder)]
        done = subprocess.run(
            [sys.executable, "-c", "from repro.cli import main; main()", "run", *arguments, *more],
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "s of virtual time" in done.stdout
        records.extend(Store(folder / "runs"))
    return records


def test_the_same_command_gives_the_same_record(commanded: list[Record]) -> None:
    one, other = commanded
    assert one.run == other.run
    for name in ("epochs.csv", "workers.csv"):  # clock and waiting too: virtual time is not measured
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    assert one.outcome["params_sha256"] == other.outcome["params_sha256"]


def test_a_record_says_that_it_was_simulated_and_on_what(commanded: list[Record]) -> None:
    record, piz_daint = commanded[0], platform.load("piz-daint")
    assert record.run.world == "simulated"
    assert record.run.platform == f"piz-daint@{piz_daint.sha256[:12]}"
    assert record.provenance["platform"] == {"title": piz_daint.title, "sha256": piz_daint.sha256}
    assert record.provenance["mpi"] is None
    assert record.provenance["engine"] == "none"  # this method reduces nothing
    assert "simulated" in record.folder.name
    assert len(record.workers) == 6
    assert set(record.epochs["evaluated_model"]) == {"mean", "local_mean", "local_worst"}


def test_a_changed_platform_file_is_not_taken_for_the_one_that_was_planned(tmp_path: Path) -> None:
    run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, 2)
    (tmp_path / "spec.json").write_text(run.replace(world="simulated", platform="piz-daint@000000000000").to_json())
    done = subprocess.run(
        [sys.executable, "-m", "repro.launch.simulate", str(tmp_path / "spec.json"), str(tmp_path / "runs")],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the run is for platform piz-daint@000000000000" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["logistic", "quadratic"])
def test_batched_gradients_are_the_same(method: str, task: str) -> None:
    run = make_run(method, task, workers=7, delays="exponential:1")
    assert everything(made(run)) == everything(made(run, batched=False))


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_run_and_another_seed_another(method: str) -> None:
    run = make_run(method, "digits", delays="lognormal:0.5")
    assert everything(made(run)) == everything(made(run))
    assert everything(made(run)) != everything(made(run.replace(seed=2)))


@pytest.mark.parametrize("method", ["largebatch", "dpsgd", "sgp", "swarm"])
def test_time_makes_no_difference_to_what_synchronous_methods_compute(method: str) -> None:
    run = make_run(method, "digits")
    slow = run.replace(delays="slow:7@1")
    assert made(run).params_sha256 == made(slow).params_sha256
    assert made(slow).workers[0]["clock_s"] > 3 * made(run).workers[0]["clock_s"]


def test_a_slow_worker_holds_up_large_batch_sgd_but_not_gossip_that_does_not_wait() -> None:
    def clocks(method: str, **config: object) -> list[float]:
        run = make_run(method, steps=40, delays="slow:5@3", config=options(**config))
        return [row["clock_s"] for row in made(run).workers]

    assert min(clocks("largebatch")) == pytest.approx(5 * 40 * 1e-3, rel=0.05)
    fast = clocks("swarm_nonblocking", local_steps=4)[:3]
    assert fast == pytest.approx([40 * 1e-3] * 3, rel=0.05)


def test_workers_of_one_process_share_no_state() -> None:
    """A run of four is four runs of one where nobody communicates."""

    class Alone(Algorithm):
        Config = dict

        def step(self) -> None:
            self.worker.params.add_(self.worker.direction(), alpha=-self.worker.lr)

    def states(done: Simulated) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(a.worker.params, a.worker.buffers) for a in done.algorithms]

    run = make_run("alone", "digits", delays="exponential:2")
    together = states(made(run, method=Alone))
    in_turn = states(made(run.replace(delays="speeds:1,1000,1000000,1000000000"), method=Alone))
    for (params, buffers), (own_params, own_buffers) in zip(together, in_turn, strict=True):
        assert torch.equal(params, own_params)
        assert torch.equal(buffers, own_buffers)
    assert len({params.sum().item() for params, _ in together}) == 4


def test_a_gradient_costs_what_platform_and_delays_say() -> None:
    rows = made(make_run("dpsgd", steps=10, delays="speeds:1,0.5")).workers
    assert [row["gradient_s"] for row in rows] == pytest.approx([0.01, 0.02, 0.01, 0.02])


def test_a_larger_model_can_be_timed() -> None:
    run = make_run("dpsgd", steps=4, config=options(topology="ring"), timed_as="resnet18-imagenet")
    row = made(run).workers[0]
    assert row["bytes_sent"] == pytest.approx(4 * 2 * 4 * 11_689_512, rel=1e-6)


class Mismatched(Algorithm):
    """From the third step on, everybody calls the next one."""

    Config = dict

    def step(self) -> None:
        self.worker.gradient()
        if self.worker.steps == 3:
            self.comm.exchange(self.worker.params, [(self.comm.rank + 1) % self.comm.size]).wait()


def test_a_deadlocked_algorithm_is_told_with_its_step() -> None:
    with pytest.raises(Deadlock, match="rank 2, step 2: waits for the vector of rank 3, in an exchange"):
        made(make_run("mismatched"), method=Mismatched)


def test_a_deadlock_ends_the_process_with_its_code_and_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ALGORITHMS, "dpsgd", Mismatched)
    spec = tmp_path / "spec.json"
    spec.write_text(make_run("dpsgd", "digits").replace(platform=platform.key_of("piz-daint")).to_json())
    with pytest.raises(SystemExit) as ended:
        main(spec, tmp_path / "runs")
    assert ended.value.code == 75
    assert "rank 0, step 2: waits for the vector of rank 1, in an exchange" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
