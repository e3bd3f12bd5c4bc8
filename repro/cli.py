"""The command `repro`. Everything heavy is imported inside the commands, so that `--help` answers at once."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import Abort, TyperException

from repro.errors import UserError
from repro.launch.exits import EXIT_INTERRUPTED, EXIT_USER_ERROR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from repro.launch.container import Container
    from repro.launch.wanted import Wanted

app = typer.Typer(
    help="ReproSGD: does it reproduce? Runs the methods of the papers on distributed SGD, and compares.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Names = Annotated[
    list[str], typer.Argument(help="Cells and studies (paper.name), papers, groups such as cifar, or all.")
]
ScaleOption = Annotated[str, typer.Option(help="smoke (seconds), laptop (minutes) or paper (as printed).")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds, from 1 on; by default 1 at smoke scale, else 3.")]
Workers = Annotated[int | None, typer.Option(help="Number of workers; each cell's own by default.")]
Results = Annotated[Path, typer.Option(help="Folder of records, tables, figures and verdicts.")]
Cifar10Dir = Annotated[Path | None, typer.Option(help="Folder with CIFAR-10, else CIFAR10_DIR, data/, download.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field of the runs, e.g. epochs=2, sgd.lr=0.05, config.topology=ring."),
]
World = Annotated[str | None, typer.Option(help="mpi (real ranks) or simulated (virtual time); as each cell says.")]
Platform = Annotated[
    str | None, typer.Option(help="Simulated world: a machine of a paper or a .toml file; by default the paper's.")
]
Delays = Annotated[
    str | None,
    typer.Option(
        help="How gradient times vary, e.g. lognormal:0.2, slow:4@0, trace:FILE; with --world mpi, by sleeps."
    ),
]
Timeout = Annotated[float | None, typer.Option(help="MPI: seconds without progress until a run is ended; 300.")]
SaveEvery = Annotated[float | None, typer.Option(help="Seconds until a run's state is saved again; 600.")]
LogOrder = Annotated[bool, typer.Option("--log-order", help="MPI: log the order of one-sided operations, for replay.")]
Survive = Annotated[
    bool, typer.Option("--survive", help="MPI: go on without ranks that die (swarm, sgp; Open MPI 5); not compared.")
]
Jobs = Annotated[int | None, typer.Option(help="Simulated runs and studies at once; by default one for each core.")]
SiteOption = Annotated[str, typer.Option("--site", help="The cluster: a packaged one's name or a .toml file.")]
ContainerOption = Annotated[
    Path | None, typer.Option("--container", help="An image (make container) to make the runs in, by Apptainer.")
]
BindMpi = Annotated[
    Path | None, typer.Option("--bind-mpi", help="Folder of an MPI of this machine, to use in place of the image's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")]
RESULTS = Path("results")


@app.command("list")
def list_cells(
    names: Annotated[list[str] | None, typer.Argument(help="As for run; by default all papers.")] = None,
    results: Results = RESULTS,
) -> None:
    """List the papers with their cells and studies, group by group, whose names run all of theirs; and the coverage."""
    from repro.launch.show import cells_table

    cells_table(names or [], results)


@app.command()
def run(
    names: Names,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    change: Set = None,
    world: World = None,
    platform: Platform = None,
    delays: Delays = None,
    timeout: Timeout = None,
    save_every: SaveEvery = None,
    log_order: LogOrder = False,
    survive: Survive = False,
    cifar10_dir: Cifar10Dir = None,
    jobs: Jobs = None,
    container: ContainerOption = None,
    bind_mpi: BindMpi = None,
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the runs and studies that are not done yet."""
    from repro.launch.campaign import campaign

    wanted = _wanted(names, scale, seeds, workers, change or [], world, platform, delays)
    code = campaign(
        wanted,
        results,
        cifar10_dir=cifar10_dir,
        timeout_s=timeout,
        save_every_s=save_every,
        log_order=log_order,
        survive=survive,
        jobs=jobs,
        dry_run=dry_run,
        container=_container(container, bind_mpi),
    )
    raise SystemExit(code)


@app.command()
def reproduce(
    names: Names,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    world: World = None,
    platform: Platform = None,
    delays: Delays = None,
    timeout: Timeout = None,
    save_every: SaveEvery = None,
    cifar10_dir: Cifar10Dir = None,
    jobs: Jobs = None,
    container: ContainerOption = None,
    bind_mpi: BindMpi = None,
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the runs, then tables, figures, verdicts and the report."""
    from repro.launch.campaign import campaign

    wanted = _wanted(names, scale, seeds, workers, [], world, platform, delays)
    code = campaign(
        wanted,
        results,
        cifar10_dir=cifar10_dir,
        timeout_s=timeout,
        save_every_s=save_every,
        jobs=jobs,
        dry_run=dry_run,
        container=_container(container, bind_mpi),
    )
    if not dry_run:
        from repro.report.canvas import FORMATS

        _report(results, FORMATS)
    raise SystemExit(code)


@app.command()
def submit(
    names: Names,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    change: Set = None,
    world: World = None,
    platform: Platform = None,
    delays: Delays = None,
    timeout: Timeout = None,
    save_every: SaveEvery = None,
    log_order: LogOrder = False,
    cifar10_dir: Cifar10Dir = None,
    results: Results = RESULTS,
    site: SiteOption = "generic",
    time: Annotated[
        str | None, typer.Option(help="Time limit of an element, e.g. 2:00:00; the site's by default.")
    ] = None,
    container: ContainerOption = None,
    bind_mpi: BindMpi = None,
    pack: Annotated[
        int | None, typer.Option(help="The most runs of one element; by default a quarter of an hour's.")
    ] = None,
    concurrent: Annotated[int | None, typer.Option(help="The most elements at once; the site's by default.")] = None,
    report: Annotated[bool, typer.Option(help="Make the report in a last job.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the scripts and what they cost, and stop.")] = False,
) -> None:
    """Hand the runs that are not done, and not in the queue, to Slurm."""
    from repro.launch.slurm.submit import submit as hand_over

    hand_over(
        _wanted(names, scale, seeds, workers, change or [], world, platform, delays),
        results,
        site_name=site,
        pack=pack,
        concurrent=concurrent,
        time=time,
        report=report,
        cifar10_dir=cifar10_dir,
        timeout_s=timeout,
        save_every_s=save_every,
        log_order=log_order,
        dry_run=dry_run,
        container=_container(container, bind_mpi, site),
    )


@app.command()
def replay(
    record: Annotated[Path, typer.Argument(help="Folder of a record made with --log-order.")],
) -> None:
    """Repeat an asynchronous MPI run in the simulated world, in its order of one-sided operations, and compare."""
    from repro.launch.replay import replay as again

    raise SystemExit(again(record))


@app.command()
def status(
    names: Annotated[list[str] | None, typer.Argument(help="As for run; by default all papers.")] = None,
    scale: ScaleOption = "laptop",
    seeds: Seeds = None,
    workers: Workers = None,
    world: World = None,
    platform: Platform = None,
    delays: Delays = None,
    results: Results = RESULTS,
) -> None:
    """Say for each cell and study which runs are done; of those given to Slurm, which are queued, running or failed."""
    from repro.launch.show import status_table

    status_table(_wanted(names or [], scale, seeds, workers, [], world, platform, delays), results)


@app.command()
def verdict(results: Results = RESULTS) -> None:
    """Compare the records with the papers: write verdicts.csv and print it as a table."""
    from repro.papers import PAPERS
    from repro.report.verdicts import print_verdicts, write_verdicts

    print_verdicts(write_verdicts(results, PAPERS))


@app.command()
def report(results: Results = RESULTS) -> None:
    """Make verdicts, tables and the HTML report from the records there are; figures as SVG where they changed."""
    _report(results, ["svg"])


@app.command()
def tables(results: Results = RESULTS) -> None:
    """Write the tables of verdicts and results as CSV, Markdown and LaTeX."""
    from repro.papers import PAPERS
    from repro.report.library import read_library
    from repro.report.overview import write_overview
    from repro.report.tables import write_tables
    from repro.report.verdicts import judge, save

    library = read_library(results)
    write_overview(results, PAPERS, save(results, judge(library, PAPERS)))
    written = write_tables(results, PAPERS, library)
    print(f"tables of {len(written)} groups: {results / 'tables'}")


@app.command()
def figures(results: Results = RESULTS) -> None:
    """Draw the figures that are new or have changed as PNG, SVG and PDF, each with its CSV."""
    from repro.papers import PAPERS
    from repro.report.canvas import FORMATS
    from repro.report.html import draw
    from repro.report.library import read_library

    drawn = draw(results, PAPERS, read_library(results), FORMATS)
    print(f"{len(drawn)} figures: {results / 'figures'}")


@app.command()
def evidence(
    output: Annotated[Path, typer.Option(help="Zip file to write.")] = Path("evidence.zip"),
    results: Results = RESULTS,
) -> None:
    """Bundle records, figures, verdicts and environment for artifact evaluation, with its appendix filled in."""
    from repro.papers import PAPERS
    from repro.report.evidence import bundle

    print(f"evidence: {bundle(results, PAPERS, output)}")


@app.command()
def data(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets, e.g. cifar10 or imagenet.")] = None,
    cifar10_dir: Cifar10Dir = None,
) -> None:
    """Find, or download, data sets and check them; without names, say where each is or how to get it."""
    from repro.launch.data import tell_of_data
    from repro.tasks.data.folders import DataFolders

    if not names and cifar10_dir is not None:
        names = ["cifar10"]
    tell_of_data(names or [], DataFolders.from_environment(cifar10=cifar10_dir))


@app.command()
def doctor(
    launcher: Annotated[str, typer.Option(help="local (this machine) or slurm (one short job of 4 ranks).")] = "local",
    site: SiteOption = "generic",
    container: ContainerOption = None,
    bind_mpi: BindMpi = None,
) -> None:
    """Say what works on this machine, or in a cluster's jobs, or in an image there, and how to mend what does not."""
    from repro.launch.doctor import main, show

    if launcher == "slurm":
        from repro.launch.slurm.examine import examine

        raise SystemExit(show(examine(site, _container(container, bind_mpi, site))))
    if launcher != "local":
        raise UserError(f"launcher must be local or slurm, not {launcher!r}")
    raise SystemExit(main(_container(container, bind_mpi)))


@app.command()
def calibrate(
    output: Annotated[Path | None, typer.Option(help="Platform file to write; by default HOSTNAME.toml here.")] = None,
    ranks: Annotated[int, typer.Option(help="Number of MPI ranks that compute and talk at once.")] = 2,
) -> None:
    """Measure this machine for the simulated world: write a platform file."""
    import socket

    from repro.launch.calibrate import calibrate as measure

    print(f"platform file: {measure(output or Path(f'{socket.gethostname()}.toml'), ranks)}")


@app.command()
def graph(
    spec: Annotated[str, typer.Argument(help="A topology, e.g. ring, torus, matcha:0, edges:0-1,1-2.")],
    workers: Annotated[int, typer.Option(help="Number of workers.")] = 8,
    budget: Annotated[float, typer.Option(help="MATCHA's C_b: the part of the matchings active in the mean.")] = 0.5,
    output: Annotated[Path | None, typer.Option(help="Figure to draw: a .png, .svg or .pdf file.")] = None,
) -> None:
    """Show a graph as MATCHA uses it: matchings, their probabilities, the mixing weight and how fast it mixes."""
    from repro.launch.graph import show

    show(spec, workers, budget, output)


def _container(image: Path | None, mpi_folder: Path | None, site: str | None = None) -> "Container | None":
    import shlex

    from repro.launch.container import open_image
    from repro.launch.slurm.site import load

    if image is None:
        if mpi_folder is not None:
            raise UserError("--bind-mpi needs --container: without an image, ranks use this machine's MPI anyway")
        return None
    return open_image(image, shlex.split(load(site).container) if site else None, mpi_folder)


def _report(results: Path, formats: "Sequence[str]") -> None:
    from repro.launch.claim import alone
    from repro.papers import PAPERS
    from repro.report.html import build
    from repro.report.verdicts import print_verdicts

    with alone(results):
        built = build(results, PAPERS, formats)
    print_verdicts(built.verdicts)
    print(f"report: {built.page}")


def _wanted(
    names: list[str],
    scale: str,
    seeds: int | None,
    workers: int | None,
    changes: list[str],
    world: str | None,
    platform: str | None,
    delays: str | None,
) -> "Wanted":
    from repro.launch.wanted import Wanted
    from repro.runs.spec import SCALES

    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; known: {', '.join(SCALES)}")
    if seeds is None:
        # a smoke run asks whether everything works; fewer than 3 seeds decide nothing
        seeds = 1 if scale == "smoke" else 3
    return Wanted(names, scale, seeds, workers, changes, world, platform, delays)


def main() -> None:
    """Run the command; bad input is one line on standard error and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that ranks are ended here too
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
    except UserError as error:
        code = _complain(str(error))
    except TyperException as error:
        code = _complain(error.format_message())
    except OSError as error:  # a path that was given is none, or the disk is full
        code = _complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except (KeyboardInterrupt, Abort):
        print("interrupted: finished runs are kept, and the same command goes on from there", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _complain(message: str) -> int:
    print(f"repro: {message}", file=sys.stderr)
    return EXIT_USER_ERROR


if __name__ == "__main__":
    main()
