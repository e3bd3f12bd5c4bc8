"""What readers of data made elsewhere refuse, each with its reason; what nobody has thought of is in tests/fuzz."""

import io
import json
import math
import pickle
import struct
import sys
import zipfile
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro import pickles
from repro.errors import UserError
from repro.jsonfile import read_json
from repro.launch.cost import Cost
from repro.report.guards import check
from repro.runs import tensorfile
from repro.runs.place import LONGEST, Place
from repro.runs.record import read
from repro.runs.spec import from_dict
from repro.runs.state import load_state_dict, state_dict
from repro.runs.store import Store
from repro.runs.study import Studies, StudyRun
from repro.runs.study import read as read_study
from repro.tomlfile import read_toml
from repro.worlds.order import LockOrder
from tests.fuzz.checkpoint import algorithm
from tests.fuzz.cifar import ATTACKS
from tests.report.synthetic import LARGEBATCH, add


def plain(*leaves: "st.SearchStrategy[Any]") -> "st.SearchStrategy[Any]":
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), *leaves),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    )


# -- pickles


@given(value=plain(), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read_from_pickles_of_every_protocol(value: Any, protocol: int) -> None:
    assert pickles.loads(pickle.dumps(value, protocol), {}) == value


@given(value=plain(st.binary()), protocol=st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_so_are_bytes_where_they_are_not_written_as_a_call(value: Any, protocol: int) -> None:
    assert pickles.loads(pickle.dumps(value, protocol), {}) == value


@pytest.mark.parametrize("content", ATTACKS)
def test_no_call_is_made(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"asks for|has the opcode"):
        pickles.loads(content, {})


@pytest.mark.parametrize("depth", [1, 100])  # the second takes for ever in C, where no timeout of a test gets through
def test_a_key_whose_hash_would_take_for_ever_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="a key that is neither text nor number"):
        pickles.loads(b"\x80\x02})" + b"q\x00h\x00\x86" * depth + b"K\x01s.", {})


def test_a_high_memo_index_takes_no_memory() -> None:
    assert pickles.loads(b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".", {}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"\x80\x02", b"t.", b"(t", b"R.", b"h\x01.", b"]Na", b"Nb.", b"Q.", b"\x8e" + b"\xff" * 8,
        b"NNR.", b"NNb.", b"NNa.", b"}Na.", b"N(NNu.", b"](K\x01K\x01u.", b"}(K\x01u.", b"NN\x93.",
    ],
)  # fmt: skip
def test_a_damaged_pickle_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):
        pickles.loads(content, {})


@pytest.mark.parametrize("error", [OverflowError, AttributeError, IndexError, TypeError])
def test_arguments_that_a_maker_cannot_use_are_a_value_error(error: type[Exception]) -> None:
    def maker(*_: object) -> None:
        raise error("no such shape")

    with pytest.raises(ValueError, match="it is damaged: no such shape"):
        pickles.loads(b"cof\nrows\n)R.", {"of.rows": maker})


# -- saved states


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


tensors = st.tuples(
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool]),
    st.lists(st.integers(0, 3), max_size=3),
).map(lambda of: (torch.arange(int(np.prod(of[1]))) % 2).reshape(of[1]).to(of[0]))


@given(st.dictionaries(st.text(), tensors | st.lists(tensors | st.floats(allow_nan=False) | st.integers(), max_size=3)))
def test_what_torch_saved_is_read_as_torch_reads_it(content: dict[str, Any]) -> None:
    found, expected = tensorfile.loads(saved(content)), torch.load(io.BytesIO(saved(content)), weights_only=True)
    for one, other in zip(flat(found), flat(expected), strict=True):
        if isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
        else:
            assert one == other and type(one) is type(other)


def flat(value: Any) -> list[Any]:
    items = [x for key, item in value.items() for x in (key, item)] if isinstance(value, dict) else value
    return [x for item in items for x in flat(item)] if isinstance(value, dict | list) else [value]


def test_views_and_states_of_generators_are_read() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    state = np.random.default_rng(1).bit_generator.state
    found = tensorfile.loads(saved({"x": x, "column": x[:, 1], "transposed": x.T, "rng": state}))
    assert torch.equal(found["column"], x[:, 1]) and torch.equal(found["transposed"], x.T) and found["rng"] == state
    found["x"][0, 1] = 9.0
    assert found["column"][0] == 9.0  # one storage, as in torch


def swapped(old: bytes, new: bytes) -> bytes:
    """Return a file with something else in its pickle."""
    return changed(WHOLE, "pkl", lambda content: content.replace(old, new))


def changed(content: bytes, name: str, change: Any, how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", how) as new:
        for entry in old.namelist():
            new.writestr(entry, change(old.read(entry)) if entry.endswith(name) else old.read(entry))
    return out.getvalue()


def overlapping(content: bytes) -> bytes:
    """Return a file whose directory has its largest entry twice, so that it would be more than there is."""
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as file:
        largest = max(file.infolist(), key=lambda entry: entry.file_size)
        again = copy(largest)
        again.filename = "archive/data/1"
        file.filelist.append(again)
        file._didModify = True  # type: ignore[attr-defined]
    return out.getvalue()


WHOLE = saved({"x": torch.arange(4.0)})
OTHER = "big" if sys.byteorder == "little" else "little"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(WHOLE, "x", bytes, zipfile.ZIP_DEFLATED), "it is packed"),
        (changed(WHOLE, "byteorder", lambda _: OTHER.encode()), "another order of bytes"),
        (changed(WHOLE, "data/0", lambda _: bytes(8)), "more numbers than there are"),
        (
            swapped(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85"),
            "more numbers than there are",
        ),
        (swapped(b"K\x00K\x04\x85", b"K\x01K\x04\x85"), "out of bounds"),
        (
            swapped(b"FloatStorage", b"FloatTensors"),
            "asks for torch.Float",
        ),
        (changed(WHOLE, "pkl", lambda _: ATTACKS[0]), "asks for os.system"),
        (changed(WHOLE, "pkl", lambda _: b"ctorch\nFloatStorage\n)R."), "calls a type"),
        (overlapping(saved({"x": torch.arange(1000.0)})), "it is packed"),
        (WHOLE[:-1], "zip"),
    ],
)
def test_a_file_that_torch_did_not_save_so_is_refused(content: bytes, words: str) -> None:
    assert tensorfile.loads(WHOLE)["x"].tolist() == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises((ValueError, zipfile.BadZipFile), match=words):
        tensorfile.loads(content)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("params", torch.zeros(1)),
        ("params", torch.zeros(20, dtype=torch.float64)),
        ("momentum", None),
        ("batches", {"epoch": 0}),
        ("batches", {"epoch": 0, "position": -3}),
        ("batches", {"epoch": 0, "position": 10**6}),
        ("batches", {"epoch": -1, "position": 0}),
        ("rng", {"bit_generator": "PCG64", "state": 1}),
        ("steps", -(10**12)),
        ("drawn_by_all", -(10**12)),
    ],
)
def test_a_state_of_another_run_is_refused_in_one_line(part: str, value: Any) -> None:
    whole = state_dict(algorithm())
    load_state_dict(algorithm(), whole)
    with pytest.raises(UserError, match="the saved state does not fit the run: ") as refused:
        load_state_dict(algorithm(), whole | {"worker": whole["worker"] | {part: value}})
    assert "\n" not in str(refused.value)


# -- JSON: records, studies, orders of locks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('["\\ud800"]', "control characters"),
        ('{"a\\u001b[31m": 1}', "control characters"),
        ('["\\u0000"]', "control characters"),
        ('["\x7f"]', "control characters"),
        ('["\u202e"]', "control characters"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_json_that_would_break_what_comes_after_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_json(tmp_path / "x.json")


def test_what_is_no_file_of_json_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=f"{path} cannot be read: "):
            read_json(path)


def changed_head(path: Path, **parts: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))
    return path.parent


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"provenance": []}, "provenance is missing or no table"),
        ({"outcome": None}, "outcome is missing or no table"),
        ({"outcome": {"wall_s": "long"}}, "wall_s must be a finite number, not 'long'"),
        ({"outcome": {"wall_s": True}}, "wall_s must be a finite number, not True"),
        ({"outcome": {"wall_s": 10**400}}, "wall_s must be a finite number, not 1000"),
        ({"outcome": {"num_params": math.nan}}, "num_params must be a finite number, not nan"),
        ({"provenance": {"git_commit": 7}}, "git_commit must be a text, not 7"),
        ({"tables_sha256": {"../../x": "0"}}, "names no table"),
        ({"tables_sha256": {"/dev/zero": "0"}}, "names no table"),
        ({"tables_sha256": {"epochs.csv": 0}}, "names no table"),
        ({"tables_sha256": {"x" * 300: "0"}}, "has 'x{100}', which names no table"),
        ({"tables_sha256": {"é" * 200: "0"}}, "names no table"),  # 400 bytes
    ],
)
def test_a_head_that_the_report_could_not_use_is_refused(tmp_path: Path, parts: Any, words: str) -> None:
    folder = changed_head(add(tmp_path, LARGEBATCH.recipe("smoke", 1, None), 90.0) / "run.json", **parts)
    with pytest.raises(UserError, match=words) as refused:
        read(folder)
    assert str(folder) in str(refused.value)


def test_a_table_that_is_not_there_counts_as_changed(tmp_path: Path) -> None:
    folder = add(tmp_path, LARGEBATCH.recipe("smoke", 1, None), 90.0)
    assert read(folder).altered() is None
    digests = json.loads((folder / "run.json").read_text())["tables_sha256"]
    changed_head(folder / "run.json", tables_sha256=digests | {"lock_order.json": "0" * 64})
    assert read(folder).altered() == "lock_order.json"


SPEC = {
    "algorithm": "dpsgd", "task": "digits", "workers": 4, "seed": 1, "batch_size": 1, "epochs": 1, "sgd": {"lr": 0.1},
    "scale": "smoke",
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", float("nan")),
        ("epochs", float("inf")),
        ("epochs", 1e300),
        ("workers", 4097),
        ("workers", 2**63),
        ("seed", 10**400),
        ("task", "a/b"),
        ("algorithm", "../x"),
        ("algorithm", "x" * 81),
        ("task", "é"),
        ("workers", True),
        ("partition", 5),
        ("delays", []),
        ("config", [["x", [{"a": 1}]]]),
        ("config", [["x", float("nan")]]),
        ("sgd", {"lr": float("inf")}),
        ("sgd", {"lr": 0.1, "milestones": ["a"]}),
        ("sgd", {"lr": 0.1, "milestones": [1.5]}),
        ("config", 5),
        ("task_config", [["a"]]),
        ("sgd", []),
    ],
)
def test_a_spec_that_nothing_could_run_is_refused(field: str, value: Any) -> None:
    from_dict(SPEC)
    with pytest.raises(UserError):
        from_dict(SPEC | {field: value})


@pytest.mark.parametrize("platform", ["a/b@1", "x" * 101])
def test_a_platform_whose_name_is_that_of_no_file_is_refused(platform: str) -> None:
    from_dict(SPEC | {"world": "simulated", "platform": "x" * 100})
    with pytest.raises(UserError, match="a platform's name"):
        from_dict(SPEC | {"world": "simulated", "platform": platform})


@pytest.mark.timeout(20)
def test_a_record_of_more_workers_than_it_lists_is_left_out(tmp_path: Path) -> None:
    folder = add(tmp_path, LARGEBATCH.recipe("smoke", 1, None), 90.0)
    spec = json.loads((folder / "run.json").read_text())["run"] | {"workers": 4096}
    changed_head(folder / "run.json", run=spec)
    folder.rename(folder.with_name(read(folder).run.folder))
    (problem,) = check(Store(tmp_path / "runs")).problems
    assert "workers.csv does not list ranks" in problem.reason


def test_records_of_unknown_tasks_or_without_a_time_do_not_stop_planning(tmp_path: Path) -> None:
    run = LARGEBATCH.recipe("smoke", 1, None)
    changed_head(add(tmp_path, run, 90.0) / "run.json", outcome={})
    add(tmp_path, run.replace(task="unknown"), 90.0)
    add(tmp_path, run.replace(task_config=(("num_train", "many"),)), 90.0)
    assert Cost(Store(tmp_path / "runs"), Studies(tmp_path / "studies")).seconds(run) > 0


def test_long_delays_have_a_name_that_fits_a_file() -> None:
    one, other = (Place("simulated", "x", f"speeds:{'1,' * 300}{last}") for last in (1, 2))
    assert one.parts != other.parts
    assert max(map(len, one.parts)) <= LONGEST


ELSEWHERE = {"paper": "../x", "study": "y", "scale": "smoke", "seed": 1, "world": "theory"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"study": ELSEWHERE}, "paper must be a name"),
        ({"study": ELSEWHERE | {"paper": "x", "seed": "1"}}, "seed must be a whole number"),
        ({"study": ELSEWHERE | {"paper": "x", "scale": "huge"}}, "unknown scale 'huge'"),
        ({"study": {"paper": "x"}}, "is not of a study"),
        ({"study": []}, "is not of a study"),
        ({"tables_sha256": {}}, "is not of a study"),
        ({"provenance": None}, "provenance is missing or no table"),
        ({"sources_sha256": []}, "sources_sha256 is no table"),
        ({"sources_sha256": {"../../etc/passwd": ""}}, "names no file of this project"),
        ({"sources_sha256": {"x" * 300 + ".py": ""}}, "has 'x{100}', which names no file of this project"),
        ({"sources_sha256": {"x/" * 2000 + "x.py": ""}}, "names no file of this project"),
    ],
)
def test_a_head_that_is_of_no_study_is_refused(tmp_path: Path, changes: Any, words: str) -> None:
    folder = study(tmp_path)
    assert read_study(folder).run == STUDY
    with pytest.raises(UserError, match=rf"study.json.*{words}"):
        read_study(changed_head(folder / "study.json", **changes))


STUDY = StudyRun("toy", "steps", "smoke", 1, "theory")


def study(root: Path) -> Path:
    import pandas as pd

    outcome = {"wall_s": 1.0, "rows": 1, "started_utc": ""}
    return Studies(root).add(STUDY, pd.DataFrame({"x": [1]}), provenance={}, outcome=outcome, sources_sha256={})


@pytest.mark.parametrize("content", [b"", b'x\n"1\n', b"\xff\xfe"])
def test_a_table_of_a_study_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    folder = study(tmp_path)
    (folder / "table.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"table.csv cannot be read: "):
        _ = read_study(folder).table


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"window": 0}', "no order of locks"),
        ('[{"window": 0, "target": 0}]', "no order of locks"),
        ('[{"window": 0, "target": 0, "origins": [4]}]', "a rank that is none of the run's 4"),
        ('[{"window": 0, "target": 9, "origins": []}]', "a rank that is none of the run's 4"),
        ('[{"window": 0, "target": 0, "origins": [-1]}]', "no order of locks"),
        ('[{"window": 0, "target": 0, "origins": [true]}]', "no order of locks"),
        ('[{"window": [], "target": 0, "origins": []}]', "no order of locks"),
    ],
)
def test_an_order_of_locks_of_other_ranks_is_refused(tmp_path: Path, rows: str, words: str) -> None:
    path = tmp_path / "lock_order.json"
    path.write_text(rows)
    with pytest.raises(UserError, match=words):
        LockOrder.read(path, 4)


# -- TOML


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (".".join("a" * 30_000) + " = 1", "in a line"),
        ("x = 1\n" * 20_000, "more than 65536 bytes"),
        ("x = " + "[" * 4000, "nested too deeply"),
        (f"x = 0x{'f' * 100}", "more than 64 bits"),
        (f"x = [{{ y = [0x{'f' * 100}] }}]", "more than 64 bits"),
        ("x = \xff", "not TOML"),
    ],
)
def test_toml_that_takes_for_ever_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=words):
        read_toml(tmp_path / "x.toml", "site")


def test_of_an_endless_file_no_more_is_read_than_toml_may_have(tmp_path: Path) -> None:
    with (tmp_path / "x.toml").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(UserError, match="more than 65536 bytes"):
        read_toml(tmp_path / "x.toml", "site")


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    assert str(UserError("no file a\nb\x1b[31m\ud800é")) == r"no file a\nb\x1b[31m\ud800é"
