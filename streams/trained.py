"""A trained model that is to predict a log."""

from pathlib import Path

from models.log import Log
from models.model_directory import Model, load_any
from streams.errors import ModelUnusable


def trained(directory: Path, log: Log) -> Model:
    """Return the model, of whatever actions, that is to predict the rows of a log.

    Raises:
        ModelDirectoryError: there is none.
        ModelUnusable: it knows none of the log's items, or none of its actions.
    """
    model = load_any(directory)
    for what, known, there in (("items", model.items, log.items), ("actions", model.card.actions, log.actions)):
        if set(known).isdisjoint(there):
            raise ModelUnusable(f"{directory} knows none of the {what} of the log: was it trained on the same columns?")
    return model
