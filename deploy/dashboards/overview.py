"""Overview: is it working, for whom, since when."""

from deploy.dashboards.board import ALERTS, Board, Section
from deploy.dashboards.panels import (
    NEWLY_STARTED,
    About,
    Built,
    Query,
    above,
    bars,
    below,
    names,
    number,
    series,
    states,
)
from deploy.dashboards.promql import of, or_0, quantile, rate, share

LATENCY = "nextact_event_to_output_seconds"
IN_TIME = 'le="0.25"'
PROMISED = 0.99
"""The objectives, over 30 days: this share of events within 250 ms, of the time fresh, of the time of use."""

_SENDING = rate("nextact_producer_records_total", by="source", window="15m")
_NAMED = rate("nextact_producer_records_total", by="source", where='source!~"none|other"', window="15m")
_LAG = of("nextact_group_lag_records")
_MODELS = f"count by (name, version) ({of('nextact_model_info')})"
_ANSWERING = f"({of('nextact_partitions')} > 0) and ({of('nextact_recovering')} == 0)"
_STATE = (
    f"max by (instance) (1 + ({of('nextact_recovering')} == bool 0)"
    f" + ({of('nextact_recovering')} == bool 0) * ({of('nextact_partitions')} > bool 0)"
    f" or {of('up')} == 0)"
)


def _in_time(window: str) -> str:
    return share(rate(f"{LATENCY}_bucket", where=IN_TIME, window=window), rate(f"{LATENCY}_count", window=window))


def _budget(title: str, ratio: str, shows: str, runbook: str) -> Built:
    """Return how much of what may go wrong in 30 days has not gone wrong yet."""
    about = About(
        shows, "above 25 %.", "under 0 the objective is missed: hold back changes until the cause is found.", runbook
    )
    left = Query(f'1 - (1 - min({ratio}{{job=~"$job"}})) / {1 - PROMISED:.2f}')
    return number(title, left, "percentunit", about, below(0.25, 0.0), width=8, decimals=1, empty="not known yet")


_WORKING = (
    number(
        "Workers answering",
        Query(or_0(f"count({_ANSWERING})")),
        "none",
        About(
            "Workers that own partitions and have read their users back.",
            "as many as you run; one less for the seconds of a restart.",
            "with 0 nobody is answered: look at the log of a worker, and at Kafka and recovery.",
            "NextactNoWorkers",
        ),
        ((None, "red"), (1, "green")),
        empty="0",
    ),
    number(
        "Within 250 ms, 5 min",
        Query(_in_time("5m")),
        "percentunit",
        About(
            "Share of events whose outputs were acknowledged within 250 ms of their record's timestamp.",
            "99 % and more.",
            "see in Pipeline which stage takes longer, and whether records arrive late already.",
            "NextactLatencyBudgetBurnsFast",
        ),
        below(0.99, 0.95),
        decimals=2,
    ),
    number(
        "Kafka answers",
        Query(share(or_0(f"count(max by (instance) ({_LAG}) >= 0)"), f"count(max by (instance) ({_LAG}))")),
        "percentunit",
        About(
            "Share of workers that the broker tells how far the group is behind, on a connection apart from events.",
            "100 %.",
            "0 %: no worker reaches Kafka. Between: the network of some workers, or they have only just started.",
            "NextactBrokerUnreachable",
        ),
        below(1.0, 0.5),
        empty="no workers",
    ),
    number(
        "Records waiting",
        Query(f"sum(max by (topic) ({of('nextact_group_lag_records')}))"),
        "short",
        About(
            "Input records behind the group's committed offsets, asked of the broker, partitions of nobody included.",
            "what comes in within a few seconds.",
            "if it grows, there are too few workers, or one is stuck: Kafka and recovery shows where.",
            "NextactLagGrows",
        ),
        above(10_000, 100_000),
        empty="broker silent",
    ),
    number(
        "Last answer",
        Query(f"time() - max({of('nextact_last_answer_timestamp_seconds')} > 0)"),
        "s",
        About(
            "Seconds since any worker had a chunk of events acknowledged.",
            "seconds, as long as events come.",
            "if records wait, workers are stuck; if none wait, producers have stopped.",
            "NextactNoAnswers",
        ),
        above(60, 300),
        empty="none yet",
    ),
    number(
        "Alerts firing",
        Query(or_0(f"count({ALERTS})")),
        "none",
        About(
            "Alerts of nextact that fire now.",
            "0.",
            "their names are the red marks in the panels below; each has a runbook of its name.",
        ),
        ((None, "green"), (1, "red")),
        empty="0",
    ),
)

_BUDGETS = (
    _budget(
        "Latency budget left, 30 days",
        "nextact:answered_within_slo:ratio_rate30d",
        "What is left of the 1 % of events that may take longer than 250 ms in 30 days: 66.7 % is two thirds of it, a"
        " third of a per cent was late. Days before the first sample do not count.",
        "NextactLatencyBudgetBurnsSlowly",
    ),
    _budget(
        "Freshness budget left, 30 days",
        "nextact:fresh:avg30d",
        "What is left of the 1 % of 30 days' time in which more than a minute's work may wait, or an unknown amount.",
        "NextactLagGrows",
    ),
    _budget(
        "Quality budget left, 30 days",
        "nextact:better_than_baseline:avg30d",
        "What is left of the 1 % of 30 days' time in which predictions may be worse than the training data's shares of"
        " actions; only the time counts in which enough are scored.",
        "NextactPredictionsWorse",
    ),
)

_NOW = (
    series(
        "Events in",
        [Query(rate("nextact_records_total", by="topic"), "{{topic}}")],
        "eps",
        About(
            "Records handled each second, by topic.",
            "the shape of your day.",
            "a topic that falls to 0 alone is a producer that stopped; all of them, a worker or the broker.",
        ),
        width=8,
    ),
    series(
        "From event to answer",
        [
            Query(quantile(0.5, LATENCY), "50 %"),
            Query(quantile(0.95, LATENCY), "95 %"),
            Query(quantile(0.99, LATENCY), "99 %"),
        ],
        "s",
        About(
            "Time from a record's timestamp to its outputs' acknowledgement, below which 50, 95 and 99 % of them stay.",
            "99 % below 250 ms, the dashed line.",
            "all lines high: records come late or workers are behind; 99 % alone: a restart, or long chunks.",
            "NextactLatencyBudgetBurnsFast",
        ),
        ((None, "transparent"), (0.25, "red")),
        width=8,
        log=True,
        least=None,
    ),
    states(
        "Workers, since when",
        Query(_STATE, "{{instance}}"),
        About(
            "What each worker was doing.",
            "answering, all along.",
            "reading back for minutes: a large table, or a slow broker. Without partitions: more workers than"
            " partitions, or a group that cannot agree. Down: it does not answer Prometheus.",
            "NextactWorkerDown",
        ),
        {0: ("down", "red"), 1: ("reading back", "orange"), 2: ("no partitions", "blue"), 3: ("answering", "green")},
        width=8,
    ),
)

_FOR_WHOM = (
    number(
        "Shoppers in memory",
        Query(f"sum({of('nextact_users')})"),
        "short",
        About(
            "Users whose state the workers hold.",
            "grows with new shoppers, falls only while partitions change hands.",
            "if it fell for good, partitions were lost or the changelog was made anew.",
            "NextactRecoveryLong",
        ),
        ((None, "red"), (1, "green")),
    ),
    number(
        "Refused",
        Query(share(or_0(rate("nextact_rejected_total", window="5m")), rate("nextact_records_total", window="5m"))),
        "percentunit",
        About(
            "Share of input records of the last 5 minutes that went to dead-letters.",
            "under 0.1 %.",
            "Pipeline has the reasons, Producers who sends them; nextact dead-letters list shows the records.",
            "NextactRejects",
        ),
        above(0.001, 0.01),
        decimals=2,
    ),
    number(
        "Better than the baseline",
        Query(
            "1 - "
            + share(
                rate("nextact_prediction_log_loss_total", window="10m"),
                rate("nextact_baseline_log_loss_total", window="10m"),
            )
        ),
        "percentunit",
        About(
            "By how much the log-loss of predictions is lower than that of always answering with the shares that"
            " actions had in the training data, over 10 minutes.",
            "above 0, near to what the model's card says.",
            "at 0 and below the model tells nothing: see Prediction quality, train anew.",
            "NextactPredictionsWorse",
        ),
        below(0.05, 0.0),
        decimals=1,
    ),
    names(
        "Model in use",
        Query(f"0 * {_MODELS} + scalar(count({_MODELS}))", "{{name}} {{version}}"),  # its value: how many there are
        About(
            "Name and version of the model that workers answer with.",
            "one, but for the minutes of a change.",
            "two for long: a worker was not restarted with the new one.",
            "NextactModelStale",
        ),
        above(2),
    ),
    number(
        "Age of the model",
        Query(f"time() - min({of('nextact_model_trained_timestamp_seconds')} > 0)"),
        "s",
        About(
            "Time since the model in use was trained, of the oldest in use.",
            "under two weeks.",
            "train on newer events and restart the workers with it, one after another.",
            "NextactModelStale",
        ),
        above(14 * 86_400, 30 * 86_400),
        empty="not known",
    ),
    number(
        "Running for",
        Query(f"time() - min({of('process_start_time_seconds')})"),
        "s",
        About(
            "Time since the worker that runs longest was started.",
            "since your last release.",
            "if it starts at 0 again and again, workers end: their last log line says why.",
            "NextactWorkerDown",
        ),
        NEWLY_STARTED,
    ),
    series(
        "Answers out",
        [Query(rate("nextact_outputs_total", by="topic"), "{{topic}}")],
        "eps",
        About(
            "Records published and acknowledged each second, by topic.",
            "next-actions as many as events; recommendations too, if slates are made; dead-letters near 0.",
            "none, although events come in: the broker refuses writes, see the log.",
            "NextactNoAnswers",
        ),
        width=10,
    ),
    bars(
        "Who sends",
        Query(f"topk(8, {_NAMED} or {_SENDING} > 0)", "{{source}}"),  # those without a name only if there are any
        "eps",
        About(
            "Records of the last 15 minutes by producer (the header ce_source).",
            "all those that you know.",
            "one that is missing has stopped sending: ask its owner. Producers has each one's mistakes.",
        ),
        ((None, "red"), (1 / 900, "green")),
        width=7,
    ),
    bars(
        "Shoppers by risk of staying away",
        Query(f"sum by (band) ({of('nextact_churn_users')})", "{{band}}"),
        "short",
        About(
            "Users in memory by churn band; none: not scored yet.",
            "shares that change slowly.",
            "a jump to one band is the model's or the clock's doing, not the shoppers': see Churn and recommendations.",
            "NextactPredictionsWorse",
        ),
        width=7,
    ),
)

OVERVIEW = Board(
    "overview",
    "nextact: Overview",
    "Is it working, for whom, since when. Start here; the links above lead to the rest.",
    (Section("Is it working", _WORKING + _BUDGETS + _NOW), Section("For whom", _FOR_WHOM)),
    since="now-3h",
)
