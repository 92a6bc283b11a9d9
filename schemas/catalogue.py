"""What the shop sells: one record of the compacted topic `items`, keyed by item id."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import ItemId, Text


class Item(msgspec.Struct, frozen=True, gc=False):
    """One item as it stands now; a record without value removes it."""

    item_id: ItemId
    title: Annotated[Text, Meta(description="Name in the shop.", examples=["Trail shoe"])] | None = None
    description: (
        Annotated[
            str, Meta(max_length=16_384, description="Text of the item's page.", examples=["Light, for wet paths."])
        ]
        | None
    ) = None
    category: Annotated[Text, Meta(description="Category.", examples=["shoes"])] | None = None
    price: (
        Annotated[float, Meta(ge=0, description="Price of one piece, in the shop's currency.", examples=[59.9])] | None
    ) = None
    available: Annotated[bool, Meta(description="Whether it can be bought now; if not it is never recommended.")] = True
