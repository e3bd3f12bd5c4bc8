"""What `results/errata.md` says of Mem-SGD, shown on the authors' data or computed anew."""

import multiprocessing
import operator

import numpy as np
import pandas as pd
import pytest

from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD
from baselines.parts.sequential_bits import authors_qsgd_bits, authors_sgd_bits, elias_bound_bits
from baselines.parts.sparsifiers import sparse_bits
from baselines.parts.step_size import StepSize
from baselines.qsgd_sequential import QSGDConfig, SequentialQSGD
from repro.papers.memsgd_authors import FOLDER, authors_curves, authors_multicore
from repro.papers.memsgd_studies import MEBIBYTE
from repro.tasks.data.rows import synthetic_dense, synthetic_sparse

D_EPSILON, D_RCV1, NONZEROS, N_EPSILON = 2_000, 47_236, 70, 400_000


def median(experiment: str, method: str, cores: int, column: str) -> float:
    runs = authors_multicore()
    chosen = (runs["experiment"] == experiment) & (runs["method_label"] == method) & (runs["cores"] == cores)
    return float(runs.loc[chosen, column].median())


def test_a_string_made_at_run_time_is_not_the_literal_it_equals() -> None:
    argument = "".join(["t", "op"])
    assert argument == "top" and not operator.is_(argument, "top")


@pytest.mark.parametrize(("experiment", "k"), [("eps-par", 10), ("rcv-par", 50)])
def test_top_and_rand_take_the_same_time_in_figure_4(experiment: str, k: int) -> None:
    top, rand = (median(experiment, f"{name}{k}", 1, "us_per_iteration") for name in ("top", "rand"))
    assert top / rand == pytest.approx(1, abs=0.02)


def test_top_and_rand_are_at_the_same_loss_in_figure_4_and_sgd_is_not() -> None:
    top, rand, sgd = (median("rcv-par", name, 24, "second_loss") for name in ("top50", "rand50", "sgd"))
    assert top == pytest.approx(rand, rel=0.01)
    assert sgd < 0.7 * rand


def test_top_is_not_rand_where_the_flag_works() -> None:
    # sequential runs of the same authors, figure 2: same k, same delay, half an epoch
    losses = authors_curves("eps-th").set_index(["curve", "epoch"])["authors_loss"]
    assert losses["rand1-d", 0.5] > 1.3 * losses["top1", 0.5]


def _draw(queue: "multiprocessing.Queue[list[int]]") -> None:
    queue.put(np.random.randint(0, D_EPSILON, 10).tolist())


def test_forked_processes_draw_the_same_from_the_global_generator() -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[int]] = context.Queue()
    workers = [context.Process(target=_draw, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    drawn = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(timeout=30)
    assert drawn[0] == drawn[1]


def test_the_megabytes_of_figure_3_are_a_tenth() -> None:
    # the last point of an axis i / 100 * n * bits, i = 100 tenths of an epoch, against ten epochs of n steps
    for bits, printed, right in ((authors_sgd_bits(D_EPSILON), 6.1e3, 61_035), (sparse_bits(1), 3.05, 30.5)):
        assert 100 / 100 * N_EPSILON * bits / MEBIBYTE == pytest.approx(printed, rel=0.01)
        assert 10 * N_EPSILON * bits / MEBIBYTE == pytest.approx(right, rel=1e-3)


def test_sgd_is_charged_twice_on_dense_rows() -> None:
    assert authors_sgd_bits(D_EPSILON) == 128_000 == 2 * 32 * D_EPSILON


def test_the_authors_bits_of_qsgd_are_the_published_ones() -> None:
    assert [round(authors_qsgd_bits(b, D_EPSILON, D_EPSILON)) for b in (2, 4, 8)] == [617, 2_947, 18_000]
    assert [round(authors_qsgd_bits(b, D_RCV1, NONZEROS)) for b in (2, 4, 8)] == [2_450, 2_590, 2_870]


def test_the_bound_of_the_elias_code_with_its_logarithm() -> None:
    assert elias_bound_bits(4, D_EPSILON) == pytest.approx(1_895, abs=1)
    assert elias_bound_bits(16, D_EPSILON) == pytest.approx(6_175, abs=1)


def test_the_regularisers_part_is_quantized_too() -> None:
    rows = synthetic_sparse(3_000, 2_000, 10)
    method = SequentialQSGD(
        rows, QSGDConfig(StepSize.bottou(10, 1 / rows.n), 256), np.zeros(rows.d), 1 / rows.n, np.random.default_rng(0)
    )
    for epoch in range(10):
        method.run(np.random.default_rng(epoch).permutation(rows.n))
    assert method.sent / (10 * rows.n) > 2 * rows.values.size / rows.n


def test_two_orders_of_magnitude_fewer_bits_than_qsgd_hold_once() -> None:
    top = sparse_bits(1)
    epsilon = [round(authors_qsgd_bits(b, D_EPSILON, D_EPSILON) / top) for b in (8, 4)]
    rcv1 = [round(authors_qsgd_bits(b, D_RCV1, NONZEROS) / top) for b in (8, 4)]
    assert (epsilon, rcv1) == ([281, 46], [45, 40])


def test_the_runs_of_figure_2_on_rcv1_have_a_equal_to_d() -> None:
    curves = pd.read_csv(FOLDER / "memsgd_curves.csv")
    runs = curves[(curves["experiment"] == "rcv-th") & ~curves["run"].str.endswith("no-shift")]
    assert set(runs["k"].dropna()) == {1, 10, 20, 30}
    assert set(runs["a_or_tau"]) == {float(D_RCV1)}


def test_rand_30_is_below_rand_10_in_the_data_of_figure_2() -> None:
    losses = authors_curves("rcv-th").pivot(index="epoch", columns="curve", values="authors_loss")
    first = losses[(losses.index > 0) & (losses.index <= 1)]
    assert len(first) == 10 and (first["rand30"] < first["rand10"]).all()


def test_k_equal_to_d_with_and_without_delay_are_hardly_apart_on_epsilon() -> None:
    losses = authors_curves("eps-th").pivot(index="epoch", columns="curve", values="authors_loss")
    later = losses[losses.index >= 1]
    assert (later["full-sgd"] - later["full-sgd-no-shift"]).abs().max() < 2e-4


def test_the_texts_step_size_of_figure_4_stops_too_early() -> None:
    rows = synthetic_dense(4_000, 100)
    lam, losses = 1 / rows.n, []
    assert StepSize.bottou(1, lam).at(rows.n) == pytest.approx(0.5)
    for rate in (StepSize.bottou(1, lam), StepSize(1.0, 1.0)):
        x = np.zeros(rows.d)
        method = SequentialMemSGD(rows, MemSGDConfig(rate, 10, average="final"), x, lam, np.random.default_rng(0))
        for epoch in range(10):
            method.run(np.random.default_rng(epoch).permutation(rows.n))
        losses.append(rows.objective(method.estimate, lam))
    assert losses[1] > 1.05 * losses[0]


def test_lock_free_sgd_takes_longer_on_rows_with_fewer_nonzeros() -> None:
    epsilon, rcv1 = (median(name, "sgd", 1, "us_per_iteration") for name in ("eps-par", "rcv-par"))
    assert rcv1 / epsilon == pytest.approx(1.8, abs=0.1)
