"""What once broke a reader, and a few hundred inputs more: each is read, or refused in one line.

They are the same every time: what breaks is of the change at hand. `make fuzz` makes others, for as long as one likes.
"""

import os

import pytest

from tests.fuzz.formats import CORPUS, NAMES
from tests.fuzz.fuzz import Finding, fuzz
from tests.fuzz.watch import heard

INPUTS = 200
"""Made inputs of each format that is not slow."""

pytestmark = pytest.mark.timeout(400)  # of all formats together, on a busy machine

Results = tuple[list[Finding], dict[str, str]]


@pytest.fixture(scope="module")
def results() -> Results:
    return fuzz(NAMES, 100.0, INPUTS, start=0)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_read_or_refused(results: Results, name: str) -> None:
    findings, lines = results
    assert [found for found in findings if found.format == name] == []
    assert "read" in lines[name] and "refused" in lines[name]


def test_the_corpus_is_small_and_of_known_formats() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(NAMES)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 250_000


def test_what_a_library_prints_past_python_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    with heard() as printed:
        os.write(1, b"by a library\n")
    os.write(1, b"after it\n")
    assert printed == [b"by a library\n"]
    assert capfd.readouterr().out == "after it\n"
