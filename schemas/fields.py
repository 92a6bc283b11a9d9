"""Types of the fields that several messages share: what is valid, in which unit, and how a schema describes it."""

from typing import Annotated, TypeAlias

from msgspec import Meta

MAX_LENGTH = 256
"""Largest length of an id or of a short text, in characters (Unicode code points)."""

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
"""An id: not empty. Any character is kept as it stands, NUL and other control characters too: two ids are equal when
their UTF-8 bytes are."""

Text: TypeAlias = Annotated[str, Meta(max_length=MAX_LENGTH)]
"""A short text; may be empty."""

TimeMs: TypeAlias = Annotated[int, Meta(ge=0)]
"""A moment in milliseconds since 1970-01-01T00:00Z."""

Price: TypeAlias = Annotated[float, Meta(ge=0)]
"""A price; finite, as JSON has no other numbers."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]

Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]

UserId: TypeAlias = Annotated[
    Id, Meta(description="The shopper; equals the record's key as UTF-8.", examples=["u-81723"])
]

ItemId: TypeAlias = Annotated[Id, Meta(description="The item, as the catalogue names it.", examples=["sku-5521"])]

ModelVersion: TypeAlias = Annotated[Id, Meta(description="Version of the model.", examples=["3f0c9b2e77aa"])]
