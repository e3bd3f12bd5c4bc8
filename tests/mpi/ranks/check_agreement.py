"""Where ranks agree to pause: all at one count, however far apart they are, and wherever each is told to."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from mpi4py import MPI

from repro.worlds import agreement
from repro.worlds.agreement import Agreement, Pause

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
NEVER_S = 1e9


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(agreement, "LOOK_S", 1e-3)
    yield
    WORLD.Barrier()


@pytest.mark.parametrize("seed", range(20))
def test_ranks_that_wait_for_their_neighbours_all_stop_at_one_step(seed: int) -> None:
    """A step is an exchange with both neighbours on a ring: whoever stopped elsewhere would be waited for for ever."""
    own, common = np.random.default_rng((seed, RANK)), np.random.default_rng(seed)
    teller, told_at = int(common.integers(SIZE)), int(common.integers(1, 20))
    pauses, step = Agreement(WORLD, NEVER_S), 0
    pause = None
    while pause is None:
        time.sleep(own.exponential(1e-3))
        right, left = (RANK + 1) % SIZE, (RANK - 1) % SIZE
        WORLD.Sendrecv(np.zeros(1), right, source=left, recvbuf=np.zeros(1))
        WORLD.Sendrecv(np.zeros(1), left, source=right, recvbuf=np.zeros(1))
        step += 1
        if teller == RANK and step == told_at:
            pauses.want(Pause.STOP)
        pause = pauses.after_step(step)
    assert pause is Pause.STOP
    assert set(WORLD.allgather(step)) == {step}
    pauses.close()


@pytest.mark.parametrize("seed", range(5))
def test_ranks_that_wait_for_nobody_stop_where_they_are(seed: int) -> None:
    pauses, step = Agreement(WORLD, NEVER_S), 0
    if seed % SIZE == RANK:
        pauses.want(Pause.STOP)
    pause = None
    while pause is None:
        time.sleep(1e-4 if RANK else 20e-3)  # far apart, and nobody catches up with the fastest
        step += 1
        pause = pauses.after_step(None)
    steps = WORLD.allgather(step)
    assert steps[0] < 100
    pauses.close()


def test_it_pauses_from_time_to_time_until_all_have_ended_and_then_no_more() -> None:
    pauses, saved = Agreement(WORLD, 10e-3), []
    for step in range(1, 61):
        time.sleep(1e-3)
        WORLD.Barrier()
        if pause := pauses.after_step(step):
            assert pause is Pause.SAVE
            saved.append(step)
            pauses.resume()
    while pauses.after_last_step():
        saved.append(61)
        pauses.resume()
    assert len(saved) >= 3
    assert WORLD.allgather(saved) == [saved] * SIZE
    pauses.close()


def test_a_rank_that_has_ended_pauses_with_those_that_have_not() -> None:
    """Rank 0 alone has steps to take, and is told to stop among them."""
    pauses, steps, pause = Agreement(WORLD, NEVER_S), 0, None
    while RANK == 0 and pause is None:
        time.sleep(1e-3)
        steps += 1
        if steps == 10:
            pauses.want(Pause.STOP)
        pause = pauses.after_step(steps)
    if RANK:
        pause = pauses.after_last_step()
    assert pause is Pause.STOP
    pauses.close()


def stepping_until_paused(pauses: Agreement, first: int) -> tuple[int, Pause | None]:
    """Take steps, all ranks together, from `first` on; return the last and what it paused for, soon if anything."""
    for step in range(first, first + 500):
        time.sleep(1e-3)
        WORLD.Barrier()
        if pause := pauses.after_step(step):
            return step, pause
    return step, None


def test_what_is_wanted_in_a_pause_for_something_else_is_not_lost() -> None:
    pauses = Agreement(WORLD, NEVER_S)
    if RANK == SIZE - 1:
        pauses.want(Pause.SAVE)
    step, pause = stepping_until_paused(pauses, 1)
    assert pause is Pause.SAVE
    if RANK == SIZE - 1:
        pauses.want(Pause.STOP)
    pauses.resume()
    step, pause = stepping_until_paused(pauses, step + 1)
    assert pause is Pause.STOP
    pauses.close()


def test_of_two_things_wanted_the_weightier_counts() -> None:
    """A run that has diverged and is told to stop has diverged, in whatever order."""
    pauses = Agreement(WORLD, NEVER_S)
    if RANK == 0:
        pauses.want(Pause.DIVERGED)
        pauses.want(Pause.STOP)
    assert stepping_until_paused(pauses, 1)[1] is Pause.DIVERGED
    pauses.close()
