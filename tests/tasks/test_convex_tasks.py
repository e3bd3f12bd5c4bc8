"""Logistic regression and the noisy quadratic: closed forms against autograd and finite differences."""

import bz2
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from repro.errors import UserError
from repro.flat import flatten
from repro.tasks.data import binary
from repro.tasks.data.folders import DataFolders
from repro.tasks.logistic import Logistic
from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Batch, Task

TASKS = {
    "logistic": lambda: Logistic(*binary.synthetic()),
    "logistic, strongly regularised": lambda: Logistic(*binary.synthetic(), regularisation=0.3),
    "quadratic": lambda: Quadratic(condition=50.0),
    "quadratic, not strongly convex": lambda: Quadratic(condition=50.0, rank=7),
}
every_task = pytest.mark.parametrize("task", [make() for make in TASKS.values()], ids=list(TASKS))


def in_float64(task: Task, size: int) -> tuple[torch.nn.Module, Batch]:
    model = task.new_model(0).double()
    (x,) = model.parameters()
    x.data.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(size), dtype=torch.float64))
    inputs, targets = task.batch(torch.arange(size), epoch=0)
    return model, (inputs.double(), targets.double() if targets.is_floating_point() else targets)


@every_task
@pytest.mark.parametrize("size", [1, 7, 32])
def test_the_closed_form_gradient_equals_autograd_and_finite_differences(task: Task, size: int) -> None:
    model, batch = in_float64(task, size)
    (x,) = model.parameters()
    gradient = torch.full_like(x, float("nan")).detach()
    loss = task.loss_and_gradient(model, batch, gradient)

    expected = task.loss(model, batch)
    expected.backward()
    assert x.grad is not None
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    assert torch.allclose(gradient, x.grad, rtol=1e-10, atol=1e-12)

    step = 1e-5
    differences = torch.empty_like(gradient)
    for k in range(len(gradient)):
        ends = []
        for sign in (1, -1):
            x.data[k] += sign * step
            ends.append(float(task.loss(model, batch).detach()))
            x.data[k] -= sign * step
        differences[k] = (ends[0] - ends[1]) / (2 * step)
    assert torch.allclose(gradient, differences, rtol=1e-6, atol=1e-8)


@every_task
def test_the_mean_over_all_samples_is_the_objective(task: Task) -> None:
    model, batch = in_float64(task, task.num_samples)
    expected = float(task.loss(model, batch).detach())
    assert task.train_objective(model.float()) == pytest.approx(expected, rel=1e-6)


@every_task
def test_the_float32_gradient_lands_in_the_flat_vector(task: Task) -> None:
    model = flatten(task.new_model(0))
    model.gradient.fill_(float("nan"))
    address = model.gradient.data_ptr()
    task.loss_and_gradient(model.module, task.batch(torch.arange(16), epoch=0), model.gradient)
    assert model.gradient.isfinite().all()
    assert model.gradient.data_ptr() == address
    assert task.test_sums(model.module, 0, 0).count == task.num_test_samples == 0
    assert task.normalisation_batches(model.module, 0, 10) == []


def test_the_quadratic_is_zero_at_its_optimum_and_has_the_condition_it_was_given() -> None:
    task = Quadratic(num_features=30, num_samples=500, condition=100.0, noise=2.0)
    model = task.new_model(0)
    (x,) = model.parameters()
    assert task.train_objective(model) > 0.1
    x.data.copy_(task.optimum)
    assert task.train_objective(model) < 1e-13
    eigenvalues = task.eigenvalues
    assert float(eigenvalues.max() / eigenvalues.min()) == pytest.approx(100)
    assert float(eigenvalues.max()) == pytest.approx(1)


def test_the_noise_of_the_quadratic_sums_to_zero_and_has_the_given_size() -> None:
    task = Quadratic(num_samples=777, noise=2.0)
    assert task.xi.double().sum(dim=0).abs().max() < 1e-4
    assert float((task.xi.double() ** 2).sum(dim=1).mean() ** 0.5) == pytest.approx(2.0, rel=1e-6)


def test_full_gradient_descent_brings_the_quadratic_to_its_optimum() -> None:
    task = Quadratic()
    model = flatten(task.new_model(0))
    everything = task.batch(torch.arange(task.num_samples), epoch=0)
    for _ in range(300):
        task.loss_and_gradient(model.module, everything, model.gradient)
        model.params.sub_(model.gradient)
    assert task.train_objective(model.module) < 1e-10


@given(st.lists(st.floats(-5, 5), min_size=20, max_size=20), st.integers(1, 20))
def test_a_quadratic_of_less_than_full_rank_is_pl_and_smooth_with_the_constants_it_says(
    point: list[float], rank: int
) -> None:
    task = Quadratic(condition=30.0, noise=0.0, rank=rank)
    x = torch.tensor([point])
    (loss,), (gradient,) = task.losses_and_gradients(x, (task.xi[:1][None], torch.zeros(1, 1)))
    mu, L = 1 / 30, 1.0
    f, squared = float(loss), float(gradient.double().square().sum())
    assert 2 * mu * f * (1 - 1e-4) - 1e-9 <= squared <= 2 * L * f * (1 + 1e-4) + 1e-9
    assert (gradient[: 20 - rank] == 0).all()  # directions in which f is flat: no strong convexity


def test_epsilon_is_read_from_the_file_that_libsvm_names_otherwise(tmp_path: Path) -> None:
    (tmp_path / "epsilon_normalized").write_text(LINES)
    features, _ = binary.load("epsilon", DataFolders(libsvm=tmp_path), {"epsilon": (3, 4)})
    assert features.shape == (3, 4)
    with pytest.raises(UserError, match=r"epsilon_normalized.t is not in .*: get it from LIBSVM's page"):
        binary.load("epsilon.t", DataFolders(libsvm=tmp_path))
    with pytest.raises(UserError, match="is not epsilon: 3 samples, not 400000"):
        binary.load("epsilon", DataFolders(libsvm=tmp_path))


@pytest.mark.parametrize("rank", [0, 21])
def test_a_quadratic_of_a_rank_that_cannot_be_is_refused(rank: int) -> None:
    with pytest.raises(UserError, match="1 <= rank <= num_features"):
        Quadratic(rank=rank)


@pytest.mark.parametrize("options", [{"condition": 0.5}, {"num_features": 0}, {"num_samples": 1}, {"noise": -1.0}])
def test_a_quadratic_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="task quadratic needs"):
        Quadratic(**options)  # type: ignore[arg-type]


def test_the_objective_of_logistic_regression_is_least_where_an_independent_solver_finds_it() -> None:
    features, targets = binary.synthetic()
    task = Logistic(features, targets)
    a, b = features.double().numpy(), targets.double().numpy()
    lam = 1 / len(b)

    def objective(x: np.ndarray) -> float:
        return float(np.logaddexp(0, -b * (a @ x)).mean() + lam / 2 * x @ x)

    best = minimize(objective, np.zeros(a.shape[1]), method="BFGS", tol=1e-8)
    model = flatten(task.new_model(0))
    assert task.train_objective(model.module) == pytest.approx(np.log(2))
    everything = task.batch(torch.arange(task.num_samples), epoch=0)
    for _ in range(2000):
        task.loss_and_gradient(model.module, everything, model.gradient)
        model.params.sub_(20 * model.gradient)
    assert task.train_objective(model.module) == pytest.approx(best.fun, abs=1e-7)


def test_the_synthetic_set_is_always_the_same_and_has_both_classes() -> None:
    (features, targets), (again, _) = binary.synthetic(), binary.synthetic()
    assert torch.equal(features, again)
    assert targets.unique().tolist() == [-1, 1]
    assert 0.3 < float((targets > 0).float().mean()) < 0.7


LINES = "1 1:0.5 3:2\n0 2:-1\n0 1:1 2:1 3:1\n"
SHAPES = {"a9a": (3, 4)}


@pytest.mark.parametrize("place", ["libsvm folder", "cache", "compressed"])
def test_a_libsvm_file_is_read_from_where_it_may_lie(tmp_path: Path, place: str) -> None:
    folders = DataFolders(libsvm=tmp_path) if place == "libsvm folder" else DataFolders(cache=tmp_path)
    folder = tmp_path if place == "libsvm folder" else tmp_path / "libsvm"
    folder.mkdir(exist_ok=True)
    if place == "compressed":
        (folder / "a9a.bz2").write_bytes(bz2.compress(LINES.encode()))
    else:
        (folder / "a9a").write_text(LINES)
    features, targets = binary.load("a9a", folders, SHAPES)
    assert features.tolist() == [[0.5, 0, 2, 0], [0, -1, 0, 0], [1, 1, 1, 0]]
    assert targets.tolist() == [1, -1, -1]
    assert Logistic(features, targets).labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "set LIBSVM_DIR"),
        ("hello world\n", "is not a9a in LIBSVM's format"),
        ("1 1:1 9:1\n", "is not a9a in LIBSVM's format"),
        ("1 1:1\n", "1 samples, not 3"),
        ("1 1:1\n2 1:1\n3 1:1\n", "3 classes, not 2"),
    ],
)
def test_a_libsvm_file_that_is_not_the_set_is_one_clear_line(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "a9a").write_text(content)
    with pytest.raises(UserError, match=words) as error:
        binary.load("a9a", DataFolders(libsvm=tmp_path), SHAPES)
    assert "\n" not in str(error.value)


# -- many workers at once


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["logistic", "quadratic"]),
    n=st.integers(1, 40),
    b=st.integers(1, 70),
    d=st.integers(1, 130),
    seed=st.integers(0, 2**30),
)
def test_gradients_of_many_workers_are_those_of_each_alone_bit_for_bit(
    kind: str, n: int, b: int, d: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    inputs, params = torch.randn(n, b, d, generator=random), torch.randn(n, d, generator=random)
    targets = torch.randn(n, b, generator=random).sign()
    task: Task = Logistic(inputs[0], targets[0]) if kind == "logistic" else Quadratic(d, 50)
    losses, gradients = task.losses_and_gradients(params, (inputs, targets))
    for i in range(n):
        alone = task.losses_and_gradients(params[i : i + 1], (inputs[i : i + 1], targets[i : i + 1]))
        assert torch.equal(alone[0][0], losses[i])
        assert torch.equal(alone[1][0], gradients[i])
