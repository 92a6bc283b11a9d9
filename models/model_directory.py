"""A model on disk: `model.json` (what it is), `items.json` (its item ids), `weights.safetensors`. Never pickle."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as serialize

from models.cells.sizes import NETWORKS, SERVED_NETWORK
from models.features import CONTEXTS, GAPS, HOURS_OF_WEEK, TIME_BINS
from models.latest import sizes
from models.likeliest import AS_SAID, Curve
from models.reference import Reference
from models.state import ACTIONS, HIDDEN, OLDER, RESOLUTIONS, RING, Floats
from models.windows import BINS

FORMAT = 1
FILES = ("model.json", "items.json", "weights.safetensors")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

RECENT = 8
"""How many of the last items say by their followers what comes next, past the recurrent state."""

FOLLOWERS = 64
"""How many of the items that followed an item are kept."""

VECTOR = 64
"""Size of an item's vector."""

COUNTED = ("follower", "follower_lift")
"""Tensors that are counted, not learnt: see `models.followers`."""

LEAVE = "leave"
"""The outcome "nothing more for `leave_after_ms`", last in the next-action head."""

OUTCOMES = (*ACTIONS, LEAVE)
"""What the next-action head predicts, in its order."""

TARGETS = ("any", "purchase")
"""What the time heads predict: the time to the next event, and to the next purchase."""

READOUT = len(OUTCOMES) + len(TARGETS) * TIME_BINS
"""Width of the heads on the recurrent state: the next action's logits, then the hazard logits of each target."""


class Heads(NamedTuple):
    """What a model tells apart and predicts: the tables and heads of the network follow from it.

    Fields:
        actions: of the log that it learnt from.
        targets: of the time heads, the first for any event, others for an action; none where a log has positions only.

    >>> Heads(("view", "buy"), ()).outcomes, Heads(ACTIONS, TARGETS) == SERVED
    (('view', 'buy'), True)
    """

    actions: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def timed(self) -> bool:
        """Whether events have times: without, there are no gaps, hours, windows and time heads."""
        return bool(self.targets)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What the next-action head predicts: a model of the actions that are served tells leaving from them."""
        return (*self.actions, LEAVE) if self == SERVED else self.actions

    @property
    def features(self) -> int:
        """Number of window features."""
        return len(RESOLUTIONS) * len(self.actions) if self.timed else 0

    @property
    def readout(self) -> int:
        """Width of the heads on the recurrent state."""
        return len(self.outcomes) + len(self.targets) * TIME_BINS


SERVED = Heads(ACTIONS, TARGETS)
"""What a model has to have to be served."""

_SINCE = (
    "latest",
    "follow_bias",
    "again_bias",
    "recent_gate",
    *COUNTED,
)  # tensors that older models lack: nothing is added to what they say
_ADVICE = "train one with `nextact train EVENTS --out DIR`"


NOT_VERSIONED = ("trained_at_ms", "reference")
"""Fields of the card that tell of a model what is no part of it."""


class ModelDirectoryError(Exception):
    """A model directory is missing or broken; the message says what to do."""


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """What churn means: P(no event within a horizon), and the bands that it is cut into."""

    horizons_ms: tuple[int, ...] = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
    band_horizon_ms: int = 7 * DAY_MS
    band_edges: tuple[float, float] = (0.3, 0.7)  # low | medium | high


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """`model.json`: what a model is, and where it came from."""

    format: int = FORMAT
    name: str
    version: str = ""  # first 12 hex digits of the content's SHA-256; written by `save`
    network: str = SERVED_NETWORK  # one of `cells.sizes.NETWORKS`
    hidden: int = HIDDEN
    actions: tuple[str, ...] = ACTIONS
    targets: tuple[str, ...] = TARGETS
    leave_after_ms: int = 30 * 60_000
    returns: tuple[float, ...] = ()  # share of those who left that came back, by action; empty: not known
    likeliest_item: Curve = AS_SAID  # of the probability of the likeliest item
    utc_offset_h: int = 0
    churn: Churn = Churn()
    purchase_horizons_ms: tuple[int, ...] = (HOUR_MS, DAY_MS, 7 * DAY_MS)
    trained_until_ms: int = 0  # newest event time that training saw
    trained_at_ms: int = 0  # when training ended, 0: not known
    metrics: dict[str, Any] = {}  # validation figures and the floors on the same rows
    data: dict[str, Any] = {}  # fingerprint of the training data: rows, users, items, first and last time, sha256
    command: str = ""
    reference: Reference | None = None  # what live events are held against

    @property
    def heads(self) -> Heads:
        """What the model tells apart and predicts."""
        return Heads(self.actions, self.targets)


class Model(msgspec.Struct, frozen=True):
    """A model in memory: card, item ids (row k + 1 of the item tables) and named tensors."""

    card: Card
    items: list[str]
    weights: dict[str, Floats]


def shapes(items: int, heads: Heads = SERVED, network: str = SERVED_NETWORK) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a model with so many items.

    Of the GRU, the gates stand in the order r, z, n along the last axis of width 3 * HIDDEN:
    `x = item_embedding[i] @ item_input + action_gap[a * GAPS + g] + hour_of_week[w] + context[c]`,
    `r, z = sigmoid(x_rz + h @ hidden_rz)`, `n = tanh(x_n + r * (h @ hidden_n + hidden_bias))`, `h' = (1 - z) * n + z
    * h` (Cho et al. 2014, in the variant of Chung et al. 2014 with the reset gate after the product). The initial
    state is 0.
    Heads: `logits = h @ readout + sum over k of window[k * BINS + bin_k] + sum over k of latest[code_k] +
    readout_bias`, the codes being those of `models.latest`;
    scores of the next item: `(h @ query) @ item_embedding[1:].T + item_bias[1:]`. Item row 0 stands for every unknown
    item. For the k-th event from the end (0 to RING - 1), of one of A actions a and of row i, if i stands not nearer
    but c times further back in the ring, is added, with `g = h @ recent_gate` and all weights rounded: to the
    score of row `follower[i, m]`, for all m, `follow_bias[k * A + a] * (1 + g_0) * follower_lift[i, m]` if k < RECENT;
    to that of row i `again_bias[k * A + a] + again_bias[RING * A + OLDER + c] + (g_1 if k = 0 else g_2)`. For the k-th
    of the older items, the newest first, if it is not in the ring: `again_bias[RING * A + k] +
    again_bias[RING * A + OLDER] + g_3` to the score of its row.
    Without times, `action_gap` has one row an action, and there are no hours and windows.
    """
    width, _, own = NETWORKS[network]
    known = known_actions(len(heads.actions))
    of_time = {"hour_of_week": (HOURS_OF_WEEK, width), "window": (heads.features * BINS, heads.readout)}
    shared = {
        "item_embedding": (items + 1, VECTOR),
        "item_bias": (items + 1,),
        "item_input": (VECTOR, width),
        "action_gap": (len(heads.actions) * (GAPS if heads.timed else 1), width),
        "context": (CONTEXTS, width),
        **own,
        "query": (HIDDEN, VECTOR),
        "follow_bias": (RECENT * known,),
        "again_bias": (RING * known + OLDER + RING,),
        "recent_gate": (HIDDEN, 4),
        "follower": (items + 1, FOLLOWERS),
        "follower_lift": (items + 1, FOLLOWERS),
        "readout": (HIDDEN, heads.readout),
        "readout_bias": (heads.readout,),
    }
    latest = {"latest": (sum(sizes(len(heads.actions))), heads.readout)}
    return (shared | of_time if heads.timed else shared) | latest


def known_actions(actions: int) -> int:
    """Return how many actions the weights of the last items tell apart: more than 18 share them."""
    return min(actions, 18)


def save(model: Model, directory: Path) -> Model:
    """Write a model and return it with its version; one that is there is replaced when all of the new one is written.

    Raises:
        ModelDirectoryError: a tensor is not finite or not of its shape; nothing is written.
        OSError: the directory cannot be written.
    """
    weights = {name: np.ascontiguousarray(w, np.float32) for name, w in model.weights.items()}
    _check(directory, model.card, len(model.items), weights)
    card = msgspec.structs.replace(model.card, version=_version(model.card, model.items, weights))
    directory.mkdir(parents=True, exist_ok=True)
    contents = {
        "weights.safetensors": serialize(weights),
        "items.json": msgspec.json.encode(model.items),
        "model.json": msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n",
    }
    parts = {name: directory / f".{name}.part" for name in contents}
    try:
        for name, content in contents.items():
            parts[name].write_bytes(content)
        for name, part in parts.items():
            part.replace(directory / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return Model(card, model.items, weights)


def load(directory: Path) -> Model:
    """Read a model to serve.

    Raises:
        ModelDirectoryError: a file is missing or broken, or does not fit the others; the model is of other actions, or
            of a network that is only compared.
    """
    model = load_any(directory)
    if model.card.network != SERVED_NETWORK:
        raise ModelDirectoryError(
            f"{directory} holds a network {model.card.network}, and only {SERVED_NETWORK} is served: {_ADVICE}"
        )
    if model.card.heads != SERVED:
        timeless = "" if model.card.targets else " and knows no times"
        raise ModelDirectoryError(
            f"{directory} is not for this version of nextact to serve: it learnt {', '.join(model.card.actions)}"
            f"{timeless}, and served are {', '.join(ACTIONS)}: {_ADVICE} of these actions"
        )
    return model


def load_any(directory: Path) -> Model:
    """Read a model of any actions and any network.

    Raises:
        ModelDirectoryError: a file is missing or broken, or does not fit the others.
    """
    absent = [name for name in FILES if not (directory / name).is_file()]
    if absent:
        raise ModelDirectoryError(f"{directory} is not a model directory ({absent[0]} is missing): {_ADVICE}")
    try:
        card = msgspec.json.decode((directory / "model.json").read_bytes(), type=Card)
        items = msgspec.json.decode((directory / "items.json").read_bytes(), type=list[str])
        weights = load_file(directory / "weights.safetensors")
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, SafetensorError) as error:
        raise ModelDirectoryError(f"{directory} is broken ({error}): copy it again, or {_ADVICE}") from None
    if card.format != FORMAT or card.hidden != HIDDEN or card.network not in NETWORKS:
        raise ModelDirectoryError(f"{directory} (format {card.format}) is not for this version of nextact: {_ADVICE}")
    every = shapes(len(items), card.heads, card.network)
    older = {name: np.zeros(every[name], np.float32) for name in _SINCE if name not in weights}
    _check(directory, card, len(items), weights | older)
    if card.version != _version(card, items, weights):
        raise ModelDirectoryError(f"{directory} holds files of different models: copy it again, or {_ADVICE}")
    return Model(card, items, weights | older)


def _check(directory: Path, card: Card, items: int, weights: dict[str, Floats]) -> None:
    for name, shape in shapes(items, card.heads, card.network).items():
        if name not in weights or weights[name].shape != shape or not np.isfinite(weights[name]).all():
            fault = f"tensor {name} is not a finite array of shape {shape}"
            raise ModelDirectoryError(f"{directory} holds no model ({fault}): copy it again, or {_ADVICE}")
    rows = weights["follower"]
    if not ((rows >= 0) & (rows <= items) & (rows == np.rint(rows))).all():
        fault = "tensor follower does not name items by their rows"
        raise ModelDirectoryError(f"{directory} holds no model ({fault}): copy it again, or {_ADVICE}")


def _version(card: Card, items: list[str], weights: dict[str, Floats]) -> str:
    content = msgspec.to_builtins(msgspec.structs.replace(card, version=""))
    for name in NOT_VERSIONED:  # nothing is predicted with them, and versions of nextact that know none agree
        del content[name]
    for name, before in (("targets", TARGETS), ("returns", ()), ("likeliest_item", AS_SAID)):
        if getattr(card, name) == before:
            del content[name]  # models from before there was a choice keep their version
    digest = hashlib.sha256(msgspec.json.encode(content))
    digest.update(msgspec.json.encode(items))
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()[:12]
