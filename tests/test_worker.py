"""The worker and its parts: flat vectors, buckets, optimiser, schedules, streams."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.largebatch import LargeBatch
from repro.buckets import Buckets
from repro.errors import UserError
from repro.flat import FlatModel, flatten
from repro.optimizer import MomentumSgd
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from repro.tasks.digits import Digits, DigitsNet
from repro.tasks.models.seeded import seeded
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.comm import ring_allreduce_bytes

torch.set_num_threads(1)  # threads that wait for each other crawl where others use the cores

RUN = Run(
    algorithm="largebatch",
    task="digits",
    workers=2,
    seed=1,
    batch_size=16,
    epochs=1.0,
    sgd=Sgd(0.1, 0.9, weight_decay=1e-3, milestones=(0.25, 0.5), decay=0.5),
    scale="smoke",
)


@pytest.fixture(scope="module")
def digits() -> Task:
    return Digits()


def net() -> DigitsNet:
    return seeded(DigitsNet, 0)  # type: ignore[return-value]


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, 8, 8, generator=random), torch.randint(10, (count,), generator=random)


# -- flat vectors


def test_flattening_leaves_parameters_and_outputs_as_they_were() -> None:
    plain, flat = net(), flatten(net())
    assert torch.equal(flat.params, torch.cat([p.detach().reshape(-1) for p in plain.parameters()]))
    assert flat.params.shape == (9978,)
    inputs, _ = batch()
    assert torch.equal(plain(inputs), flat.module(inputs))


def test_parameters_are_views_of_the_vector_both_ways() -> None:
    flat = flatten(net())
    for parameter, offset in flat.offsets():
        flat.params[offset] = 17.0
        assert parameter.detach().reshape(-1)[0] == 17.0
        with torch.no_grad():
            parameter.fill_(0.25)
        assert torch.equal(flat.params[offset : offset + parameter.numel()], torch.full((parameter.numel(),), 0.25))
    assert (flat.params == 0.25).all()  # the parameters cover the vector


def test_gradients_are_views_of_the_vector_and_stay_so() -> None:
    plain, flat = net(), flatten(net())
    inputs, labels = batch()
    for repetition in (1, 2):  # the second backward pass adds to the first
        F.cross_entropy(plain(inputs), labels).backward()
        F.cross_entropy(flat.module(inputs), labels).backward()
        expected = torch.cat([p.grad.reshape(-1) for p in plain.parameters()])  # type: ignore[union-attr]
        assert torch.equal(flat.gradient, expected), repetition
    for parameter, offset in flat.offsets():
        assert parameter.grad is not None
        assert parameter.grad.data_ptr() == flat.gradient[offset:].data_ptr()


def test_normalisation_statistics_are_views_of_the_vector_and_stay_so() -> None:
    plain, flat = net(), flatten(net())
    assert flat.buffers.shape == (2 * (16 + 32),)
    inputs, _ = batch()
    for model in (plain, flat.module):
        model(inputs)  # updates the running statistics in place
    expected = torch.cat([b.reshape(-1) for b in plain.buffers() if b.is_floating_point()])
    assert torch.equal(flat.buffers, expected)
    assert not torch.equal(flat.buffers, flatten(net()).buffers)
    flat.buffers.fill_(3.0)
    assert all((b == 3.0).all() for b in flat.module.buffers() if b.is_floating_point())
    assert flat.module.bn1.num_batches_tracked == 1  # type: ignore[union-attr]


def test_a_model_without_normalisation_has_no_buffers() -> None:
    assert flatten(nn.Linear(3, 2)).buffers.shape == (0,)


def test_vectors_do_not_decay_and_matrices_do() -> None:
    flat = flatten(net())
    for parameter, offset in flat.offsets():
        part = flat.decays[offset : offset + parameter.numel()]
        assert (part == float(parameter.dim() > 1)).all()
    assert flat.decays.sum() == 9978 - 2 * (16 + 32) - 10


# -- buckets


class Awkward(nn.Module):
    """Uses its parameters neither in their order nor once, and one of them not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Parameter(torch.randn(7, 3))
        self.unused = nn.Parameter(torch.randn(11))
        self.twice = nn.Parameter(torch.randn(3, 3))
        self.early = nn.Parameter(torch.randn(5, 7))
        self.scalar = nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x @ self.early) @ self.late
        return torch.tanh(hidden @ self.twice) @ self.twice * self.scalar


def handed_out(flat: FlatModel, buckets: Buckets, inputs: Tensor) -> tuple[list[tuple[int, int]], Tensor]:
    """The (start, stop) of the buckets of one backward pass, and the gradient made of what was in them then."""
    places, seen = [], torch.full_like(flat.gradient, math.nan)

    def on_bucket(part: Tensor) -> None:
        start = (part.data_ptr() - flat.gradient.data_ptr()) // 4
        assert part.is_contiguous() and torch.equal(part, flat.gradient[start : start + part.numel()])
        places.append((start, start + part.numel()))
        seen[start : start + part.numel()] = part

    flat.gradient.zero_()
    buckets.open(on_bucket)
    flat.module(inputs).square().sum().backward()
    buckets.close()
    return places, seen


@settings(deadline=None)
@given(bucket_bytes=st.integers(1, 400), model=st.sampled_from(["awkward", "digits", "one"]))
def test_buckets_cover_the_gradient_once_and_hold_its_final_value(bucket_bytes: int, model: str) -> None:
    makers = {"awkward": Awkward, "digits": DigitsNet, "one": lambda: nn.Linear(5, 2, bias=False)}
    inputs = {"awkward": torch.ones(2, 5), "digits": batch(2)[0], "one": torch.ones(2, 5)}[model]
    plain, flat = seeded(makers[model], 3), flatten(seeded(makers[model], 3))
    buckets = Buckets(flat, bucket_bytes)
    for _ in range(2):  # the second pass cuts as the first did
        places, seen = handed_out(flat, buckets, inputs)
        plain.zero_grad()
        plain(inputs).square().sum().backward()
        expected = [torch.zeros_like(p) if p.grad is None else p.grad for p in plain.parameters()]
        assert torch.equal(seen, torch.cat([g.reshape(-1) for g in expected]))
        # from the end of the vector to its beginning, each element once
        assert [stop for _, stop in places] == [flat.params.numel(), *(start for start, _ in places[:-1])]
        assert places[-1][0] == 0
        assert all(stop - start >= bucket_bytes // 4 for start, stop in places[:-1])
        if model == "digits" and bucket_bytes < 100:
            assert len(places) > 3


def test_small_models_are_handed_out_whole() -> None:
    flat = flatten(net())
    places, _ = handed_out(flat, Buckets(flat), batch()[0])
    assert places == [(0, 9978)]


def test_backward_passes_outside_of_open_and_close_hand_out_nothing() -> None:
    flat = flatten(net())
    buckets = Buckets(flat, 100)
    places, _ = handed_out(flat, buckets, batch()[0])
    count = len(places)
    flat.module(batch()[0]).sum().backward()
    assert len(places) == count


@pytest.mark.parametrize("task", ["digits", "quadratic", "logistic"])
def test_a_worker_hands_out_the_gradient_it_returns(task: str) -> None:
    run = RUN.replace(task=task)
    plain, bucketed = (Worker(run, make_task(task, {}, 1), 1) for _ in range(2))
    bucketed.__dict__["_buckets"] = Buckets(bucketed.model, 1000)
    for _ in range(3):
        parts: list[Tensor] = []
        expected = plain.gradient()
        gradient = bucketed.gradient(on_bucket=lambda part: parts.append(part.clone()))  # noqa: B023
        assert torch.equal(gradient, expected)
        assert torch.equal(torch.cat(parts[::-1]), expected)


# -- the optimiser


@pytest.mark.parametrize(
    "sgd",
    [
        Sgd(0.1),
        Sgd(0.1, momentum=0.9),
        Sgd(0.1, momentum=0.9, nesterov=True),
        Sgd(0.1, momentum=0.9, weight_decay=1e-2),
        Sgd(0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
        Sgd(0.1, weight_decay=1e-2),
    ],
    ids=str,
)
def test_the_optimiser_is_pytorchs(sgd: Sgd) -> None:
    flat, plain = flatten(net()), net()
    matrices = [p for p in plain.parameters() if p.dim() > 1]
    vectors = [p for p in plain.parameters() if p.dim() <= 1]
    theirs = torch.optim.SGD(
        [{"params": matrices, "weight_decay": sgd.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=sgd.lr, momentum=sgd.momentum, nesterov=sgd.nesterov,
    )  # fmt: skip
    ours = MomentumSgd(sgd, flat.params, flat.decays)
    inputs, labels = batch()
    for step in range(20):
        lr = sgd.lr * (0.1 if step >= 10 else 1.0)  # a change of the rate needs no correction of the momentum
        for group in theirs.param_groups:
            group["lr"] = lr
        theirs.zero_grad()
        F.cross_entropy(plain(inputs), labels).backward()
        theirs.step()
        flat.gradient.zero_()
        F.cross_entropy(flat.module(inputs), labels).backward()
        with torch.no_grad():
            flat.params.add_(ours.direction(flat.params, flat.gradient), alpha=-lr)
    expected = torch.cat([p.detach().reshape(-1) for p in plain.parameters()])
    assert float((flat.params - expected).norm() / expected.norm()) < 2e-6
    assert not torch.allclose(flat.params, flatten(net()).params, atol=1e-3)


def test_the_optimiser_in_numbers() -> None:
    """Two steps by hand: g = 1, x = 2 with decay 1, momentum 0.5, weight decay 0.25."""
    for nesterov, expected in ((False, [1.5, 2.25]), (True, [2.25, 2.625])):
        x, decays = torch.tensor([2.0]), torch.tensor([1.0])
        optimizer = MomentumSgd(Sgd(0.0, 0.5, nesterov, 0.25), x, decays)
        directions = [float(optimizer.direction(x, torch.tensor([1.0]))) for _ in range(2)]
        assert directions == expected
    without_decay = MomentumSgd(Sgd(0.0, 0.5, False, 0.25), torch.tensor([2.0]), torch.tensor([0.0]))
    assert float(without_decay.direction(torch.tensor([2.0]), torch.tensor([1.0]))) == 1.0


# -- the worker


def test_all_workers_start_at_the_same_point_and_draw_differently(digits: Task) -> None:
    one, other = Worker(RUN, digits, 0), Worker(RUN, digits, 1)
    assert torch.equal(one.params, other.params)
    assert not torch.equal(one.gradient(), other.gradient())
    assert one.rng.random() != other.rng.random()
    assert not torch.equal(one.params, Worker(RUN.replace(seed=2), digits, 0).params)


def test_the_same_worker_twice_is_the_same_bit_for_bit(digits: Task) -> None:
    one, same = Worker(RUN, digits, 1), Worker(RUN, digits, 1)
    for _ in range(3):
        for worker in (one, same):
            worker.params.add_(worker.direction(), alpha=-worker.lr)
    assert torch.equal(one.params, same.params)
    assert torch.equal(one.buffers, same.buffers)


def test_steps_samples_and_epochs_are_counted_together(digits: Task) -> None:
    worker = Worker(RUN, digits, 0)
    assert worker.num_steps == math.ceil(1437 / 32) == 45
    assert (worker.steps, worker.samples, worker.epoch) == (0, 0, 0.0)
    for _ in range(3):
        worker.gradient()
    assert (worker.steps, worker.samples) == (3, 96)
    assert worker.epoch == 96 / 1437
    assert worker.gradient_s > 0


@pytest.mark.parametrize(
    ("num_samples", "epochs", "batch_size", "steps"),
    [(1000, 1.0, 500, 1), (1000, 1.0, 499, 2), (1000, 0.001, 500, 1), (1000, 1.1, 50, 11), (1000, 16.1, 5, 1610)],
)
def test_a_run_is_rounded_up_to_whole_steps(num_samples: int, epochs: float, batch_size: int, steps: int) -> None:
    task = make_task("quadratic", {"num_samples": num_samples}, 1)
    assert Worker(RUN.replace(task="quadratic", epochs=epochs, batch_size=batch_size), task, 0).num_steps == steps


def test_the_learning_rate_falls_at_its_milestones(digits: Task) -> None:
    worker = Worker(RUN.replace(epochs=8 * 32 / 1437), digits, 0)
    rates = []
    while worker.steps < worker.num_steps:
        rates.append(worker.lr)
        worker.gradient()
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025]


def test_the_learning_rate_rises_during_the_warm_up(digits: Task) -> None:
    sgd = Sgd(0.4, milestones=(0.75,), warmup_epochs=4 * 32 / 1437, warmup_lr=0.1)
    worker = Worker(RUN.replace(epochs=8 * 32 / 1437, sgd=sgd), digits, 0)
    rates = []
    while worker.steps < worker.num_steps:
        rates.append(worker.lr)
        worker.gradient()
    assert rates == pytest.approx([0.1, 0.175, 0.25, 0.325, 0.4, 0.4, 0.04, 0.04])


def test_the_learning_rate_falls_inversely_with_the_workers_steps(digits: Task) -> None:
    sgd = Sgd(0.5, inverse_decay=0.25, inverse_power=2.0)
    worker = Worker(RUN.replace(epochs=3 * 32 / 1437, sgd=sgd), digits, 0)
    rates = []
    while worker.steps < worker.num_steps:
        rates.append(worker.lr)
        worker.gradient()
    assert rates == pytest.approx([0.5, 0.5 / 1.25**2, 0.5 / 1.5**2])


def test_half_a_schedule_is_refused() -> None:
    with pytest.raises(UserError, match="belong together"):
        Sgd(0.1, inverse_decay=0.1)
    with pytest.raises(UserError, match="must not be negative"):
        Sgd(0.1, inverse_decay=-0.1, inverse_power=1.0)


def test_the_mean_loss_is_that_since_it_was_last_asked(digits: Task) -> None:
    worker = Worker(RUN, digits, 0)
    assert math.isnan(worker.mean_loss())
    for _ in range(2):
        losses = []
        for _ in range(3):
            worker.gradient()
            losses.append(worker.loss)
        assert worker.mean_loss() == sum(losses) / 3
    assert math.isnan(worker.mean_loss())


def test_a_batch_over_the_end_of_an_epoch_is_whole() -> None:
    task = make_task("quadratic", {"num_samples": 10}, 1)
    worker = Worker(RUN.replace(task="quadratic", workers=1, batch_size=4, epochs=3.0), task, 0)
    drawn: list[int] = []
    while len(drawn) < 20:
        _, indices = worker.next_batch()
        assert len(indices) == 4
        drawn += indices.tolist()
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))


def test_the_direction_is_the_gradient_with_momentum_and_decay(digits: Task) -> None:
    worker, plain = Worker(RUN, digits, 0), Worker(RUN, digits, 0)
    first = plain.gradient() + 1e-3 * plain.params * plain.model.decays
    assert torch.allclose(worker.direction(), first, rtol=1e-5, atol=1e-8)
    second = plain.gradient() + 1e-3 * plain.params * plain.model.decays
    assert torch.allclose(worker.direction(), 0.9 * first + second, rtol=1e-4, atol=1e-6)


def test_more_workers_than_samples_are_refused() -> None:
    with pytest.raises(UserError, match="workers cannot share"):
        Worker(RUN.replace(task="quadratic", workers=11), make_task("quadratic", {"num_samples": 10}, 1), 0)


# -- large-batch SGD's learning rate


def scalings(steps: int, **config: float) -> list[float]:
    """eta/eta_0 at each iteration of 4 workers with batch 8 on 128 samples: 4 iterations an epoch."""
    run = RUN.replace(task="quadratic", workers=4, batch_size=8, epochs=steps / 4, config=options(**config))
    worker = Worker(run, make_task("quadratic", {"num_samples": 128}, 1), 0)
    algorithm = LargeBatch(worker, None, LargeBatch.Config(**config))  # type: ignore[arg-type]
    factors = []
    while worker.steps < worker.num_steps:
        factors.append(algorithm.scaling())
        worker.gradient()
    return factors


def test_the_learning_rate_rises_by_equal_amounts_each_iteration() -> None:
    # to 32/8 = 4 times over 1.5 epochs, that is 6 iterations
    assert scalings(9, reference_batch=8, warmup_epochs=1.5) == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0, 4.0]


def test_without_warm_up_the_learning_rate_is_scaled_at_once() -> None:
    assert scalings(3, reference_batch=16, warmup_epochs=0.0) == [2.0, 2.0, 2.0]


def test_a_batch_below_the_reference_scales_down() -> None:
    assert scalings(3, reference_batch=64, warmup_epochs=0.5) == [1.0, 0.75, 0.5]


def test_scaling_can_be_switched_off() -> None:
    assert scalings(3, reference_batch=0) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("config", [{"reference_batch": -1}, {"warmup_epochs": -0.5}])
def test_options_that_cannot_be_are_refused(config: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(config))):
        LargeBatch.Config(**config)


def test_options_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LargeBatch.Config().reference_batch = 3  # type: ignore[attr-defined]


# -- bytes


@pytest.mark.parametrize(
    ("size", "length", "expected"), [(1, 1000, 0), (2, 1000, 4000), (4, 1000, 6000), (8, 11_173_962, 78_217_734)]
)
def test_a_ring_all_reduce_sends_its_known_number_of_bytes(size: int, length: int, expected: int) -> None:
    assert ring_allreduce_bytes(size, torch.empty(length, device="meta")) == expected


def test_bytes_depend_on_the_type() -> None:
    assert ring_allreduce_bytes(2, torch.empty(10, dtype=torch.float64)) == 80
