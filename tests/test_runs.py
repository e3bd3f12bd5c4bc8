"""Runs, their keys, and their records."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.launch.change import changed
from repro.papers import PAPERS
from repro.report.style import method_of
from repro.runs.columns import EPOCH_COLUMNS, SCHEMA_VERSION, WORKER_COLUMNS
from repro.runs.record import read
from repro.runs.spec import MOST_WORKERS, SCALES, Run, Sgd, from_dict, options
from repro.runs.store import Store
from repro.runs.train import evaluation_steps

RUN = Run(
    algorithm="dpsgd",
    task="digits",
    workers=4,
    seed=1,
    batch_size=16,
    epochs=2.5,
    sgd=Sgd(0.05, 0.9, weight_decay=1e-4, milestones=(0.5, 0.75)),
    scale="smoke",
    config=options(topology="ring", order="adapt-then-combine"),
)

numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(st.booleans(), st.integers(), numbers, st.text(), st.lists(st.integers()).map(tuple))
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=80)
some_options = st.dictionaries(names, values, max_size=4).map(lambda named: options(**named))
sgds = st.builds(
    Sgd,
    lr=numbers,
    momentum=numbers,
    nesterov=st.booleans(),
    weight_decay=numbers,
    milestones=st.lists(st.floats(0, 1), max_size=4).map(tuple),
    decay=numbers,
)
plain = dict(
    algorithm=names,
    task=names,
    workers=st.integers(1, MOST_WORKERS),
    seed=st.integers(0, 2**40),
    batch_size=st.integers(1, 10_000),
    epochs=st.floats(1e-6, 1e6),
    sgd=sgds,
    scale=st.sampled_from(SCALES),
    config=some_options,
    task_config=some_options,
    evaluations=st.integers(1, 1000),
    partition=st.sampled_from(["iid", "shards:2", "dirichlet:0.5"]),
)
runs = st.one_of(
    st.builds(Run, **plain),
    st.builds(
        Run, **plain, world=st.just("simulated"), platform=names,
        delays=st.none() | names, timed_as=st.none() | names,
    ),
)  # fmt: skip


# -- specs


@given(runs)
def test_a_run_survives_json(run: Run) -> None:
    again = from_dict(json.loads(run.to_json()))
    assert again == run
    assert again.key == run.key
    assert hash(again) == hash(run)
    assert from_dict(json.loads(json.dumps(dataclasses.asdict(run)))) == run


@given(runs)
def test_a_folder_is_one_name_that_ends_in_the_key(run: Run) -> None:
    assert run.folder.endswith(run.key)
    assert "/" not in run.folder and not run.folder.startswith(".")
    assert len(run.key) == 12 and int(run.key, 16) >= 0


def test_the_key_is_what_it_always_was() -> None:
    # committed records are found by it: a change here orphans them
    assert RUN.key == "7698960ae3c9"
    assert RUN.folder == "dpsgd-digits-smoke-n4-s1-7698960ae3c9"


def test_the_key_does_not_depend_on_the_order_in_which_options_were_named() -> None:
    assert RUN.key == RUN.replace(config=options(order="adapt-then-combine", topology="ring")).key


EQUAL = {
    "epochs": (RUN.replace(epochs=2), RUN.replace(epochs=2.0)),
    "a learning rate": (RUN.replace(sgd=Sgd(1)), RUN.replace(sgd=Sgd(1.0))),
    "a milestone": (RUN.replace(sgd=Sgd(0.1, milestones=(0, 1))), RUN.replace(sgd=Sgd(0.1, milestones=(0.0, 1.0)))),
    "an option": (
        RUN.replace(algorithm="largebatch", config=options(warmup_epochs=5)),
        RUN.replace(algorithm="largebatch", config=options(warmup_epochs=5.0)),
    ),
}


@pytest.mark.parametrize("what", EQUAL)
def test_equal_runs_share_one_key(what: str) -> None:
    one, other = EQUAL[what]
    assert one == other
    assert one.key == other.key


def test_every_field_counts() -> None:
    other = {
        "algorithm": "swarm", "task": "quadratic", "workers": 5, "seed": 2, "batch_size": 17, "epochs": 3.0,
        "sgd": Sgd(0.06), "scale": "laptop", "config": (), "task_config": options(a=1), "evaluations": 11,
        "partition": "shards:2", "world": "mpi", "platform": "b@1", "delays": "slow:2", "timed_as": "big",
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(Run)}
    simulated = RUN.replace(world="simulated", platform="a@1")
    changes = [{name: value} for name, value in other.items()]
    changes = [{"world": "mpi", "platform": None} if "world" in change else change for change in changes]
    keys = [simulated.key, *(simulated.replace(**change).key for change in changes)]
    assert len(set(keys)) == len(keys)


def test_fields_that_came_later_do_not_change_old_keys() -> None:
    fields = json.loads(RUN.to_json())
    assert not {"platform", "delays", "timed_as"} & set(fields)
    assert not {"warmup_epochs", "warmup_lr"} & set(fields["sgd"])


def test_a_warm_up_counts_and_says_from_where() -> None:
    warm = RUN.replace(sgd=Sgd(0.05, 0.9, warmup_epochs=1, warmup_lr=0.01))
    assert warm.key != RUN.replace(sgd=Sgd(0.05, 0.9)).key
    assert from_dict(json.loads(json.dumps(dataclasses.asdict(warm)))) == warm
    for wrong in ({"warmup_epochs": 1}, {"warmup_lr": 0.1}, {"warmup_epochs": 0, "warmup_lr": 0.1}):
        with pytest.raises(UserError, match="warmup"):
            Sgd(0.05, **wrong)


@pytest.mark.parametrize("fields", [{"world": "simulated"}, {"platform": "a@1"}, {"timed_as": "resnet18-imagenet"}])
def test_only_the_simulated_world_has_a_platform_and_what_goes_with_it(fields: dict[str, str]) -> None:
    with pytest.raises(UserError, match="simulated world"):
        RUN.replace(**fields)


def test_cells_share_a_run_only_where_they_are_the_same_method() -> None:
    labels: dict[Run, set[str]] = {}
    for cell in (cell for paper in PAPERS.values() for cell in paper.cells):
        made = {cell.recipe(scale, seed, None) for scale in SCALES for seed in (1, 2)}
        assert len(made) == 6, cell.name
        for run in made:
            labels.setdefault(run, set()).add(method_of(cell.label))
    assert [names for names in labels.values() if len(names) > 1] == []
    assert len({run.key for run in labels}) == len(labels)


@pytest.mark.parametrize(
    ("field", "value"), [("workers", 0), ("batch_size", 0), ("epochs", 0.0), ("evaluations", 0), ("scale", "huge")]
)
def test_a_run_that_cannot_be_is_refused(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=field):
        RUN.replace(**{field: value})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"algorithm": "dpsgd"},
        {**dataclasses.asdict(RUN), "unheard_of": 1},
        {**dataclasses.asdict(RUN), "sgd": {"lr": 0.1, "unheard_of": 1}},
        {**dataclasses.asdict(RUN), "sgd": 3},
        {**dataclasses.asdict(RUN), "config": "ring"},
    ],
)
def test_what_is_not_a_spec_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not a run spec"):
        from_dict(fields)


def test_changes_from_the_command_line_change_their_field() -> None:
    run = changed(RUN, ["epochs=3.5", "sgd.lr=0.2", "config.topology=star", "sgd.milestones=[0.25]", "task=logistic"])
    assert run == RUN.replace(
        epochs=3.5,
        sgd=dataclasses.replace(RUN.sgd, lr=0.2, milestones=(0.25,)),
        config=options(topology="star", order="adapt-then-combine"),
        task="logistic",
    )
    assert changed(RUN, []) == RUN


# -- evaluation points


@given(st.integers(1, 100_000), st.integers(1, 60))
def test_evaluation_points_are_even_and_end_at_the_last_step(num_steps: int, evaluations: int) -> None:
    points = sorted(evaluation_steps(num_steps, evaluations))
    assert points[-1] == num_steps
    assert points[0] >= 1
    assert len(points) == min(evaluations, num_steps)
    gaps = [b - a for a, b in zip([0, *points], points, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_evaluation_points_are_where_they_always_were() -> None:
    assert evaluation_steps(45, 10) == {5, 9, 14, 18, 23, 27, 32, 36, 41, 45}


# -- records


def rows(columns: tuple[str, ...], count: int, **fixed: Any) -> list[dict[str, Any]]:
    return [{name: fixed.get(name, index + k / 7) for k, name in enumerate(columns)} for index in range(count)]


def add(store: Store, run: Run = RUN, **changes: Any) -> Path:
    content = {
        "provenance": {"git_commit": None},
        "outcome": {"state": "finished", "wall_s": 1.5},
        "epochs": rows(EPOCH_COLUMNS, 3, evaluated_model="mean", normalisation="none", test_loss=math.pi),
        "workers": rows(WORKER_COLUMNS, 4, host="here"),
    }
    return store.add(run, **(content | changes))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "runs")


def test_a_store_without_a_folder_is_empty(store: Store) -> None:
    assert list(store) == []
    assert not store.has(RUN)


def test_a_record_comes_back_as_it_was_added(store: Store) -> None:
    folder = add(store)
    assert folder == store.folder(RUN) == store.root / RUN.folder
    assert store.has(RUN)
    assert not store.has(RUN.replace(seed=2))
    record = store.get(RUN)
    assert record.run == RUN
    assert record.outcome == {"state": "finished", "wall_s": 1.5}
    assert record.provenance == {"git_commit": None}
    assert tuple(record.epochs.columns) == EPOCH_COLUMNS
    assert tuple(record.workers.columns) == WORKER_COLUMNS
    assert len(record.workers) == 4
    assert [r.run for r in store] == [RUN]


def test_numbers_come_back_to_the_last_bit(store: Store) -> None:
    numbers = [math.pi * 10**k / 7 for k in range(-12, 12)]
    row = rows(EPOCH_COLUMNS, 1, evaluated_model="mean", normalisation="none")[0]
    add(store, epochs=[row | {"epoch": k, "test_loss": number} for k, number in enumerate(numbers)])
    assert store.get(RUN).curve()["test_loss"].tolist() == numbers


def test_the_last_evaluation_point_is_the_final_one(store: Store) -> None:
    epochs = [
        {"epoch": epoch, "evaluated_model": model, "test_top1_percent": value}
        for epoch, model, value in ((2, "mean", 20.0), (10, "mean", 50.0), (10, "local_worst", 40.0), (1, "mean", 9.0))
    ]
    add(store, epochs=epochs)
    record = store.get(RUN)
    assert record.final("test_top1_percent") == 50.0
    assert record.final("test_top1_percent", "local_worst") == 40.0
    assert record.curve()["epoch"].tolist() == [1, 2, 10]


def test_a_record_says_its_key_and_schema(store: Store) -> None:
    content = json.loads((add(store) / "run.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["key"] == RUN.key


def test_a_table_that_was_changed_by_hand_is_noticed(store: Store) -> None:
    folder = add(store)
    assert store.get(RUN).altered() is None
    digest = hashlib.sha256((folder / "epochs.csv").read_bytes()).hexdigest()
    assert store.get(RUN).tables_sha256["epochs.csv"] == digest
    (folder / "epochs.csv").write_text((folder / "epochs.csv").read_text().replace("3.14", "3.15"))
    assert store.get(RUN).altered() == "epochs.csv"


def interrupted() -> Iterator[dict[str, Any]]:
    yield rows(EPOCH_COLUMNS, 1)[0]
    raise KeyboardInterrupt


def test_an_interrupted_writing_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        add(store, epochs=interrupted())
    assert list(store.root.glob("*")) == []
    with pytest.raises(TypeError):  # at the very end of writing
        add(store, outcome={"state": object()})
    assert list(store.root.iterdir()) == []
    assert not store.has(RUN)


def test_a_record_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append("the folder" if path == store.root.resolve() else path.name)
        assert store.has(RUN) == (synced[-1] == "the folder")

    monkeypatch.setattr("os.fsync", note)
    add(store)
    assert synced == ["epochs.csv", "workers.csv", "run.json", "the folder"]


def test_a_column_nobody_knows_is_an_error(store: Store) -> None:
    with pytest.raises(ValueError, match="unheard_of"):
        add(store, epochs=[{"unheard_of": 1}])
    assert not store.has(RUN)


def test_a_folder_without_its_name_is_not_a_record(store: Store) -> None:
    folder = add(store)
    folder.rename(store.root / ".unfinished-abc")
    assert list(store) == []
    assert not store.has(RUN)
    (store.root / "empty").mkdir()
    assert list(store) == []


def test_the_same_run_asked_for_again_replaces_its_record(store: Store) -> None:
    folder = add(store)
    (folder / "left.txt").write_text("of the first")
    assert add(store, outcome={"state": "finished", "wall_s": 9.0}) == folder
    assert store.get(RUN).outcome["wall_s"] == 9.0
    assert sorted(path.name for path in folder.iterdir()) == ["epochs.csv", "run.json", "workers.csv"]
    assert len(list(store)) == 1


def test_a_failed_replacement_leaves_the_first_record(store: Store) -> None:
    add(store)
    with pytest.raises(KeyboardInterrupt):
        add(store, epochs=interrupted())
    assert store.get(RUN).outcome["wall_s"] == 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "schema version None"),
        ("{}", "schema version None"),
        ('{"schema_version": 999}', "schema version 999.*move the folder away"),
        (f'{{"schema_version": {SCHEMA_VERSION}}}', "lacks 'run'"),
        (f'{{"schema_version": {SCHEMA_VERSION}, "run": {{}}}}', "not a run spec"),
    ],
)
def test_what_is_no_record_is_refused_by_name(store: Store, text: str, words: str) -> None:
    path = add(store) / "run.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as refused:
        read(path.parent)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_that_lacks_columns_is_refused(store: Store) -> None:
    folder = add(store)
    (folder / "epochs.csv").write_text("epoch,samples\n1,2\n")
    with pytest.raises(UserError, match="lacks the columns steps, clock_s"):
        _ = store.get(RUN).epochs
    (folder / "workers.csv").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        _ = store.get(RUN).workers
