"""The command `repro`. Everything heavy is imported inside the commands, so that `--help` answers at once."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from repro.errors import UserError

app = typer.Typer(
    help="ReproSGD: does it reproduce? Runs the methods of the papers on distributed SGD, and compares.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Names = Annotated[list[str], typer.Argument(help="Cells (paper.cell), papers, or groups such as cifar or demo.")]
ScaleOption = Annotated[str, typer.Option(help="smoke (seconds), laptop (minutes) or paper (as printed).")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds, from 1 on; by default 1 at smoke scale, else 3.")]
Workers = Annotated[int | None, typer.Option(help="Number of workers; each cell's own by default.")]
Results = Annotated[Path, typer.Option(help="Folder of records, tables, figures and verdicts.")]
Cifar10Dir = Annotated[Path | None, typer.Option(help="Folder with CIFAR-10, else CIFAR10_DIR, data/, download.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field of the runs, e.g. epochs=2, sgd.lr=0.05, config.topology=ring."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")]
RESULTS = Path("results")
INTERRUPTED = 130


@app.command("list")
def list_cells() -> None:
    """List the papers, their cells, and what can be run under one name."""
    from repro.launch.show import cells_table
    from repro.papers import PAPERS

    cells_table(PAPERS.values())


@app.command()
def run(
    names: Names,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    change: Set = None,
    cifar10_dir: Cifar10Dir = None,
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the runs of cells that have no record yet."""
    from repro.launch.campaign import campaign

    if campaign(
        names, _scale(scale), _seeds(seeds, scale), workers, change or [], cifar10_dir, results, dry_run=dry_run
    ):
        raise SystemExit(1)


@app.command()
def reproduce(
    names: Names,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    cifar10_dir: Cifar10Dir = None,
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the runs, then tables, figures, verdicts and the report."""
    from repro.launch.campaign import campaign

    failed = campaign(names, _scale(scale), _seeds(seeds, scale), workers, [], cifar10_dir, results, dry_run=dry_run)
    if not dry_run:
        _report(results)
    if failed:
        raise SystemExit(1)


@app.command()
def status(
    names: Annotated[list[str] | None, typer.Argument(help="As for run; by default all papers.")] = None,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    results: Results = RESULTS,
) -> None:
    """Say for each cell which runs are done."""
    from repro.launch.show import status_table

    status_table(names or [], _scale(scale), _seeds(seeds, scale), results)


@app.command()
def verdict(results: Results = RESULTS) -> None:
    """Compare the records with the papers: write verdicts.csv and print it as a table."""
    from repro.papers import PAPERS
    from repro.report.verdicts import print_verdicts, write_verdicts

    print_verdicts(write_verdicts(results, PAPERS))


@app.command()
def report(results: Results = RESULTS) -> None:
    """Make verdicts, tables, figures and the HTML report from the records there are."""
    _report(results)


@app.command()
def data(cifar10_dir: Cifar10Dir = None) -> None:
    """Find, or download, CIFAR-10 and check every file."""
    from repro.launch.campaign import find_cifar10

    print(find_cifar10(cifar10_dir))


@app.command()
def doctor() -> None:
    """Say what works on this machine, and how to mend what does not."""
    from repro.launch.doctor import main as examine

    raise SystemExit(examine())


def _report(results: Path) -> None:
    from repro.papers import PAPERS
    from repro.report.html import build
    from repro.report.verdicts import print_verdicts

    built = build(results, PAPERS)
    print_verdicts(built.verdicts)
    print(f"report: {built.page}")


def _scale(name: str):  # type: ignore[no-untyped-def]  # the type would import repro.runs.spec
    from repro.runs.spec import SCALES

    if name not in SCALES:
        raise UserError(f"unknown scale {name!r}; known: {', '.join(SCALES)}")
    return name


def _seeds(asked: int | None, scale: str) -> int:
    # a smoke run asks whether everything works; fewer than 3 seeds decide nothing
    return asked if asked is not None else (1 if scale == "smoke" else 3)


def main() -> None:
    """Run the command; bad input is one line on standard error and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that ranks are ended here too
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
    except UserError as error:
        code = _complain(str(error))
    except TyperException as error:
        code = _complain(error.format_message())
    except (KeyboardInterrupt, Abort):
        print("interrupted: finished runs are kept, and the same command goes on from there", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _complain(message: str) -> int:
    print(f"repro: {message}", file=sys.stderr)
    return 2
