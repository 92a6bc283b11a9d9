"""What each was, over time: a band for each, in the colours of its states."""

import numpy as np
from matplotlib.patches import Rectangle

from deploy.dashboards.picture.colours import NAMED
from deploy.dashboards.picture.shown import Shown


def draw(shown: Shown) -> None:
    """Draw a band for each series; a state is named in it where there is room."""
    found = sorted(shown.named, key=lambda pair: pair[0])
    if not found:
        shown.say_empty()
        return
    meanings = shown.defaults["mappings"][0]["options"]
    longest = max(len(label) for label, _ in found)
    axes = shown.axes(left=18 + 6.0 * longest, bottom=28)
    axes.grid(visible=False, axis="y")
    for row, (_, answer) in enumerate(found):
        step = float(np.min(np.diff(answer.time_s))) if len(answer.time_s) > 1 else 1.0
        starts = np.flatnonzero(np.append(True, (np.diff(answer.value) != 0) | (np.diff(answer.time_s) > 1.5 * step)))
        for k, begin in enumerate(starts):
            last = starts[k + 1] - 1 if k + 1 < len(starts) else len(answer.value) - 1
            until = answer.time_s[last] + step
            meaning = meanings[f"{answer.value[begin]:.0f}"]
            since = answer.time_s[begin]
            axes.add_patch(
                Rectangle((since, row + 0.12), until - since, 0.76, color=NAMED[meaning["color"]], alpha=0.72, lw=0)
            )
            if (until - since) / (shown.end_s - shown.start_s) * shown.width > 9 * len(meaning["text"]):
                middle = ((since + until) / 2, row + 0.5)
                axes.text(*middle, meaning["text"], color="white", size=8, ha="center", va="center")
    axes.set_ylim(len(found), 0)
    axes.set_yticks([k + 0.5 for k in range(len(found))], [label for label, _ in found])
    shown.time_axis(axes)
