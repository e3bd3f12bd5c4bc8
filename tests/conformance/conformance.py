"""The properties as a class of tests, over cases and worlds."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

import pytest
import torch
from torch import Tensor

from repro.pace import Pace
from repro.runs.spec import Sgd
from repro.worlds.comm import Comm
from tests.conformance import feedback, graphs, limits, manners, mixing, peers, samples, state, traffic
from tests.conformance.case import SIZES, Case
from tests.conformance.scene import BATCH_SIZE, Observation, Watched, observe, scene
from tests.conformance.tasks import NORMALISED, QUADRATIC, D
from tests.conformance.worlds import Ranks, SimulatedRanks

EPOCHS = 3
Applies = Callable[[Case, int], bool]
Test = TypeVar("Test", bound=Callable[..., None])


def where(applies: Applies) -> Callable[[Test], Test]:
    """Restrict a test to those cases and numbers of workers for which `applies`."""

    def mark(test: Test) -> Test:
        test.applies = applies
        return test

    return mark


class Conformance:
    """Properties of every algorithm: to test one's own, name its cases in a class derived from this one.

    Attributes:
        cases: the algorithms.
        worlds: the ranks that they run on.
    """

    cases: ClassVar[Sequence[Case]]
    worlds: ClassVar[Sequence[Ranks]] = tuple(SimulatedRanks(size) for size in SIZES)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "case" not in metafunc.fixturenames:
            return
        applies: Applies = getattr(metafunc.function, "applies", lambda case, size: True)
        pairs = [
            (case, ranks)
            for case in self.cases
            for ranks in self.worlds
            if ranks.size in case.sizes and applies(case, ranks.size)
        ]
        metafunc.parametrize("case, ranks", pairs, ids=[f"{case.name}-{ranks.name}" for case, ranks in pairs])

    # -- mixing

    @where(lambda case, size: case.preserves and case.exact)
    def test_communication_preserves_the_mass(self, case: Case, ranks: Ranks) -> None:
        seen = without_learning(case, ranks)
        mixing.check_mass(torch.stack([o.mass for o in seen]), seen[0].looks)

    @where(lambda case, size: case.exact)
    def test_parameters_are_averages(self, case: Case, ranks: Ranks) -> None:
        seen = without_learning(case, ranks)
        mixing.check_averages(torch.stack([o.params for o in seen]), seen[0].looks)

    @where(lambda case, size: case.exact)
    def test_workers_that_agree_stay_where_they_are(self, case: Case, ranks: Ranks) -> None:
        x = mixing.starts(1, D).expand(ranks.size, -1)
        seen = observe(scene(case, ranks.size, steps=case.steps(ranks.size), start=x), ranks)
        mixing.check_consensus(torch.stack([o.params for o in seen]), seen[0].looks)

    @where(lambda case, size: case.averages and case.timing != "asynchronous")
    def test_everybody_reaches_everybody(self, case: Case, ranks: Ranks) -> None:
        mixing.check_spread(torch.stack([o.params[-1] for o in without_learning(case, ranks)]))

    # -- communication

    def test_the_graphs_of_a_period_connect_all_workers(self, case: Case, ranks: Ranks) -> None:
        if not case.bounded and not ranks.repeats:
            pytest.skip("on real ranks a round of this method may take any number of steps")
        contacts = [o.contacts for o in without_learning(case, ranks)]
        graphs.check_connected(contacts, case.steps(ranks.size), case.period(ranks.size))

    @where(lambda case, size: case.bytes_sent is not None)
    def test_bytes_are_those_of_the_closed_form(self, case: Case, ranks: Ranks) -> None:
        assert case.bytes_sent is not None
        counted = [o.bytes for o in without_learning(case, ranks)]
        expected = [of(ranks.size, D) for of in (case.bytes_sent, case.bytes_received or case.bytes_sent)]
        traffic.check_bytes(counted, case.steps(ranks.size), *expected)

    @where(lambda case, size: case.chooses_every > 0 and size > 2)
    def test_peers_are_chosen_uniformly(self, case: Case, ranks: Ranks) -> None:
        peers.check_unbiased(many_choices(case, ranks))

    @where(lambda case, size: case.chooses_every > 0 and size > 2)
    def test_peers_are_chosen_independently(self, case: Case, ranks: Ranks) -> None:
        peers.check_independent(many_choices(case, ranks))

    # -- learning

    def test_an_epoch_is_one_pass_of_all_workers_together(self, case: Case, ranks: Ranks) -> None:
        seen = learning(case, ranks)
        check = samples.check_one_pass if case.method.equal_steps else samples.check_budget
        check([o.draws for o in seen], QUADRATIC.num_samples, EPOCHS)
        drawn = [sum(len(indices) for indices, _ in o.draws) for o in seen]
        samples.check_counts(drawn, [o.steps for o in seen], [o.samples for o in seen], BATCH_SIZE)

    @where(lambda case, size: case.preserves and case.exact and case.weight is not None)
    def test_every_gradient_counts_once(self, case: Case, ranks: Ranks) -> None:
        assert case.weight is not None
        seen = learning(case, ranks)
        mass = torch.stack([o.mass for o in seen])
        feedback.check_nothing_is_lost(
            mass[:, 0],
            mass[:, -1],
            torch.stack([o.memory for o in seen]),
            case.weight * torch.stack([o.moves for o in seen]),
        )

    @where(lambda case, size: any(limits.limits_of(case, size)))
    def test_in_its_limits_it_is_another_algorithm(self, case: Case, ranks: Ranks) -> None:
        for limit in limits.limits_of(case, ranks.size):
            of = limits.scene_of(limit, case, ranks.size)
            limits.check_limit(limit, limits.final_params(of, ranks), limit.expected(of, ranks))

    def test_a_restart_changes_nothing(self, case: Case, ranks: Ranks) -> None:
        state.check_restart(case, ranks)

    # -- manners

    def test_global_generators_are_left_alone(self, case: Case, ranks: Ranks) -> None:
        manners.check_generators([o.generators for o in learning(case, ranks)])

    def test_autograd_is_left_switched_off(self, case: Case, ranks: Ranks) -> None:
        manners.check_autograd([o.autograd for o in learning(case, ranks)])

    def test_normalisation_statistics_stay_local(self, case: Case, ranks: Ranks) -> None:
        of = scene(case, ranks.size, steps=max(4, case.period(ranks.size)), sgd=Sgd(0.1), task=NORMALISED)

        def program(comm: Comm, pace: Pace | None) -> tuple[Tensor, Tensor]:
            watched = Watched(of, comm, pace)
            watched.run()
            return watched.worker.buffers, manners.own_statistics(watched)

        buffers, own = zip(*ranks.run(program), strict=True)
        manners.check_statistics(list(buffers), list(own))


@cache
def without_learning(case: Case, ranks: Ranks) -> list[Observation]:
    """A run at learning rate 0 from parameters that tell the workers apart, of as many periods as it takes."""
    x = mixing.starts(ranks.size, D)
    return observe(scene(case, ranks.size, steps=case.steps(ranks.size), start=x), ranks)


@cache
def learning(case: Case, ranks: Ranks) -> list[Observation]:
    """A run of three epochs whose learning rate falls."""
    sgd = Sgd(0.1, milestones=(0.5,))
    return observe(scene(case, ranks.size, epochs=EPOCHS, sgd=sgd), ranks, every_step=False)


@cache
def many_choices(case: Case, ranks: Ranks) -> list[peers.Choices]:
    """Whom each worker chose in a run that is long enough to count."""
    of = scene(case, ranks.size, steps=peers.CHOICES * (ranks.size - 1) * case.chooses_every)
    return [peers.choices(o.contacts) for o in observe(of, ranks, every_step=False)]
