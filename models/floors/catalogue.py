"""Which floors stand beside a model in each task, by the name that tables show."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from models.evaluation.predictor import Churn, NextAction, NextItem, TimeToNext
from models.floors.bg_nbd import BgNbd
from models.floors.item_knn import ItemKnn
from models.floors.markov import Markov
from models.floors.popularity import Popularity
from models.floors.recency import Recency
from models.floors.recency_frequency import RecencyFrequency
from models.floors.sequential_rules import SequentialRules
from models.floors.survival_curve import SurvivalCurve
from models.floors.v_sknn import VSknn
from models.log import Log
from models.state import Ints

NextItemFloor: TypeAlias = Callable[[Log, Ints], NextItem]
NextActionFloor: TypeAlias = Callable[[Log, Ints], NextAction]
TimeFloor: TypeAlias = Callable[[Log, Ints], TimeToNext]
ChurnFloor: TypeAlias = Callable[[Log, Ints], Churn]

NEXT_ITEM: Mapping[str, NextItemFloor] = {
    "popularity": Popularity,
    "own recency": Recency,
    "Markov-1": partial(Markov, order=1),
    "Markov-2": partial(Markov, order=2),
    "sequential rules": SequentialRules,
    "item-kNN": ItemKnn,
    "V-SKNN": VSknn,
}

NEXT_ACTION: Mapping[str, NextActionFloor] = {
    "prior": Popularity,
    "own recency": Recency,
    "Markov-1": partial(Markov, order=1),
    "Markov-2": partial(Markov, order=2),
}

TIME_TO_NEXT: Mapping[str, TimeFloor] = {
    "one curve": partial(SurvivalCurve, group="none"),
    "by last action": partial(SurvivalCurve, group="action"),
    "by last gap": partial(SurvivalCurve, group="gap"),
}

CHURN: Mapping[str, ChurnFloor] = {
    "prior": partial(RecencyFrequency, knows="nothing"),
    "own recency": partial(RecencyFrequency, knows="recency"),
    "recency-frequency": RecencyFrequency,
    "BG/NBD": BgNbd,
}
