"""Shoppers with a known truth: item tastes, sessions, a purchase funnel, a weekly rhythm, churn.

Sessions of a shopper start as an inhomogeneous Poisson process; inside a session a Markov chain goes from event to
event; after a session the shopper may be gone for good, and a newcomer with a fresh id comes in. The chances of what
comes next follow from a shopper's `State` alone and are exact, so that a model's log-loss can be held against the
smallest possible one. That bound knows what no log shows (taste, propensities, how close the shopper is to churn): a
model that sees only events may come near it with a long history, and falls below it by chance alone.
"""

from models.simulator.crowd import log, simulate, states
from models.simulator.shop import Shop, Shopper
from models.simulator.shopper import LEAVE_AFTER_MS, MAX_GAP_MS, State, advance, event
from models.simulator.truth import gone, next_action_probabilities, next_item_probabilities, silence, survival

__all__ = [
    "LEAVE_AFTER_MS",
    "MAX_GAP_MS",
    "Shop",
    "Shopper",
    "State",
    "advance",
    "event",
    "gone",
    "log",
    "next_action_probabilities",
    "next_item_probabilities",
    "silence",
    "simulate",
    "states",
    "survival",
]
