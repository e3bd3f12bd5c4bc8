"""The data that Mem-SGD's authors published behind their figures, as tables in `results/published/authors/`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).resolve().parents[2] / "results" / "published" / "authors"


def authors_curves(experiment: str) -> "pd.DataFrame":
    """Return the losses of one experiment, columns curve, epoch and authors_loss, at each tenth of an epoch."""
    import pandas as pd

    table = pd.read_csv(FOLDER / "memsgd_curves.csv")
    table = table[table["experiment"] == experiment].assign(epoch=lambda t: t["epoch"].round(1))
    table = table.sort_values("kind", kind="stable").drop_duplicates(["run", "epoch"])  # ends of epochs come first
    return table.rename(columns={"run": "curve", "loss": "authors_loss"})[["curve", "epoch", "authors_loss"]]


def authors_multicore() -> "pd.DataFrame":
    """Return the speed-ups behind figure 4: data_set, method, cores, repeat, seconds to the threshold, 1-core steps."""
    import pandas as pd

    return pd.read_csv(FOLDER / "memsgd_multicore.csv")
