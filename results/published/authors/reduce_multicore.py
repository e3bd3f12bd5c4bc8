"""Reduces the samples of the multicore runs behind Mem-SGD's figure 4 to what is used of them: a row a run.

    python reduce_multicore.py SAMPLES.csv > memsgd_multicore.csv

SAMPLES.csv holds the pickles iters, losses and timers of results/*-par/ in github.com/epfml/sparsifiedSGD at e8d2337 as
columns dataset, method_label, cores, repeat, iter, seconds, loss (21,163 rows, 1.2 MB).

seconds_to_threshold is the time of the first sample whose loss is at most the data set's threshold, or empty.
us_per_iteration is over the whole run. second_loss is the loss of the sample after the first.
"""

import sys

import pandas as pd

THRESHOLDS = {"eps-par": 0.28267376250519427, "rcv-par": 0.08501231692833965}


def reduced(samples: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, run in samples.groupby(["dataset", "method_label", "cores", "repeat"], sort=True):
        run = run.sort_values("iter")
        below = run[run["loss"] <= THRESHOLDS[key[0]]]
        last = run.iloc[-1]
        rows.append(
            dict(zip(("experiment", "method_label", "cores", "repeat"), key, strict=True))
            | {
                "iterations": int(last["iter"]),
                "us_per_iteration": round(1e6 * last["seconds"] / last["iter"], 2),
                "seconds_to_threshold": round(below["seconds"].iloc[0], 4) if len(below) else None,
                "second_loss": round(run["loss"].iloc[1], 6),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    reduced(pd.read_csv(sys.argv[1])).to_csv(sys.stdout, index=False)
