"""LUPA-SGD's theory as computations: how often to average, its bound on PL functions, and the adaptive rounds.

The bound and its learning rate are from memory, and so unverified; rates, table 1 and the adaptive rule are on the
paper's poster.
"""

from collections.abc import Callable
from statistics import linear_regression
from typing import TYPE_CHECKING

from repro.papers.drawing import Axis, Lines, Reference
from repro.papers.paper import Claim, Study, Tables
from repro.report.statistics import Finding, at_least, at_most, equivalence, exact, mean, within
from repro.runs.spec import Scale

if TYPE_CHECKING:
    import pandas as pd

PERIODS, ROUNDS, SCHEDULE, CONDITIONS, BOUND, DRIFT = (
    "periods", "rounds", "schedule", "conditions", "bound", "drift",
)  # fmt: skip

EXPERIMENT_1 = {"steps": 21_875, "workers": 5, "batch_size": 128}
"""7 passes of every worker over the 400,000 samples, in batches of 128."""
EXPERIMENT_3 = {"steps": 5469, "workers": 4, "batch_size": 128}
"""7 passes of all workers together."""
TAU_0, E = 91, 10


def periods(scale: Scale, seed: int) -> "pd.DataFrame":
    """tau by the formulas, beside the tau that was used."""
    import pandas as pd

    from repro.theory.localsgd import lupa_period, stich_period

    rows = [
        ("experiment 1", "LUPA-SGD", lupa_period(**EXPERIMENT_1), 91),
        ("experiment 1", "Stich 2019", stich_period(**EXPERIMENT_1), 5),
        ("experiment 3", "LUPA-SGD", lupa_period(**EXPERIMENT_3), TAU_0),
    ]
    return pd.DataFrame(rows, columns=["experiment", "analysis", "tau_by_formula_steps", "tau_used_steps"])


def rounds(scale: Scale, seed: int) -> "pd.DataFrame":
    """Rounds of communication in the orders of table 1."""
    import pandas as pd

    from repro.theory.localsgd import ROUNDS as ORDERS

    return pd.DataFrame(
        [
            {"analysis": name, "workers": p, "steps": T, "rounds": p**x * T**y}
            for name, (x, y) in ORDERS.items()
            for p in (5, 16, 64)
            for T in (1000, 5469, 21_875, 100_000, 1_000_000)
        ]
    )


def schedule(scale: Scale, seed: int) -> "pd.DataFrame":
    """Rounds of experiment 3 with each formula for alpha, and where they end."""
    import pandas as pd

    from repro.theory.localsgd import growth_exact, growth_released, linear_periods

    T = EXPERIMENT_3["steps"]
    ways = {
        "released": (growth_released(T, TAU_0, E), 0),
        "released, from i = 1": (growth_released(T, TAU_0, E), 1),
        "exact": (growth_exact(T, TAU_0, E), 0),
        "exact, from i = 1": (growth_exact(T, TAU_0, E, first=1), 1),
    }
    rows = []
    for name, (alpha, first) in ways.items():
        end = 0.0
        for i, tau in enumerate(linear_periods(TAU_0, alpha, E, first=first), first):
            end += tau
            rows.append({"formula": name, "alpha": alpha, "i": i, "tau_steps": tau, "end_steps": end})
    return pd.DataFrame(rows)


def conditions(scale: Scale, seed: int) -> "pd.DataFrame":
    """The adaptive theorem's conditions on three ways to choose the rounds, as T grows."""
    import math

    import pandas as pd

    from repro.theory.localsgd import adaptive_conditions, growth_exact, linear_periods, lupa_period

    p, B = EXPERIMENT_3["workers"], EXPERIMENT_3["batch_size"]
    rows = []
    for T in (1000, 5469, 20_000, 100_000, 1_000_000):
        tau = lupa_period(T, p, B)
        ways = {
            "constant, by the formula": [tau] * round(T / tau),
            "linear, E = 10": linear_periods(T / 60.1, growth_exact(T, T / 60.1, E), E),  # tau_0 as in the experiment
            "loss falls from ln 2 to 0.277": _by_loss(tau, T, math.log(2) / 0.277),
        }
        for name, taus in ways.items():
            found = adaptive_conditions(taus, T, p, B)
            rows.append({"rounds": name, "steps": T, "number": len(taus), **found._asdict()})
    return pd.DataFrame(rows)


def _by_loss(tau_0: float, steps: int, fall: float) -> list[float]:
    """Rounds by the loss rule where the loss falls evenly, on a log scale, by the factor `fall`."""
    taus: list[float] = []
    while sum(taus) < steps:
        taus.append(tau_0 * fall ** (sum(taus) / steps / 3))
    return taus


def bound(scale: Scale, seed: int) -> "pd.DataFrame":
    """The exact error on quadratics with the learning rate 4/(mu (t + a)), beside the bound."""
    import numpy as np
    import pandas as pd

    from repro.theory.localsgd import bound as bound_of
    from repro.theory.localsgd import error_on_quadratic, lupa_period, offset

    B, d, rows = 8, 10, []
    for kappa in (2.0, 10.0):
        curved = kappa ** np.linspace(-1, 0, d)
        for kind, eigenvalues in (("strongly convex", curved), ("PL", np.concatenate([np.zeros(d), curved]))):
            variances = np.full(len(eigenvalues), 1 / len(eigenvalues))
            for p in (1, 4, 16):
                for T in (1000, 10_000, 100_000, 1_000_000)[: 2 if scale == "smoke" else 4]:
                    for name, tau in (("1", 1), ("by the formula", round(lupa_period(T, p, B)))):
                        a = offset(tau, kappa, p)
                        error = error_on_quadratic(
                            T, a=a, eigenvalues=eigenvalues, start=np.ones(len(eigenvalues)), variances=variances,
                            workers=p, batch_size=B,
                        )  # fmt: skip
                        most = bound_of(
                            T, tau, a=a, mu=1 / kappa, kappa=kappa, variance=1, workers=p, batch_size=B,
                            excess=eigenvalues.sum() / 2,
                        )  # fmt: skip
                        rows.append(
                            {
                                "quadratic": kind,
                                "kappa": kappa,
                                "problem": f"{kind}, condition number {kappa:g}",
                                "series": f"tau {name if tau > 1 else '= 1'}, p = {p}",
                                "workers": p,
                                "steps": T,
                                "tau": name,
                                "tau_steps": tau,
                                "error": error,
                                "bound": most,
                                "error_times_pbt": error * p * B * T,
                                "bound_times_pbt": most * p * B * T,
                            }
                        )
    return pd.DataFrame(rows)


def drift(scale: Scale, seed: int) -> "pd.DataFrame":
    """What averaging every tau-th step costs in expectation, where everything but tau stays as it is."""
    import pandas as pd

    from repro.draws import generator
    from repro.theory.localsgd import OBJECTIVES, errors

    taus, chains = (1, 2, 4, 8, 16, 32, 64), {"smoke": 500, "laptop": 20_000, "paper": 200_000}[scale]
    rows = []
    for name, objective in OBJECTIVES.items():
        random = generator("drift", seed)
        # a learning rate large enough that the workers come apart: 1/(4 mu) at first, 0.015/mu at the end
        found = errors(objective, 256, taus, a=16, workers=4, sigma=3.0, start=0.0, chains=chains, random=random)
        averages = found.mean(axis=1)
        for tau, error in zip(taus, averages, strict=True):
            rows.append(
                {"function": name, "tau_steps": tau, "tau_less_1_steps": tau - 1, "error": error}
                | {"excess": error - averages[0], "relative_excess": error / averages[0] - 1}
            )
    return pd.DataFrame(rows)


GROUP = ("lupa-theory",)
STUDIES = (
    Study(PERIODS, "tau by the formulas", "section on the choice of tau; experiments 1 and 3", periods, groups=GROUP),
    Study(
        ROUNDS,
        "Rounds of communication in the orders of four analyses",
        "table 1",
        rounds,
        groups=GROUP,
        figures=(
            Lines(
                "orders",
                "Rounds that keep the rate 1/(pT), constants aside",
                Axis("steps", "iterations T", "log"),
                Axis("rounds", "rounds", "log"),
                by="analysis",
                panel="workers",
                panels="{} workers",
            ),
        ),
    ),
    Study(
        SCHEDULE,
        "Adaptive rounds of experiment 3",
        "experiment 3; the released code's formula",
        schedule,
        groups=GROUP,
        figures=(
            Lines(
                "ends",
                "Where the rounds end",
                Axis("i", "round"),
                Axis("end_steps", "iteration with which it ends"),
                by="formula",
                level=EXPERIMENT_3["steps"],
                published=(
                    Reference(
                        "the poster's curve",
                        tuple((i, share * 5469 / 6.92) for i, share in ((4.8, 1.39), (6.85, 2.77), (8.0, 4.15))),
                        "figure 3",
                        "figure",
                    ),
                ),
            ),
        ),
    ),
    Study(
        CONDITIONS,
        "The adaptive theorem's conditions",
        "adaptive theorem, conditions (i) to (iii)",
        conditions,
        groups=GROUP,
        figures=(
            Lines(
                "longest",
                "Condition (iii), which has to stay bounded: the longest round's cube times pB/T^2",
                Axis("steps", "iterations T", "log"),
                Axis("longest", "max tau^3 pB / T^2", "log"),
                by="rounds",
            ),
        ),
    ),
    Study(
        BOUND,
        "The error on PL quadratics beside the bound",
        "main theorem, from memory",
        bound,
        groups=GROUP,
        figures=(
            Lines(
                "rate",
                "Exact error of the mean model times pBT",
                Axis("steps", "iterations T", "log"),
                Axis("error_times_pbt", "error times pBT", "log"),
                by="series",
                panel="problem",
            ),
        ),
    ),
    Study(
        DRIFT,
        "The cost of tau local steps on functions of one variable",
        "main theorem, its term in tau - 1, from memory",
        drift,
        seeded=True,
        world="Monte Carlo",
        groups=GROUP,
        figures=(
            Lines(
                "excess",
                "Error above that of tau = 1",
                Axis("tau_less_1_steps", "tau - 1"),
                Axis("relative_excess", "excess over the error of tau = 1"),
                by="function",
            ),
        ),
        seconds={"smoke": 1, "laptop": 10, "paper": 120},
    ),
)


# -- claims


def _tau(row: int, below: float, above: float) -> Callable[[Tables], Finding]:
    """Return the test that the formula gives what was used, less at most `below` or plus at most `above`."""

    def test(of: Tables) -> Finding:
        found = of[PERIODS][0].iloc[row]
        used = found["tau_used_steps"]
        return within(exact(found["tau_by_formula_steps"]), used - below, used + above, "local steps")

    return test


def fewest_rounds(of: Tables) -> Finding:
    table = of[ROUNDS][0]
    wide = table.pivot(index=["workers", "steps"], columns="analysis", values="rounds")
    others = wide.drop(columns="LUPA-SGD").min(axis=1)
    return at_most(exact((wide["LUPA-SGD"] / others).max()), 1.0, "times the rounds of the next best, at worst")


def released_alpha(of: Tables) -> Finding:
    table = of[SCHEDULE][0]
    alpha = table.loc[table["formula"] == "released", "alpha"].iloc[0]
    return equivalence(exact(alpha), 1.09, 0.005, "alpha")


def rounds_fill_the_run(of: Tables) -> Finding:
    table = of[SCHEDULE][0]
    total = table[table["formula"].str.startswith("released")].groupby("formula")["tau_steps"].sum()
    share = total / EXPERIMENT_3["steps"]
    nearest = share.iloc[(share - 1).abs().argmin()]
    return equivalence(exact(nearest), 1.0, 0.01, "of T", "the better of counting rounds from 0 and from 1")


def _longest(way: str, note: str) -> Callable[[Tables], Finding]:
    def test(of: Tables) -> Finding:
        table = of[CONDITIONS][0]
        longest = table[table["rounds"] == way].set_index("steps")["longest"]
        return at_most(exact(longest.iloc[-1] / longest.iloc[0]), 1.1, "times, from T = 1000 to 10^6", note)

    return test


def bound_holds(of: Tables) -> Finding:
    table = of[BOUND][0]
    return at_most(exact((table["error"] / table["bound"]).max()), 1.0, "of the bound, at worst")


def rate_is_reached(of: Tables) -> Finding:
    table = of[BOUND][0]
    ours = table[table["tau"] == "by the formula"]
    wide = ours.pivot(index=["quadratic", "kappa", "workers"], columns="steps", values="error_times_pbt")
    last, before = wide[1_000_000], wide[100_000]
    return at_most(exact((last / before).max()), 1.05, "times error pBT of a tenth of the iterations, at worst")


def speed_up_is_linear(of: Tables) -> Finding:
    # at tau = 1 the learning rate is the same for all numbers of workers; tau by the formula, and a with it, is not
    table = of[BOUND][0]
    ours = table[(table["tau"] == "1") & (table["steps"] == 1_000_000)]
    wide = ours.pivot(index=["quadratic", "kappa"], columns="workers", values="error")
    farthest = max((wide[1] / wide[16]).tolist(), key=lambda ratio: abs(ratio - 16))
    return equivalence(exact(farthest), 16, 0.8, "times the error on 16 workers, farthest from 16")


def _exponent(function: str) -> Callable[[Tables], Finding]:
    def test(of: Tables) -> Finding:
        import numpy as np

        found = []
        for table in of[DRIFT]:
            rows = table[(table["function"] == function) & (table["tau_steps"] >= 4)]
            # not numpy's fit, whose library prints where a number of the table is none
            found.append(linear_regression(np.log(rows["tau_less_1_steps"]), np.log(rows["excess"])).slope)
        return within(mean(found), 0.8, 1.2, "exponent of tau - 1", "of the excess from tau = 4 to 64")

    return test


def quadratics_feel_tau(of: Tables) -> Finding:
    excess = [
        float(table.loc[(table["function"] == "quadratic") & (table["tau_steps"] == 64), "relative_excess"].iloc[0])
        for table in of[DRIFT]
    ]
    return at_least(mean(excess), 1e-6, "of the error at tau = 1", "tau = 64")


SCALES: tuple[Scale, ...] = ("laptop", "paper")


def _claim(
    name: str, statement: str, source: str, evidence: str, study: str, test: Callable[[Tables], Finding]
) -> Claim:
    return Claim(name, statement, source, evidence, (), test, scales=SCALES, studies=(study,))


CLAIMS = (
    _claim(
        "tau-is-91",
        "tau = T^(2/3)/(pb)^(1/3) is 91 for T = 21875, p = 5, b = 128, to the nearest whole number.",
        "experiment 1",
        "figure",
        PERIODS,
        _tau(0, 0.5, 0.5),
    ),
    _claim(
        "stich-is-5",
        "Stich's tau = (T/(pb))^(1/2) is 5 for the same run, rounded down.",
        "experiment 1",
        "figure",
        PERIODS,
        _tau(1, 0.0, 1.0),
    ),
    _claim(
        "adaptive-tau-0-is-91",
        "tau_0 = 91 is what the formula gives for experiment 3, T = 5469, p = 4, b = 128, to the nearest whole number.",
        "experiment 3; that it follows the formula is implied",
        "figure",
        PERIODS,
        _tau(2, 0.5, 0.5),
    ),
    _claim(
        "fewest-rounds",
        "Of the analyses of table 1 LUPA-SGD's needs the fewest rounds, for 5 to 64 workers and T from 1000 to 10^6.",
        "table 1",
        "table",
        ROUNDS,
        fewest_rounds,
    ),
    _claim(
        "alpha-is-1.09",
        "The released formula gives alpha = 1.09 for E = 10, T = 5469, tau_0 = 91, to the printed digits.",
        "experiment 3 and the released code",
        "authors-data",
        SCHEDULE,
        released_alpha,
    ),
    _claim(
        "adaptive-rounds-fill-the-run",
        "The adaptive rounds as released add up to T, condition (i) of the adaptive theorem, within 1 %.",
        "adaptive theorem; margin ours",
        "text",
        SCHEDULE,
        rounds_fill_the_run,
    ),
    _claim(
        "linear-rounds-keep-condition-iii",
        "Ten rounds that grow linearly keep (max tau)^3 = O(T^2/(pB)): no growth beyond 10 % from T = 1000 to 10^6.",
        "adaptive theorem, condition (iii); margin ours",
        "text",
        CONDITIONS,
        _longest("linear, E = 10", "E stays, so the longest round is in proportion to T"),
    ),
    _claim(
        "loss-rule-keeps-condition-iii",
        "Rounds by the loss rule keep (max tau)^3 = O(T^2/(pB)): no growth beyond 10 % from T = 1000 to 10^6.",
        "adaptive theorem, condition (iii); margin ours",
        "text",
        CONDITIONS,
        _longest(
            "loss falls from ln 2 to 0.277", "the longest round is at most the cube root of the loss ratio longer"
        ),
    ),
    _claim(
        "bound-holds-on-quadratics",
        "On PL quadratics with the learning rate 4/(mu(t+a)) the error stays below the bound.",
        "main theorem, from memory",
        "unverified",
        BOUND,
        bound_holds,
    ),
    _claim(
        "rate-with-tau-by-the-formula",
        "With tau by the formula, the error on PL quadratics falls as 1/(pBT): error times pBT rises by at most 5 % "
        "from T = 10^5 to 10^6.",
        "abstract: O(1/(pT)) with T/tau = O((pT)^(1/3)) rounds; margin ours",
        "text",
        BOUND,
        rate_is_reached,
    ),
    _claim(
        "speed-up-on-quadratics-is-linear",
        "T = 10^6 iterations on 16 workers leave a sixteenth of one worker's error, within 5 %, at tau = 1 and so at "
        "one learning rate.",
        "abstract: linear speed-up; margin ours",
        "text",
        BOUND,
        speed_up_is_linear,
    ),
    _claim(
        "quadratics-feel-tau",
        "On a PL quadratic the error has a term in tau - 1: at tau = 64 it is a millionth or more above tau = 1's.",
        "main theorem, from memory; threshold ours",
        "unverified",
        DRIFT,
        quadratics_feel_tau,
    ),
    _claim(
        "smooth-excess-is-linear-in-tau",
        "On a smooth function that is not quadratic the error above tau = 1 grows in proportion to tau - 1: exponent "
        "0.8 to 1.2.",
        "main theorem, from memory; margin ours",
        "unverified",
        DRIFT,
        _exponent("smooth"),
    ),
    _claim(
        "kinked-excess-is-linear-in-tau",
        "On a function whose slope has a kink the error above tau = 1 grows in proportion to tau - 1: exponent 0.8 to "
        "1.2.",
        "main theorem, from memory; margin ours",
        "unverified",
        DRIFT,
        _exponent("kinked"),
    ),
)
