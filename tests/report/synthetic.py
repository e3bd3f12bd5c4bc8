"""Papers and records made up for the tests of the report: no training, only numbers."""

import math
from pathlib import Path
from typing import Any

from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe
from repro.report.statistics import Finding, at_least, difference
from repro.runs.spec import Run, Scale, Sgd, options
from repro.runs.store import Store

N = 1000
BATCH = 10
EPOCHS = {"smoke": 1, "laptop": 4, "paper": 8}


def recipe(algorithm: str, *, own_workers: int = 4, **config: Any) -> Recipe:
    def make(scale: Scale, seed: int, workers: int | None) -> Run:
        return Run(
            algorithm=algorithm,
            config=options(**config),
            task="digits",
            workers=workers or own_workers,
            seed=seed,
            batch_size=BATCH,
            epochs=EPOCHS[scale],
            sgd=Sgd(0.1),
            scale=scale,
            evaluations=4,
        )

    return make


LARGEBATCH = Cell("lb", "Large batch", "LB-SGD", "table 1", recipe("largebatch"), ("toys",))
SWARM = Cell("swarm", "Swarm", "SwarmSGD H=2", "table 1", recipe("swarm", local_steps=2), ("toys",))


def top1(records: Any) -> list[float]:
    return [record.final("test_top1_percent") for record in records]


def swarm_keeps_up(of: Evidence) -> Finding:
    return at_least(difference(top1(of["swarm"]), top1(of["lb"])), -1.0, "points")


KEEPS_UP = Claim(
    "keeps-up",
    "Swarm is at most 1 point below large batch.",
    "section 5",
    "text",
    ("swarm", "lb"),
    swarm_keeps_up,
)


def paper(*, claims: tuple[Claim, ...] = (KEEPS_UP,), cells: tuple[Cell, ...] = (LARGEBATCH, SWARM)) -> Paper:
    return Paper("toy", "Toy paper", "A. Author. Toys. 2021.", cells, claims, platform="piz-daint")


def papers(**changes: Any) -> dict[str, Paper]:
    return {"toy": paper(**changes)}


def epoch_rows(run: Run, top1: float, *, samples: int = N, loss: float = 0.3) -> list[dict[str, Any]]:
    """Rows that rise to `top1`; `samples` is N, the number of training samples."""
    batch = run.workers * run.batch_size
    total = math.ceil(run.epochs * samples / batch)
    rows = []
    for k in range(1, run.evaluations + 1):
        steps = math.ceil(total * k / run.evaluations)
        share = k / run.evaluations
        rows.append(
            {
                "epoch": steps * batch / samples,
                "samples": steps * batch,
                "steps": steps,
                "clock_s": 0.01 * steps * (1 + 0.01 * run.seed),
                "learning_rate": 0.1,
                "train_loss": loss + 2 * (1 - share),
                "evaluated_model": "mean",
                "normalisation": "none",
                "test_loss": loss + 2.1 * (1 - share),
                "test_top1_percent": top1 - 40 * (1 - share) ** 2,
                "consensus_distance": 0.0 if run.algorithm == "largebatch" else 0.5 * share,
            }
        )
    for name, below in (("local_mean", 0.5), ("local_worst", 1.5)):
        rows.append(rows[run.evaluations - 1] | {"evaluated_model": name, "test_top1_percent": top1 - below})
    return rows


def worker_rows(run: Run, *, samples: int = N) -> list[dict[str, Any]]:
    steps = math.ceil(run.epochs * samples / (run.workers * run.batch_size))
    return [
        {
            "rank": rank,
            "host": "node",
            "steps": steps,
            "samples": steps * run.batch_size,
            "clock_s": 0.01 * steps,
            "gradient_s": 0.006 * steps,
            "wait_s": 0.003 * steps,
            "messages": steps,
            "bytes_sent": 4000 * steps,
            "bytes_received": 4000 * steps,
        }
        for rank in range(run.workers)
    ]


PROVENANCE = {
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "git_dirty": False,
    "packages": {"torch": "2.13.0", "horovod": "0.28.1"},
    "python": "3.11.2",
    "mpi": "Open MPI v5.0.11",
    "engine": "horovod",
    "cpu": "Imaginary CPU <8 cores> & co.",
    "gpu": None,
}


def add(results: Path, run: Run, top1: float, *, samples: int = N, loss: float = 0.3, **provenance: Any) -> Path:
    """Write the record of a made-up run."""
    (results / "published").mkdir(exist_ok=True)  # of its own, and empty
    return Store(results / "runs").add(
        run,
        provenance=PROVENANCE | provenance,
        outcome={"wall_s": 12.5, "num_params": 1000, "started_utc": "2026-01-02T03:04:05+00:00"},
        epochs=epoch_rows(run, top1, samples=samples, loss=loss),
        workers=worker_rows(run, samples=samples),
    )


def add_seeds(results: Path, cell: Cell, values: list[float], scale: Scale = "laptop", **changes: Any) -> list[Path]:
    """Write one record a value, seeds 1, 2, ..., with these final accuracies."""
    return [add(results, cell.recipe(scale, seed, None), v, **changes) for seed, v in enumerate(values, start=1)]


HEADER = "paper,cell,method,dataset,model,workers,metric,value,unit,spread,seeds,hardware,source,evidence,note"


def publish(results: Path, *rows: str, name: str = "toy") -> Path:
    """Write a table of published values."""
    folder = results / "published"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def value_row(cell: str, value: float, evidence: str = "table", metric: str = "test_top1_percent") -> str:
    return f"toy,{cell},Method,Digits,Net,4,{metric},{value},percent,,,,table 1,{evidence},"
