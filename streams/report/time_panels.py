"""Pictures about when something comes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from streams.report.drawing import COLOURS, Panel, canvas, shown, svg

if TYPE_CHECKING:
    from models.report.waiting import Waiting

_TICKS = {
    "1 s": 1_000,
    "10 s": 10_000,
    "1 min": 60_000,
    "10 min": 600_000,
    "1 h": 3_600_000,
    "6 h": 21_600_000,
    "1 d": 86_400_000,
    "1 w": 604_800_000,
    "30 d": 2_592_000_000,
}


def waiting_panel(curves: "Mapping[str, Waiting]") -> Panel:
    """Draw survival curves, a picture for each target."""
    with canvas(5.2 * len(curves), 4) as drawn:
        for axes, (target, curve) in zip(drawn.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
            low, high = ([getattr(figure, end) for figure in curve.observed] for end in ("low", "high"))
            values = [figure.value for figure in curve.observed]
            axes.fill_between(curve.until_ms, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, step="post")
            axes.step(curve.until_ms, values, where="post", color=COLOURS[0], label="observed (Kaplan-Meier)")
            axes.plot(curve.until_ms, curve.predicted, color=COLOURS[1], linestyle="--", label="predicted")
            axes.set(xscale="log", ylim=(0, 1.03), xlabel="time since the event before", title=target_name(target))
            last = max(curve.until_ms, default=_TICKS["1 s"])
            ticks = {name: ms for name, ms in _TICKS.items() if ms <= last}
            axes.set_xticks(list(ticks.values()), list(ticks), fontsize=9)
            axes.minorticks_off()
            axes.set_ylabel("share that has not come")
            axes.legend(loc="lower left" if values and values[-1] > 0.5 else "upper right", fontsize=9)
        picture = svg(drawn)
    return Panel(
        "waiting",
        "How long it takes",
        picture,
        "Survival curves, predicted and observed. "
        + "; ".join(
            f"{target_name(target)}: largest difference {_apart(curve):.3f}" for target, curve in curves.items()
        ),
        "How many are still waiting after so long: the dashed line should lie within the band. Both lines are made of "
        "the rows that were still watched at that time, and end where fewer than 20 are.",
        "; ".join(
            f"{target_name(target)}: {curve.rows:,} forecasts made since the scored rows begin, of which "
            f"{curve.came:,} came true while watched"
            for target, curve in curves.items()
        ),
    )


def target_name(target: str) -> str:
    """Return what is waited for.

    >>> target_name("any"), target_name("purchase")
    ('next event', 'next purchase')
    """
    return f"next {'event' if target == 'any' else shown(target)}"


def _apart(curve: "Waiting") -> float:
    pairs = zip(curve.observed, curve.predicted, strict=True)
    return max((abs(came.value - said) for came, said in pairs), default=0.0)
