"""Big LIBSVM sets: the parser against scikit-learn's, the cache, and what is refused."""

import bz2
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from repro.errors import UserError
from repro.tasks.data import libsvm as module
from repro.tasks.data import rows as rows_module
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.libsvm_parser import number
from repro.tasks.data.rows import SHAPES, Shape, load_rows, synthetic_dense, synthetic_sparse
from repro.tasks.logistic_rows import DenseRows, SparseRows
from tests.memsgd.reference import random_rows

N, D = 50, 30


@given(st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-1000, 1000))
def test_numbers_are_read_as_python_reads_them(value: float) -> None:
    for text in (repr(value), f"{value:.7g}", f"{value:+.6e}"):
        padded = np.frombuffer(f"{text}:".encode(), np.uint8)
        found, end = number(padded, 0)
        assert end == len(text)
        assert np.float32(found) == np.float32(float(text))


@pytest.mark.parametrize(
    "text",
    [
        "1e99999999999999999999",
        "-1e18446744073709551617",
        "1e-99999999999999999999",
        "9" * 30,
        f"0.{'0' * 30}123e31",
        "1" + "0" * 40,
    ],
)
def test_numbers_of_more_digits_than_an_integer_has_are_read_as_python_reads_them(text: str) -> None:
    found, end = number(np.frombuffer(f"{text}:".encode(), np.uint8), 0)
    assert end == len(text)
    assert found == pytest.approx(float(text), rel=1e-15)


@pytest.mark.parametrize("text", ["", "-", ".", "x", "1e", "+.e3"])
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert number(np.frombuffer(f"{text} ".encode(), np.uint8), 0)[1] < max(1, len(text))


def write(path: Path, packed: bool) -> None:
    written, rows = io.BytesIO(), random_rows(N, D, 0.3, seed=2)
    dump_svmlight_file(rows.dense().values, rows.labels, written, zero_based=False)
    path.write_bytes(bz2.compress(written.getvalue()) if packed else written.getvalue())


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "bz2"])
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_a_set_is_what_scikit_learn_reads_however_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, dense: bool
) -> None:
    monkeypatch.setattr(module, "PIECE", 173)
    write(tmp_path / ("set.bz2" if packed else "set"), packed)
    folders = DataFolders(libsvm=tmp_path, cache=tmp_path / "cache")
    rows = load_rows("set", folders, {"set": Shape(N, D, dense)})
    expected, labels = load_svmlight_file(str(tmp_path / ("set.bz2" if packed else "set")), n_features=D)
    assert isinstance(rows, DenseRows if dense else SparseRows)
    found = rows if isinstance(rows, DenseRows) else rows.dense()
    assert np.array_equal(found.values, expected.toarray().astype(np.float32))
    assert np.array_equal(rows.labels, labels)
    assert isinstance(rows.values.base, np.memmap) or isinstance(rows.values.base.base, np.memmap)


def test_the_cache_is_enough_and_a_new_file_makes_it_anew(tmp_path: Path) -> None:
    folders, shapes = DataFolders(libsvm=tmp_path, cache=tmp_path / "cache"), {"set": Shape(N, D, False)}
    write(tmp_path / "set", packed=False)
    first = np.array(load_rows("set", folders, shapes).values)
    (tmp_path / "set").rename(tmp_path / "elsewhere")
    assert np.array_equal(load_rows("set", folders, shapes).values, first)
    content = (tmp_path / "elsewhere").read_text().splitlines()
    (tmp_path / "set").write_text("\n".join(content[::-1]))  # without a last newline
    again = load_rows("set", folders, shapes)
    assert again.n == N and not np.array_equal(again.values, first)
    assert sorted(again.values.tolist()) == sorted(first.tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1:1\n-1 2:x\n", "line 2: not a row"),
        ("1 1:1\n-1 7:1\n", "line 2: not a row"),
        ("1 1:1\n-1 2:1 1:1\n", "line 2: not a row"),
        ("1 1:1\nwhat\n", "line 2: not a row"),
        ("1 1:1\n-1 1.5:1\n", "line 2: not a row"),
        ("1 1:1\n-1 0:1\n", "line 2: not a row"),
        ("1 1:1\n-1 2:\n", "line 2: not a row"),
        ("1 1:1\n-1 2: 3:1\n", "line 2: not a row"),
        ("1 1:1\n-1 2 1\n", "line 2: not a row"),
        ("1 1:1\n-1 1:1+2:1\n", "line 2: not a row"),
        ("1 1:1\n-1 2:1" + "0" * 300, "a line is too long"),
        ("1 1:1\n", "1 samples, not 2"),
        ("1 1:1\n-1 1:1\n1 1:1\n", "more than 2 samples"),
        ("1 1:1\n1 1:1\n", "1 classes, not 2"),
    ],
)
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_another_file_is_refused_and_leaves_nothing(tmp_path: Path, text: str, message: str, dense: bool) -> None:
    (tmp_path / "set").write_text(text)
    with pytest.raises(UserError, match=message):
        load_rows("set", DataFolders(libsvm=tmp_path, cache=tmp_path / "cache"), {"set": Shape(2, 3, dense)})
    assert list((tmp_path / "cache" / "rows").iterdir()) == []


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda _: b"BZh9 is no more than its name"])
def test_a_packed_set_that_is_damaged_is_one_line(tmp_path: Path, damage: Any) -> None:
    write(tmp_path / "set.bz2", packed=True)
    (tmp_path / "set.bz2").write_bytes(damage((tmp_path / "set.bz2").read_bytes()))
    with pytest.raises(UserError, match=r"set.bz2 cannot be read: ") as refused:
        load_rows("set", DataFolders(libsvm=tmp_path, cache=tmp_path / "cache"), {"set": Shape(N, D, False)})
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "cache" / "rows").iterdir()) == []


def test_of_several_that_want_rows_one_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "set", packed=False)
    folders, shapes = DataFolders(libsvm=tmp_path, cache=tmp_path / "cache"), {"set": Shape(N, D, False)}
    makes, another = rows_module._convert, threading.Barrier(2)
    makers: list[int] = []

    def convert(*arguments: Any) -> None:
        makers.append(threading.get_ident())
        with suppress(threading.BrokenBarrierError):
            another.wait(1.0)
        makes(*arguments)

    monkeypatch.setattr(rows_module, "_convert", convert)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(load_rows, "set", folders, shapes) for _ in range(2))
    assert np.array_equal(first.result().values, second.result().values)
    assert len(makers) == 1


def test_a_set_that_is_not_there_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"epsilon_normalized is not in .*: get epsilon_normalized.bz2 from https"):
        load_rows("epsilon_normalized", DataFolders(libsvm=tmp_path, cache=tmp_path))


def test_the_papers_sets_have_the_sizes_of_its_table() -> None:
    assert SHAPES["epsilon_normalized"] == Shape(400_000, 2_000, True)
    assert SHAPES["rcv1_test.binary"] == Shape(677_399, 47_236, False)


def test_synthetic_rows_have_unit_length_and_ascending_columns() -> None:
    dense, sparse = synthetic_dense(300, 40), synthetic_sparse(300, 900, 30)
    assert np.allclose(np.linalg.norm(dense.values, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(sparse.dense().values, axis=1), 1, atol=1e-5)
    for i in range(sparse.n):
        assert (np.diff(sparse.columns[sparse.starts[i] : sparse.starts[i + 1]]) > 0).all()
    for rows in (dense, sparse):
        assert 0.2 < (rows.labels > 0).mean() < 0.8
