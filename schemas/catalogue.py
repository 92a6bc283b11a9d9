"""What the shop sells: one record of the compacted topic `items`, keyed by item id."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import ItemId, Price, Text

LongText: TypeAlias = Annotated[str, Meta(max_length=16_384)]


class Item(msgspec.Struct, frozen=True, gc=False):
    """One item as it stands now; a record without value removes it."""

    item_id: ItemId
    title: Annotated[Text | None, Meta(description="Name in the shop.", examples=["Trail shoe"])] = None
    description: Annotated[
        LongText | None, Meta(description="Text of the item's page.", examples=["Light, for wet paths."])
    ] = None
    category: Annotated[Text | None, Meta(description="Category.", examples=["shoes"])] = None
    price: Annotated[Price | None, Meta(description="Price of one piece, in the shop's currency.", examples=[59.9])] = (
        None
    )
    available: Annotated[bool, Meta(description="Whether it can be bought now; if not it is never recommended.")] = True
