"""Prediction quality: what was said would come, against what came."""

import math

from deploy.dashboards.board import Board, Section
from deploy.dashboards.panels import NEWLY_STARTED, About, Query, above, bars, below, number, series
from deploy.dashboards.promql import SHOWN, of, or_0, rate, share
from deploy.dashboards.tables import Column, groups
from models.state import ACTIONS

NO_KNOWLEDGE = round(math.log(len(ACTIONS)), 4)
"""Log-loss of saying that all actions are as likely."""

_WINDOW = "10m"
"""Long enough that the chance in a sample of events does not look like a change."""

_SCORED = "nextact_predictions_scored_total"
_LOSS = "nextact_prediction_log_loss_total"
_FLOOR = "nextact_baseline_log_loss_total"


def _calibration_error(window: str) -> str:
    gap = f"{rate('nextact_confidence_sum_total', 'bin', window=window)}"
    gap += f" - {rate('nextact_confidence_correct_total', 'bin', window=window)}"
    return share(f"sum(abs({gap}))", rate("nextact_confidence_scored_total", window=window))


def _of_scored(metric: str) -> str:
    return f"{rate(metric, 'action', window=SHOWN)} / scalar({rate(_SCORED, window=SHOWN)} > 0)"


_HEADLINE = (
    number(
        "Log-loss",
        Query(share(rate(_LOSS, window=SHOWN), rate(_SCORED, window=SHOWN))),
        "suffix: nats",
        About(
            "Mean of -ln of the probability that was given to what came next, before it came, in the time shown.",
            "near to that of the model's card; 1.10, a third for each action, is no knowledge at all.",
            "if it rose at once, a release or a producer changed; if slowly, shoppers did: train anew.",
            "NextactPredictionsWorse",
        ),
        above(NO_KNOWLEDGE),
        decimals=3,
    ),
    number(
        "Better than the baseline",
        Query(f"1 - {share(rate(_LOSS, window=SHOWN), rate(_FLOOR, window=SHOWN))}"),
        "percentunit",
        About(
            "By how much that is lower than the log-loss of the training data's shares of actions, in the time shown.",
            "above 5 %, near to what the model's card says.",
            "at 0 and below the model tells nothing of use: train anew, or go back to the model before.",
            "NextactPredictionsWorse",
        ),
        below(0.05, 0.0),
        decimals=1,
    ),
    number(
        "Calibration error",
        Query(_calibration_error(SHOWN)),
        "percentunit",
        About(
            "Gap between how sure the predictions were and how often they were right, the mean over five bins of"
            " confidence, in the time shown.",
            "under 5 %.",
            "see below in which bin; above 10 % do not decide by these probabilities: train anew.",
            "NextactCalibrationOff",
        ),
        above(0.05, 0.1),
        decimals=1,
    ),
    number(
        "Most drifted input",
        Query(f"max({of('nextact_input_drift')})"),
        "none",
        About(
            "Population stability index of the input that has moved furthest from the training data, over the last"
            " 10,000 events of a worker.",
            "under 0.1.",
            "from 0.25 on shoppers, or a producer's fields, are not those that the model learned: see which below.",
            "NextactInputDrift",
        ),
        above(0.1, 0.25),
        decimals=3,
        empty="no reference",
    ),
    number(
        "Events scored",
        Query(rate(_SCORED, window=_WINDOW)),
        "eps",
        About(
            "Events each second that are held against what was predicted before them: a sample of each chunk.",
            "above 0 while shoppers are known.",
            "with 0 nothing on this page says anything: new users only, or a worker that is stuck.",
            "NextactPredictionsWorse",
        ),
        ((None, "orange"), (0.0001, "green")),
    ),
    number(
        "Of unknown items",
        Query(
            share(or_0(rate("nextact_unknown_items_total", window=SHOWN)), rate("nextact_events_total", window=SHOWN))
        ),
        "percentunit",
        About(
            "Share of valid events whose item the model does not know, in the time shown.",
            "under 5 %.",
            "the catalogue moved on: train anew. These items are in no slate.",
            "NextactInputDrift",
        ),
        above(0.05, 0.2),
        decimals=2,
    ),
)

_OVER_TIME = (
    series(
        "Log-loss over time",
        [
            Query(share(rate(_LOSS, window=_WINDOW), rate(_SCORED, window=_WINDOW)), "model"),
            Query(share(rate(_FLOOR, window=_WINDOW), rate(_SCORED, window=_WINDOW)), "shares of the past"),
        ],
        "suffix: nats",
        About(
            "Log-loss of the next action, of the model and of the training data's shares, over 10 minutes each.",
            "the model's line below the other, and both below that of a third for each action.",
            "where they meet, the model knows nothing more than shares do. Purple marks are new models.",
            "NextactPredictionsWorse",
        ),
        ((None, "transparent"), (NO_KNOWLEDGE, "orange")),
        least=None,
    ),
    groups(
        "How sure, how often right",
        "bin",
        "top probability up to",
        [
            Column(
                "said",
                share(
                    rate("nextact_confidence_sum_total", "bin", window=SHOWN),
                    rate("nextact_confidence_scored_total", "bin", window=SHOWN),
                ),
                "percentunit",
            ),
            Column(
                "came",
                share(
                    rate("nextact_confidence_correct_total", "bin", window=SHOWN),
                    rate("nextact_confidence_scored_total", "bin", window=SHOWN),
                ),
                "percentunit",
            ),
        ],
        About(
            "Reliability: of events by the probability of the likeliest action, its mean, and how often it came.",
            "both bars of a bin as high.",
            "said higher than came: the model is too sure of itself. Bins of few events jump.",
            "NextactCalibrationOff",
        ),
        most=1,
    ),
    groups(
        "What was expected, what came",
        "action",
        "next action",
        [
            Column(
                "expected",
                _of_scored("nextact_predicted_actions_total"),
                "percentunit",
            ),
            Column(
                "observed",
                _of_scored("nextact_observed_actions_total"),
                "percentunit",
            ),
        ],
        About(
            "Share of each next action: the mean of its probabilities, and how often it came.",
            "both bars of an action as high.",
            "one action expected too often: its producer lost events, or shoppers changed.",
            "NextactCalibrationOff",
        ),
        width=8,
    ),
    series(
        "Expected for each that came",
        [
            Query(
                share(
                    rate("nextact_predicted_actions_total", "action", window=_WINDOW),
                    rate("nextact_observed_actions_total", "action", window=_WINDOW),
                ),
                "{{action}}",
            )
        ],
        "none",
        About(
            "Predicted over observed number of each action, over the last 10 minutes each.",
            "1, with some noise.",
            "2 means that twice as many were expected as came.",
            "NextactCalibrationOff",
        ),
        ((None, "transparent"), (1, "green")),
        width=8,
    ),
    series(
        "Calibration error over time",
        [Query(_calibration_error(_WINDOW), "calibration error")],
        "percentunit",
        About(
            "As above, over the last 10 minutes each; few events make it larger than it is.",
            "under the lines.",
            "a step at a purple mark: the new model's calibration is off, go back to the one before.",
            "NextactCalibrationOff",
        ),
        above(0.05, 0.1),
        width=8,
    ),
)

_INPUTS = (
    bars(
        "Drift by input",
        Query(f"max by (feature) ({of('nextact_input_drift')} >= 0)", "{{feature}}"),
        "none",
        About(
            "Population stability index of each input against the training data: actions, gaps between events, hours of"
            " the day, share of known items.",
            "under 0.1; 0 is the same.",
            "gap or hour: clocks or batches of a producer; known_item: a new catalogue; action: a topic is missing.",
            "NextactInputDrift",
        ),
        above(0.1, 0.25),
        width=8,
    ),
    series(
        "Drift over time",
        [Query(f"avg by (feature) ({of('nextact_input_drift')} >= 0)", "{{feature}}")],
        "none",
        About(
            "The same, the mean of all workers, over time.",
            "below the dashed lines.",
            "a step is a release of a producer, a slope are shoppers.",
            "NextactInputDrift",
        ),
        above(0.1, 0.25),
        width=8,
    ),
    series(
        "Unknown items by topic",
        [
            Query(
                share(rate("nextact_unknown_items_total", by="topic"), rate("nextact_records_total", by="topic")),
                "{{topic}}",
            )
        ],
        "percentunit",
        About(
            "Share of each topic's records whose item the model does not know.",
            "under 5 %.",
            "one topic alone: its producer names items differently.",
            "NextactInputDrift",
        ),
        above(0.05, 0.2),
        width=8,
    ),
    series(
        "Age of the model by worker",
        [Query(f"time() - max by (instance) ({of('nextact_model_trained_timestamp_seconds')} > 0)", "{{instance}}")],
        "s",
        About(
            "Time since the model of each worker was trained.",
            "one line, under two weeks.",
            "two lines: workers with different models; restart those that were left out.",
            "NextactModelStale",
        ),
        above(14 * 86_400, 30 * 86_400),
    ),
    series(
        "Loaded, since",
        [Query(f"time() - max by (instance) ({of('nextact_model_loaded_timestamp_seconds')} > 0)", "{{instance}}")],
        "s",
        About(
            "Time since each worker loaded its model: a fall to 0 is a change, or a restart.",
            "lines that fall at your releases alone.",
            "falls that nobody made are restarts: see Kafka and recovery.",
            "NextactWorkerDown",
        ),
        NEWLY_STARTED,
    ),
)

QUALITY = Board(
    "quality",
    "nextact: Prediction quality",
    "What was predicted, held against what came next, while it happens; and how far inputs are from the training data.",
    (Section("Now", _HEADLINE), Section("Over time", _OVER_TIME), Section("Inputs and model", _INPUTS)),
    since="now-6h",
    refresh="1m",
)
