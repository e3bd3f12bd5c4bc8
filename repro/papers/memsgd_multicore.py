"""Mem-SGD's figure 4, the speed-up of the lock-free parallel form: measured on the cores here, and simulated on 24.

The settings are those of the released scripts: eta_t = 1 / (1 + lambda t), the final iterate, k = 10 on epsilon and 50
on RCV1, speed-up to a loss against the fastest run on one core. "top" there was rand, for its flag was never on; here
it is top.

Measured: time on 1 and 2 threads, on synthetic rows of the two sets' shapes but fewer.

Simulated, on the platform file `xeon-24core`: a step on W cores takes, with a log-normal spread of 10 %,

    t_1 + (W > 1) (latency + 64 L / bandwidth),   L = d / 8 for SGD, min((W - 1) k, d / 8) for Mem-SGD,

with t_1 the authors' time of an iteration on one core, and L the cache lines of x that other cores have written since
the step before and that must come over from them. How many steps it takes is computed, with gradients as stale as the
workers make them, on the rows that stand for the data set. Not in it: the lock around the released code's counter, its
process that computes the loss, and lost writes.
"""

import time
from typing import TYPE_CHECKING, Any

from repro.papers.memsgd_authors import authors_multicore
from repro.papers.memsgd_curves import DATA, Stand
from repro.papers.memsgd_studies import INITIAL_STD, epoch_order, rows_of
from repro.runs.spec import Scale

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from repro.tasks.logistic_rows import Rows

K: dict[Stand, int] = {"epsilon": 10, "rcv1": 50}
EXPERIMENT: dict[Stand, str] = {"epsilon": "eps-par", "rcv1": "rcv-par"}
D: dict[Stand, int] = {"epsilon": 2_000, "rcv1": 47_236}
CORES = (1, 2, 5, 10, 15, 20, 24)
METHODS = ("top", "rand", "sgd")
LABELS = {"top": "top{}", "rand": "rand{}", "sgd": "sgd"}
SPREAD = 0.1
LINE = 64
SHARE_OF_D = 0.05
"""k / d at most, where a set with few features stands for the paper's."""
TENTHS = 10
PASSES = 3
SLACK = 1.02
"""The loss to reach over the worst final one of one core; nearer to it, the noise of single iterates decides."""


def measured(scale: Scale, seed: int) -> "pd.DataFrame":
    """Return a row a data set, method, number of threads and pass: seconds so far, without evaluations, and loss."""
    import numpy as np
    import pandas as pd

    from baselines.memsgd_parallel import ParallelMemSGD
    from baselines.memsgd_sequential import MemSGDConfig
    from baselines.parts.step_size import StepSize
    from repro.draws import generator
    from repro.tasks.data.rows import synthetic_dense, synthetic_sparse

    n = {"smoke": 500, "laptop": 40_000, "paper": 40_000}[scale]
    made: dict[Stand, Rows] = {"epsilon": synthetic_dense(n, 2_000), "rcv1": synthetic_sparse(n, 47_236, 70)}
    found: list[dict[str, Any]] = []
    for stand, rows in made.items():
        for method in METHODS:
            for threads in (1, 2):
                x = generator("memsgd initial", seed).normal(0, INITIAL_STD, rows.d)
                k, kind = (None, "top") if method == "sgd" else (K[stand], method)
                config = MemSGDConfig(StepSize.bottou(1, 1 / rows.n), k, kind, average="final")  # type: ignore[arg-type]
                rngs = [generator("memsgd parallel", seed, w) for w in range(threads)]
                parallel = ParallelMemSGD(rows, config, x, 1 / rows.n, rngs)
                parallel.run([np.arange(0)] * threads)  # compiles
                seconds = 0.0
                for epoch in range(PASSES):
                    orders = np.array_split(epoch_order(rows.n, epoch, seed), threads)
                    start = time.perf_counter()
                    parallel.run(orders)
                    seconds += time.perf_counter() - start
                    fixed = {"data_set": f"synthetic, as {stand}", "method": method, "threads": threads}
                    fixed["run"] = f"{LABELS[method].format(K[stand])}, {threads} thread{'s' * (threads > 1)}"
                    loss = rows.objective(x, 1 / rows.n)
                    found.append(fixed | {"epoch": epoch + 1, "clock_s": seconds, "loss": float(f"{loss:.8g}")})
    return pd.DataFrame(found)


def simulated(scale: Scale, seed: int) -> "pd.DataFrame":
    """Return a row a data set, method and number of cores: steps and seconds to the loss, speedup, authors_speedup."""
    import pandas as pd

    found: list[dict[str, Any]] = []
    for stand in K:
        rows = rows_of(stand, scale)
        one = {method: curve(rows, stand, method, 1, seed) for method in METHODS}
        loss = SLACK * max(losses[-1] for losses, _, _ in one.values())
        base = {method: _reached(*run, loss)[1] for method, run in one.items()}
        for method in METHODS:
            theirs = authors_speedups(stand, method)
            for cores in CORES:
                run = one[method] if cores == 1 else curve(rows, stand, method, cores, seed)
                steps, seconds = _reached(*run, loss)
                found.append(
                    {
                        "data_set": DATA[stand, scale],
                        "times_of": stand,
                        "method": method,
                        "cores": cores,
                        "steps": steps,
                        "clock_s": seconds,
                        "speedup": base[method] / seconds,
                        "authors_speedup": theirs.get(cores),
                    }
                )
    return pd.DataFrame(found)


def authors_speedups(stand: Stand, method: str) -> "pd.Series[float]":
    """Return the medians behind figure 4, by number of cores; "top" is what the authors call so."""
    runs = authors_multicore()
    label = LABELS[method].format(K[stand])
    runs = runs[(runs["experiment"] == EXPERIMENT[stand]) & (runs["method_label"] == label)]
    fastest = runs.loc[runs["cores"] == 1, "seconds_to_threshold"].min()
    return (fastest / runs["seconds_to_threshold"]).groupby(runs["cores"]).median()


def seconds_per_step(stand: Stand, method: str, cores: int) -> float:
    """Return the seconds of a step on the platform, as the head of this file has them."""
    from repro.worlds.platform import WORKLOADS, load

    platform = load("xeon-24core")
    if method == "sgd":
        alone = platform.gradient_s(WORKLOADS[f"logistic/{stand}"], 1)
    else:
        runs = authors_multicore()
        label = LABELS[method].format(K[stand])
        mine = (runs["experiment"] == EXPERIMENT[stand]) & (runs["method_label"] == label) & (runs["cores"] == 1)
        alone = float(runs.loc[mine, "us_per_iteration"].median()) / 1e6
    if cores == 1:
        return alone
    lines = D[stand] / 8 if method == "sgd" else min((cores - 1) * K[stand], D[stand] / 8)
    return alone + platform.within.latency_s + lines * LINE / platform.within.bytes_per_s


def curve(
    rows: "Rows", stand: Stand, method: str, cores: int, seed: int
) -> "tuple[list[float], list[int], list[float]]":
    """Return losses, steps and virtual seconds of one run, at each tenth of an epoch."""
    import numpy as np

    from baselines.parts.memsgd_virtual_kernels import virtual_steps
    from baselines.parts.random_stream import new_stream
    from baselines.parts.step_size import StepSize
    from repro.draws import generator
    from repro.tasks.logistic_rows import DenseRows

    epochs = 10 if stand == "epsilon" else 5
    k = 0 if method == "sgd" else max(1, min(K[stand], int(SHARE_OF_D * rows.d)))
    sparse = rows.as_sparse() if isinstance(rows, DenseRows) else rows
    rate, x = StepSize.bottou(1, 1 / rows.n), generator("memsgd initial", seed).normal(0, INITIAL_STD, rows.d)
    streams = np.stack([new_stream(generator("memsgd parallel", seed, w)) for w in range(cores)])
    state = (
        x, np.zeros((cores, rows.d)), np.zeros((cores, k), np.int64), np.zeros((cores, k)),
        rate.scale, rate.shift, 1 / rows.n, k, method == "top", streams, np.zeros((cores, rows.d + 1), np.int64),
    )  # fmt: skip
    finishing, ends = _events(seconds_per_step(stand, method, cores), cores, epochs * rows.n, seed)
    orders = np.concatenate([epoch_order(rows.n, epoch, seed) for epoch in range(epochs)])
    losses, steps, seconds, done = [rows.objective(x, 1 / rows.n)], [0], [0.0], 0
    for part in np.array_split(np.arange(epochs * rows.n), epochs * TENTHS):
        data: tuple[Any, ...] = (sparse.starts, sparse.columns, sparse.values, sparse.labels, orders[part])
        virtual_steps(*(*data, finishing[part], done, *state))
        done += part.size
        losses.append(rows.objective(x, 1 / rows.n))
        steps.append(done)
        seconds.append(float(ends[part[-1]]))
    return losses, steps, seconds


def _events(step_s: float, cores: int, steps: int, seed: int) -> "tuple[np.ndarray, np.ndarray]":
    """Return which worker finishes a step, and when, in order; all begin their first at 0."""
    import numpy as np

    from repro.draws import generator

    each = -(-steps // cores) + 10 + int(steps / cores * 0.02)
    random = generator("memsgd durations", seed, cores)
    durations = step_s * np.exp(SPREAD * random.standard_normal((cores, each)) - SPREAD**2 / 2)
    ends = np.cumsum(durations, axis=1)
    first = np.argsort(ends, axis=None, kind="stable")[:steps]
    return first // each, ends.ravel()[first]


def _reached(losses: list[float], steps: list[int], seconds: list[float], loss: float) -> tuple[float, float]:
    """Return steps and seconds to a loss, on straight lines between evaluations; nan where it is not reached."""
    for at in range(1, len(losses)):
        if losses[at] <= loss < losses[at - 1]:
            share = (losses[at - 1] - loss) / (losses[at - 1] - losses[at])
            return tuple(v[at - 1] + share * (v[at] - v[at - 1]) for v in (steps, seconds))  # type: ignore[return-value]
    return float("nan"), float("nan")
