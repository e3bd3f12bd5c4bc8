"""EASGD's theory as studies: stability of the round-robin methods (section 4), and moments of the centre (supplement).

Section 4's formulas were read; the supplement's are from memory, and claims about them get no word. That the formulas
are right is a matter of `repro/theory` and its tests: exact recursions, Monte Carlo and direct iteration agree.
"""

import math

from repro.papers.drawing import Axis, HeatMap, Lines
from repro.papers.paper import Claim, Study, Tables
from repro.report.statistics import Finding, at_least, at_most, equivalence, exact, within
from repro.runs.spec import Scale
from repro.theory import easgd_studies as tables

ETA, RHO, BETA = Axis("eta", "η"), Axis("rho", "ρ"), Axis("beta", "β")
SECONDS: dict[Scale, float] = {"smoke": 1.0, "laptop": 10.0, "paper": 10.0}
GROUP = ("easgd-theory",)

MAPS = Study(
    "stability-maps",
    "Stability of round-robin ADMM and EASGD",
    "Figure 1; EASGD's maps are ours",
    tables.stability_maps,
    figures=(
        HeatMap(
            "radius",
            "Largest absolute eigenvalue of a round of p turns on F(x) = x²/2; the line is at 1, and red is unstable. "
            "EASGD with α = ηρ.",
            ETA, RHO, Axis("radius", "spectral radius"),
            panel="map", columns=2, centre=1.0, contour=1.0,
        ),
    ),
    groups=GROUP,
    seconds=SECONDS,
)  # fmt: skip
WORKERS = Study(
    "stability-workers",
    "Stability at η = 0.001, ρ = 2.5",
    "Section 4",
    tables.stability_by_workers,
    figures=(
        Lines(
            "radius", "Spectral radius of a round against the number of workers.", Axis("workers", "workers", "log"),
            Axis("radius", "spectral radius"), by="method", level=1.0,
        ),
    ),
    groups=GROUP,
)  # fmt: skip
REGION = Study(
    "easgd-region",
    "Stability of round-robin EASGD",
    "Section 4",
    tables.easgd_region,
    figures=(
        HeatMap(
            "radius", "Spectral radius over η and α; the line is at 1, and red is unstable.", ETA, Axis("alpha", "α"),
            Axis("radius", "spectral radius"), panel="map", centre=1.0, contour=1.0, limits=(0.0, 2.0),
        ),
    ),
    groups=GROUP,
    seconds=SECONDS,
)  # fmt: skip
TRAJECTORIES = Study(
    "trajectories",
    "The centre from 1000 at η = 0.001, ρ = 2.5",
    "Section 4",
    tables.trajectories,
    figures=(
        Lines(
            "distance", "Distance of the centre from the optimum, which is 0, against turns of single workers.",
            Axis("turns", "turns"), Axis("distance", "|centre|", "log"), by="method", panel="workers", panels="p = {}",
        ),
    ),
    groups=GROUP,
    seconds=SECONDS,
)  # fmt: skip
MSE = Study(
    "mse-maps",
    "Mean squared error of the centre",
    "Supplement, figure 5; its settings from memory",
    tables.mse_maps,
    figures=(
        HeatMap(
            "mse", "Mean squared error of the centre after t steps from 1: h = 1, σ = 10. Grey: not stable.", ETA, BETA,
            Axis("mse", "mean squared error", "log"), panel="map", columns=5, limits=(1e-3, 1e3),
        ),
    ),
    groups=GROUP,
)  # fmt: skip
VARIANCE = Study(
    "asymptotic-variance",
    "Asymptotic variance of the centre",
    "Supplement, from memory",
    tables.asymptotic_variance,
    figures=(
        Lines(
            "workers", "Variance of the centre for t to infinity at β = 0.9, h = 1, σ = 10.",
            Axis("workers", "workers p", "log"), Axis("variance", "variance of the centre", "log"), by="rate",
        ),
    ),
    groups=GROUP,
)  # fmt: skip
MONTE_CARLO = Study(
    "centre-variance",
    "Variance of the centre",
    "Supplement, from memory",
    tables.monte_carlo,
    seeded=True,
    world="Monte Carlo",
    figures=(
        Lines(
            "variance", "The centre's variance against steps: β = 0.9, h = 1, σ = 10. Bands are 90 % intervals of one "
            "seed's variance.", Axis("t", "steps", "log"), Axis("variance", "variance"), by="by", panel="map",
            low="low", high="high",
        ),
    ),
    groups=GROUP,
    seconds=SECONDS,
)  # fmt: skip
AVERAGING = Study(
    "double-averaging",
    "Limit law of the averaged centre",
    "Supplement, from memory",
    tables.double_averaging,
    seeded=True,
    world="Monte Carlo",
    figures=(
        Lines(
            "variance", "t Var z_t of the averaged centre against steps: p = 4, β = 0.9, h = 1, σ = 10, skewed noise. "
            "The line is the limit, σ²/(p h²) = 25.", Axis("t", "steps", "log"), Axis("scaled_variance", "t Var z"),
            by="rate", level=25.0,
        ),
    ),
    groups=GROUP,
    seconds=SECONDS,
)  # fmt: skip
CONVEX = Study(
    "strongly-convex",
    "The 3 × 3 inequality on random quadratics",
    "Supplement, from memory",
    tables.strongly_convex,
    seeded=True,
    world="Monte Carlo",
    groups=GROUP,
    seconds=SECONDS,
)
MIXING = Study(
    "moving-rate",
    "Mixing of synchronous EASGD against α",
    "Wang, Joshi, Cooperative SGD",
    tables.moving_rate,
    figures=(
        Lines(
            "left", "What a step leaves of a disagreement: the largest absolute eigenvalue but that of equal models; "
            "least at α = 2/(m + 2).", Axis("alpha", "α", "log"), Axis("left", "left of a disagreement"), by="line",
            level=1.0,
        ),
    ),
    groups=GROUP,
)  # fmt: skip
INPUTS = Study(
    "input-noise",
    "Largest stable learning rate under input noise",
    "Derived here; a subject of Zhang's thesis (arXiv 1605.02216)",
    tables.input_noise,
    figures=(
        Lines(
            "rate", "Largest η for which second moments stay bounded; inputs are Gamma(k) of mean 1, β = 0.9.",
            Axis("k", "shape k of the inputs", "log"), Axis("eta", "largest stable η"), by="line",
        ),
    ),
    groups=GROUP,
)  # fmt: skip

STUDIES = (MAPS, WORKERS, REGION, TRAJECTORIES, MSE, VARIANCE, MONTE_CARLO, AVERAGING, CONVEX, MIXING, INPUTS)

ROUNDING = 1e-9
"""A spectral radius this much above 1 is 1."""

ABOVE = "above 1"


def region_exact(of: Tables) -> Finding:
    (table,) = of["easgd-region"]
    turn = table[table["workers"] == 1]
    wrong = ((turn["radius"] <= 1 + ROUNDING) != (turn["printed"] == 1)).sum()
    return equivalence(exact(float(wrong)), 0.0, 0.0, f"of {len(turn)} points")


def region_suffices(of: Tables) -> Finding:
    (table,) = of["easgd-region"]
    inside = table[table["printed"] == 1]
    beyond = table[(table["printed"] == 0) & (table["radius"] <= 1 + ROUNDING)]
    note = "no round is stable beyond the region"
    if len(beyond):
        workers = ", ".join(map(str, sorted(beyond["workers"].unique())))
        note = f"not necessary: rounds of p = {workers} are stable at {len(beyond)} points beyond the region"
    return at_most(exact(float(inside["radius"].max()) - 1), ROUNDING, ABOVE, note)


def _at(of: Tables, method: str, workers: int, column: str) -> float:
    (table,) = of["stability-workers"]
    row = table[(table["method"] == method) & (table["workers"] == workers)]
    return float(row[column].iloc[0])


def admm_unstable(of: Tables) -> Finding:
    others = ", ".join(f"{_at(of, 'ADMM', p, 'radius'):.10f} at p = {p}" for p in (1, 2, 3, 8, 16))
    return at_least(exact(_at(of, "ADMM", 3, "radius") - 1), ROUNDING, ABOVE, f"spectral radius {others}")


def admm_turns_stable(of: Tables) -> Finding:
    return at_most(exact(_at(of, "ADMM", 3, "turn_radius") - 1), ROUNDING, ABOVE)


def easgd_stable_there(of: Tables) -> Finding:
    (table,) = of["stability-workers"]
    return at_most(exact(float(table[table["method"] == "EASGD"]["radius"].max()) - 1), ROUNDING, ABOVE)


def easgd_stable_on_figure(of: Tables) -> Finding:
    (table,) = of["stability-maps"]
    shares = (table["radius"] > 1 + ROUNDING).groupby(table["map"]).mean()
    told = ", ".join(f"{100 * share:.2f} % for {name}" for name, share in shares.items())
    unstable = 100 * max(float(shares[f"EASGD, p = {p}"]) for p in (3, 8))
    return at_most(exact(unstable), 0.0, "% of the grid", f"unstable: {told}")


def admm_unstable_on_figure(of: Tables) -> Finding:
    (table,) = of["stability-maps"]
    shares = (table["radius"] > 1 + ROUNDING).groupby(table["map"]).mean()
    least = min(100 * float(shares[f"ADMM, p = {p}"]) for p in (3, 8))
    return at_least(exact(least), 1.0, "% of the grid", "the threshold is ours")


def diverges_late(of: Tables) -> Finding:
    (table,) = of["trajectories"]
    centre = table[(table["method"] == "ADMM") & (table["workers"] == 3)].set_index("turns")["distance"]
    calm = centre[centre < 50].index
    back = centre[(centre > 1000) & (centre.index > calm.min())].index if len(calm) else calm
    first = float(back.min()) if len(back) else math.inf
    note = f"|centre| {centre.loc[10_000]:.3g} after 10,000 turns, {centre.iloc[-1]:.3g} after {centre.index[-1]:,}"
    return within(exact(first), 10_000, 100_000, "turns until above the start again", note)


def variance_as_drawn(of: Tables) -> Finding:
    ratios = []
    for table in of["centre-variance"]:
        drawn = table[(table["by"] == "Monte Carlo") & (table["t"] > 1)].reset_index()
        closed = table[(table["by"] == "closed form") & (table["t"] > 1)].reset_index()
        ratios.append(float((drawn["variance"] / closed["variance"]).mean()))
    return equivalence(ratios, 1.0, 0.02, "of the closed form")


def falls_as_one_over_p(of: Tables) -> Finding:
    (table,) = of["asymptotic-variance"]
    last = [float(rows["scaled"].iloc[-1] / rows["scaled"].iloc[-2]) for _, rows in table.groupby("rate")]
    worst = max(last, key=lambda ratio: abs(ratio - 1))
    return equivalence(exact(worst), 1.0, 0.01, "p Var at 16,384 over 8,192 workers")


def limit_law(of: Tables) -> Finding:
    ends = [table[table["t"] == table["t"].max()] for table in of["double-averaging"]]
    skewness = max(float(end["skewness"].abs().max()) for end in ends)
    values = [float(end["scaled_variance"].mean()) for end in ends]
    return equivalence(values, 25.0, 1.0, "t Var z", f"largest |skewness| {skewness:.2f}; that of the noise is 2")


def inequality_holds(of: Tables) -> Finding:
    found = [table[["ratio_a", "ratio_b", "ratio_c"]].to_numpy() for table in of["strongly-convex"]]
    broken = sum(int((ratios > 1 + ROUNDING).sum()) for ratios in found)
    return equivalence(exact(float(broken)), 0.0, 0.0, f"of {sum(ratios.size for ratios in found)} rows broken")


def best_moving_rate(of: Tables) -> Finding:
    (table,) = of["moving-rate"]
    least = table.loc[table.groupby("workers")["left"].idxmin()]
    off = (least["alpha"] * (least["workers"] + 2) / 2 - 1).abs().max()
    return equivalence(exact(float(off)), 0.0, 1e-9, "relative to 2/(m + 2)")


SECTION = "section 4"
SUPPLEMENT = "supplement, from memory"


def _claim(name: str, statement: str, test: object, study: Study, source: str, evidence: str) -> Claim:
    return Claim(name, statement, source, evidence, (), test, studies=(study.name,))  # type: ignore[arg-type]


CLAIMS = (
    _claim(
        "rr-region-exact",
        "A turn of round-robin EASGD is stable exactly where 0 ≤ η ≤ 2 and 0 ≤ α ≤ (4 - 2η)/(4 - η).",
        region_exact, REGION, SECTION, "text",
    ),
    _claim(
        "rr-region-suffices",
        "Where that holds, rounds of 1 to 16 workers are stable, too: the condition does not depend on p.",
        region_suffices, REGION, SECTION, "text",
    ),
    _claim(
        "rr-admm-unstable",
        "A round of ADMM with p = 3 at η = 0.001, ρ = 2.5 is unstable: its spectral radius is above 1.",
        admm_unstable, WORKERS, SECTION, "text",
    ),
    _claim(
        "rr-admm-turns-stable",
        "There, every single turn of ADMM is stable: what is unstable is their composition.",
        admm_turns_stable, WORKERS, "ours, from the maps of section 4: what is unstable there is our reading", "text",
    ),
    _claim(
        "rr-easgd-stable-there",
        "There, EASGD with α = ηρ is stable for 1 to 16 workers.",
        easgd_stable_there, WORKERS, SECTION, "text",
    ),
    _claim(
        "rr-admm-unstable-figure",
        "ADMM is unstable in a part of 0 < η ≤ 0.01, 0 < ρ ≤ 10 for p = 3 and 8: in more than 1 % of it.",
        admm_unstable_on_figure, MAPS, "figure 1", "text",
    ),
    _claim(
        "rr-easgd-stable-figure",
        "EASGD is stable in all of that, for p = 3 and 8.",
        easgd_stable_on_figure, MAPS, SECTION, "text",
    ),
    _claim(
        "rr-admm-diverges-late",
        "ADMM with p = 3 at η = 0.001, ρ = 2.5 seems to converge at first, to below a twentieth of its start, and "
        "diverges beyond its start only after 10,000 turns, and before 100,000.",
        diverges_late, TRAJECTORIES, f"{SECTION}; thresholds ours", "text",
    ),
    _claim(
        "centre-variance",
        "The variance of the centre is as the closed form says: Monte Carlo agrees to 2 %.",
        variance_as_drawn, MONTE_CARLO, SUPPLEMENT, "unverified",
    ),
    _claim(
        "variance-over-workers",
        "At fixed β the asymptotic variance of the centre falls as 1/p.",
        falls_as_one_over_p, VARIANCE, SUPPLEMENT, "unverified",
    ),
    _claim(
        "double-averaging",
        "√t (z_t - x*) of the averaged centre tends to N(0, σ²/(p h²)), whatever η: t Var z within 1 of 25.",
        limit_law, AVERAGING, SUPPLEMENT, "unverified",
    ),
    _claim(
        "strongly-convex",
        "The 3 × 3 inequality holds in every step, on random strongly convex quadratics.",
        inequality_holds, CONVEX, SUPPLEMENT, "unverified",
    ),
    _claim(
        "best-moving-rate",
        "Synchronous EASGD with m workers mixes fastest at α = 2/(m + 2).",
        best_moving_rate, MIXING, "Wang, Joshi, Cooperative SGD, as a note on it has it", "unverified",
    ),
)  # fmt: skip
