"""How pictures look: colours that everyone can tell apart, names from data made harmless, SVG as text."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from models.evaluation.bootstrap import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito: Color universal design, 2008; the most distinct first. Lines differ in their markers too."""

MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#666666"

MOST_ACTIONS = len(COLOURS)
"""More lines than colours cannot be told apart."""

_LONGEST = 24

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, and in any script that the reader's fonts have
    "svg.hashsalt": "nextact",  # the same numbers give the same page
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "text.parse_math": False,  # names may hold a dollar
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


class Panel(NamedTuple):
    """A picture with what stands beside it.

    Fields:
        name: for links and tests.
        title: its heading.
        svg: the picture.
        alt: what it shows, for those who cannot see it.
        reading: one sentence on how to read it.
        rows: what it is made of.
    """

    name: str
    title: str
    svg: str
    alt: str
    reading: str
    rows: str

    @property
    def address(self) -> str:
        """The picture as a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@contextmanager
def canvas(width: float, height: float) -> "Iterator[Canvas]":
    """Yield an empty picture of so many inches, in the style of the page."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def svg(drawn: "Canvas") -> str:
    """Return a picture as SVG; to be called where `canvas` is open."""
    import warnings

    text = StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's fonts draw it
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def shown(name: str) -> str:
    r"""Return a name from data as a label: short, of characters that can be drawn, and never taken for a hidden one.

    >>> shown("_add to cart\x07, the long way round"), shown("view")
    (' _add to cart�, the long…', 'view')
    """
    harmless = "".join(char if char.isprintable() else "\ufffd" for char in name)
    harmless = harmless if len(harmless) <= _LONGEST else harmless[: _LONGEST - 1] + "…"
    return f" {harmless}" if harmless.startswith("_") else harmless


def errors(figures: "Sequence[Figure]") -> list[list[float]]:
    """Return how far intervals reach below and above their figures, as matplotlib wants it."""
    return [
        [max(figure.value - figure.low, 0) for figure in figures],
        [max(figure.high - figure.value, 0) for figure in figures],
    ]


def dodged(axes: "Axes", labels: Sequence[str], series: "dict[str, list[Figure]]") -> None:
    """Draw figures with their intervals over groups, the series side by side."""
    for k, (name, figures) in enumerate(series.items()):
        place = [x + (k - (len(series) - 1) / 2) * 0.18 for x in range(len(labels))]
        values = [figure.value for figure in figures]
        style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": "none", "capsize": 3}
        axes.errorbar(place, values, errors(figures), label=shown(name), **style)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.grid(visible=False, axis="x")


def from_nothing(axes: "Axes", figures: "Iterable[Figure]") -> None:
    """Let the axis of shares begin at 0 and end above the highest interval."""
    highest = max((max(figure.value, figure.high) for figure in figures if figure.value == figure.value), default=1.0)
    axes.set_ylim(-0.03 * (highest or 1), 1.08 * (highest or 1))


def number(figure: "Figure", digits: int = 3) -> str:
    """Return a figure with its interval.

    >>> from models.evaluation.bootstrap import Figure
    >>> number(Figure(0.81234, 0.8, 0.82)), number(Figure(0.5, float("nan"), float("nan")))
    ('0.812 (0.800-0.820)', '0.500')
    """
    interval = f" ({figure.low:.{digits}f}-{figure.high:.{digits}f})" if figure.low == figure.low else ""
    return f"{figure.value:.{digits}f}{interval}" if figure.value == figure.value else "not defined"
