"""What is published for a user: the next action, a slate, the risk to lose them."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Count, ItemId, ModelVersion, Probability, TimeMs, UserId

OutputId: TypeAlias = Annotated[
    str,
    Meta(
        description="The same for the same output, also after a crash or a replay: drop what you have seen.",
        examples=["churn-risk.3.17.-1.4.1700000000000.3f0c9b2e77aa.event"],
    ),
]
AsOfMs: TypeAlias = Annotated[
    TimeMs, Meta(description="The moment that the prediction is about, ms since 1970.", examples=[1_700_000_000_000])
]
ValidUntilMs: TypeAlias = Annotated[
    TimeMs, Meta(description="Stale from this moment on, ms since 1970.", examples=[1_700_001_800_000])
]
Band: TypeAlias = Literal["low", "medium", "high"]
ByHorizon: TypeAlias = dict[str, Probability]


class Position(msgspec.Struct, frozen=True, gc=False):
    """The input that an output is based on."""

    partition: Annotated[Count, Meta(description="Partition of the user, the same in every input topic.", examples=[3])]
    offsets: Annotated[
        dict[str, int],
        Meta(
            description="Last offset applied, by input topic (name without prefix); -1: none.", examples=[{"views": 17}]
        ),
    ]


class NextAction(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the user does next."""

    id: OutputId
    user_id: UserId
    as_of_ms: AsOfMs
    valid_until_ms: ValidUntilMs
    model_version: ModelVersion
    based_on: Position
    actions: Annotated[
        dict[str, Probability],
        Meta(
            description="Probability that each action is the next one; `leave` is none for a while. They add up to 1, "
            "but for rounding.",
            examples=[{"view": 0.6, "click": 0.2, "purchase": 0.05, "leave": 0.15}],
        ),
    ]
    purchase_within: Annotated[
        ByHorizon,
        Meta(description="Probability of a purchase within each horizon.", examples=[{"1h": 0.04, "1d": 0.1}]),
    ]
    windows: Annotated[
        dict[str, dict[str, Count]],
        Meta(
            description="Number of events of each action in each rolling window up to the user's newest event.",
            examples=[{"1h": {"view": 4, "click": 1, "purchase": 0}}],
        ),
    ]
    totals: Annotated[
        dict[str, Count],
        Meta(description="Number of events of each action ever.", examples=[{"view": 90, "click": 12}]),
    ]


class SlateItem(msgspec.Struct, frozen=True, gc=False):
    """One item of a slate."""

    item_id: ItemId
    rank: Annotated[int, Meta(ge=1, description="Place in the slate, from 1.", examples=[1])]
    score: Annotated[float, Meta(description="The model's score; higher is better, within one slate only.")]
    propensity: Annotated[
        Probability, Meta(description="Probability that the policy put this item at this rank.", examples=[1.0])
    ]
    reason: Annotated[
        str,
        Meta(description="Why it is shown. New codes may come.", examples=["predicted", "seen_before", "popular"]),
    ]


class Recommendation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What to show the user."""

    id: OutputId
    user_id: UserId
    as_of_ms: AsOfMs
    valid_until_ms: ValidUntilMs
    model_version: ModelVersion
    based_on: Position
    slate: Annotated[list[SlateItem], Meta(description="Items, best first.")]
    policy: Annotated[str, Meta(description="How the slate was chosen. New codes may come.", examples=["top-n"])] = (
        "top-n"
    )
    degradation: Annotated[
        str,
        Meta(description="What had to be done without. New codes may come.", examples=["none", "popular"]),
    ] = "none"


class ChurnRisk(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How likely it is that the user stays away."""

    id: OutputId
    user_id: UserId
    as_of_ms: AsOfMs
    valid_until_ms: Annotated[
        TimeMs,
        Meta(
            description="Stale from this moment on, ms since 1970: the horizon of `band` after `as_of_ms`.",
            examples=[1_700_604_800_000],
        ),
    ]
    model_version: ModelVersion
    based_on: Position
    silent_for: Annotated[
        ByHorizon,
        Meta(
            description="Probability of no event within each horizon from `as_of_ms`.",
            examples=[{"1d": 0.8, "7d": 0.4}],
        ),
    ]
    band: Annotated[Band, Meta(description="The risk in words.", examples=["medium"])]
    trigger: Annotated[
        Literal["event", "silence"], Meta(description="What led to this message: an event, or that none came.")
    ]
    silent_ms: Annotated[Count, Meta(description="Time from the user's newest event to `as_of_ms`, ms.", examples=[0])]
    previous_band: Annotated[Band | None, Meta(description="The band before, where silence led here.")] = None


Output: TypeAlias = NextAction | Recommendation | ChurnRisk

_encoder = msgspec.json.Encoder()
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def encode_output(output: Output) -> bytes:
    """Return an output as JSON. Numbers must be Python's own: call `tolist()` on what comes from an array."""
    return _encoder.encode(output)


def output_id(
    kind: str,
    partition: int | str,
    applied: Sequence[int | str],
    model_version: str,
    as_of_ms: int | str,
    trigger: str = "event",
) -> str:
    """Return the id of an output: what it is based on, in words. Two outputs with one id are the same output.

    Args:
        kind: topic of the output, without prefix.
        partition: partition of the user.
        applied: last offset applied of each input topic, in the order of `topics.INPUTS`: in its partition these name
            the user, since a record belongs to one.
        model_version: version of the model.
        as_of_ms: the moment that the prediction is about, ms since 1970.
        trigger: "event" or "silence".

    >>> output_id("churn-risk", 3, [17, -1, 4], "3f0c", 1000)
    'churn-risk.3.17.-1.4.1000.3f0c.event'
    """
    return ".".join(map(str, (kind, partition, *applied, as_of_ms, model_version, trigger)))


def horizon_label(horizon_ms: int) -> str:
    """Return the name of a length of time in the messages: a whole number of the largest unit that fits.

    >>> [horizon_label(ms) for ms in (3_600_000, 5_400_000, 86_400_000, 604_800_000, 1500)]
    ['1h', '90m', '1d', '7d', '1500ms']
    """
    unit, size = next((unit, size) for unit, size in _UNITS if horizon_ms % size == 0)
    return f"{horizon_ms // size}{unit}"
