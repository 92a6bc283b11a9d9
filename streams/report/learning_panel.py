"""The picture of the learning curves."""

from typing import TYPE_CHECKING

from models.report.learning import best
from streams.report.drawing import COLOURS, GREY, MARKERS, Panel, canvas, shown, svg

if TYPE_CHECKING:
    from models.report.learning import Epoch


def learning_panel(epochs: "list[Epoch]") -> Panel:
    """Draw the losses by epoch: all heads together on the left, the validation loss of each head beside it."""
    kept = best(epochs).epoch
    heads = {name: None for epoch in epochs for name in epoch.heads}
    with canvas(min(4.6 + 2.9 * len(heads), 12), 3.3) as drawn:
        together, *others = drawn.subplots(1, 1 + len(heads), squeeze=False)[0]
        together.plot(
            [e.epoch for e in epochs], [e.loss for e in epochs], color=COLOURS[0], marker="o", label="training"
        )
        judged = [(e.epoch, e.validation_loss) for e in epochs if e.validation_loss is not None]
        if judged:
            together.plot(*zip(*judged, strict=True), color=COLOURS[1], marker="s", label="validation")
        together.set(title="all heads", xlabel="epoch", ylabel="loss")
        for k, (axes, name) in enumerate(zip(others, heads, strict=True)):
            points = [(e.epoch, e.heads[name]) for e in epochs if name in e.heads]
            axes.plot(
                *zip(*points, strict=True), color=COLOURS[(k + 2) % len(COLOURS)], marker=MARKERS[k % len(MARKERS)]
            )
            axes.set(title=shown(name.replace("_", " ")), xlabel="epoch")
        for axes in (together, *others):
            axes.axvline(kept, color=GREY, linestyle=":", linewidth=1, label=f"kept: epoch {kept}")
            axes.xaxis.get_major_locator().set_params(integer=True)
        together.legend(fontsize=9)
        picture = svg(drawn)
    last = epochs[-1]
    return Panel(
        "learning",
        "Learning curves",
        picture,
        f"Losses by epoch: training {epochs[0].loss:.3f} at first and {last.loss:.3f} at last. "
        f"The weights of epoch {kept} were kept.",
        "The dotted line is the epoch whose weights were kept. Training loss that falls while validation loss rises is "
        "learning by heart; validation loss that still falls at the end asks for more epochs.",
        f"{len(epochs)} epochs",
    )
