"""Churn and recommendations: who is about to stay away, and what slates are made of."""

from grafana_foundation_sdk.models.common import StackingMode

from deploy.dashboards.board import Board, Section
from deploy.dashboards.panels import PLAIN, About, Query, above, bars, number, series
from deploy.dashboards.promql import SHOWN, of, or_0, rate, share

_USERS = f"sum({of('nextact_churn_users')})"
_PLACES = "nextact_slate_places_total"
_SLATES_OUT = rate("nextact_outputs_total", where='topic="recommendations"', window=SHOWN)
_HIGH, _LOW, _UNSCORED = 'band="high"', 'band="low"', 'band="none"'

_CHURN = (
    number(
        "At high risk",
        Query(share(f"sum({of('nextact_churn_users', _HIGH)})", _USERS)),
        "percentunit",
        About(
            "Share of the users in memory who are in band high.",
            "moves slowly; its level is that of your shop.",
            "a jump is the model's or the clock's doing: see whether NEXTACT_CLOCK is right, and Prediction quality.",
            "NextactPredictionsWorse",
        ),
        PLAIN,
        decimals=1,
    ),
    number(
        "Not scored yet",
        Query(share(f"sum({of('nextact_churn_users', _UNSCORED)})", f"sum({of('nextact_users')})")),
        "percentunit",
        About(
            "Share of the users in memory without a band.",
            "near 0.",
            "after a new model users are scored as they come or as silence is due; it falls by itself.",
            "NextactModelStale",
        ),
        above(0.2, 0.5),
        decimals=1,
    ),
    number(
        "Change of band, each hour",
        Query(f"3600 * {or_0(rate('nextact_churn_changes_total', window=SHOWN))}"),
        "short",
        About(
            "How often users changed their band, in an hour, in the time shown.",
            "far fewer than users.",
            "many at once, with few events: all are scored for silence together, as after a long stop.",
            "NextactPredictionsWorse",
        ),
        PLAIN,
    ),
    number(
        "Items of a slate",
        Query(share(rate(_PLACES, window=SHOWN), _SLATES_OUT)),
        "none",
        About(
            "Mean number of places in a recommendation, in the time shown.",
            "NEXTACT_SLATE_SIZE.",
            "fewer: the model knows fewer items than that.",
            "NextactPredictionsWorse",
        ),
        ((None, "red"), (1, "green")),
        decimals=1,
    ),
    number(
        "Seen before",
        Query(share(or_0(rate(_PLACES, where='source="seen_before"', window=SHOWN)), rate(_PLACES, window=SHOWN))),
        "percentunit",
        About(
            "Share of places taken by items that the shopper has seen before.",
            "what your shop wants; steady.",
            "near 100 %: slates show nothing new. Near 0: users are not known, their state was lost.",
            "NextactPredictionsWorse",
        ),
        ((None, "red"), (0.01, "green"), (0.95, "orange")),
        decimals=1,
    ),
    number(
        "Slates without a prediction",
        Query(share(or_0(rate(_PLACES, where='source="popular"', window=SHOWN)), rate(_PLACES, window=SHOWN))),
        "percentunit",
        About(
            "Share of places filled by what is popular, as the model knows none of the items that the shopper saw.",
            "under 10 %.",
            "the catalogue moved on, or items are named differently: train anew.",
            "NextactInputDrift",
        ),
        above(0.1, 0.3),
        decimals=1,
    ),
)

_BANDS = (
    series(
        "Users by band",
        [Query(f"sum by (band) ({of('nextact_churn_users')} >= 0)", "{{band}}")],
        "short",
        About(
            "Users in memory by churn band: how likely they stay away for a week.",
            "bands that change slowly.",
            "a fall of all is a worker that went; a shift between bands at a purple mark is the new model.",
            "NextactPredictionsWorse",
        ),
        stacked=StackingMode.NORMAL,
    ),
    series(
        "Changes by new band",
        [Query(rate("nextact_churn_changes_total", by="band"), "{{band}}")],
        "eps",
        About(
            "Events on churn-risk each second, by the band that the user came into.",
            "into low when shoppers come back, into high hours to days after they left.",
            "high alone, and all at once: events do not arrive, so everyone seems silent.",
        ),
    ),
    series(
        "Toward staying away",
        [
            Query(
                f"{or_0(rate('nextact_churn_changes_total', where=_HIGH, window='10m'))}"
                f" - {or_0(rate('nextact_churn_changes_total', where=_LOW, window='10m'))}",
                "into high less into low",
            )
        ],
        "eps",
        About(
            "Users who came into band high, less those who came into band low, each second, over 10 minutes.",
            "around 0 over a day.",
            "above 0 all day: you lose more shoppers than you win back. That is the shop's news, not a fault.",
        ),
        above(0),
        least=None,
    ),
    series(
        "What is published",
        [Query(rate("nextact_outputs_total", by="topic", where='topic=~"churn-risk|recommendations"'), "{{topic}}")],
        "eps",
        About(
            "Messages on churn-risk and recommendations each second.",
            "recommendations as many as answers; churn-risk with them, and more while nothing comes.",
            "no recommendations: NEXTACT_SLATE_SIZE is 0, or the model has no items.",
            "NextactWorkerStuck",
        ),
    ),
)

_SLATES = (
    series(
        "Where places come from",
        [Query(rate(_PLACES, by="source"), "{{source}}")],
        "percentunit",
        About(
            "Places in slates by where the item came from, as shares.",
            "a mix that stays.",
            "one that takes over at a purple mark: look at the new model before it goes on.",
            "NextactPredictionsWorse",
        ),
        stacked=StackingMode.PERCENT,
        width=16,
    ),
    bars(
        "Places by source",
        Query(f"sum by (source) (increase({of(_PLACES)}[{SHOWN}]))", "{{source}}"),
        "short",
        About(
            "Number of places by where the item came from, in the time shown.",
            "see left.",
            "see left.",
            "NextactPredictionsWorse",
        ),
        width=8,
    ),
)

SHOPPERS = Board(
    "shoppers",
    "nextact: Churn and recommendations",
    "Who is about to stay away, and what slates are made of.",
    (Section("Now", _CHURN), Section("Churn", _BANDS), Section("Slates", _SLATES)),
    since="now-6h",
    refresh="1m",
)
