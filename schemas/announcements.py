"""Which model is in force: one record of the compacted topic `models`, keyed by role."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Id, ModelVersion, TimeMs


class ModelAnnouncement(msgspec.Struct, frozen=True, gc=False):
    """From now on this model fills this role."""

    role: Annotated[Id, Meta(description="What the model is used for; the record's key.", examples=["champion"])]
    model_version: ModelVersion
    uri: Annotated[
        str, Meta(min_length=1, description="Where the model directory is.", examples=["file:///models/3f0c9b2e77aa"])
    ]
    announced_at_ms: Annotated[
        TimeMs, Meta(description="When it was announced, ms since 1970-01-01T00:00Z.", examples=[1_700_000_000_000])
    ]
    note: Annotated[str | None, Meta(description="Why, for people.", examples=["better recall@20"])] = None
