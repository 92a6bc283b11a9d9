"""What is asked of which public log, by which commands, and the figures that were set as goals."""

from typing import NamedTuple

SEEDS = 3
THREADS = 2


class Source(NamedTuple):
    """A public log: which converter, of which files."""

    converter: str
    files: tuple[str, ...]


class Goal(NamedTuple):
    """A figure to reach.

    Fields:
        figure: its name in the JSON of `nextact evaluate`.
        label: for people.
        bound: to reach.
        most: whether the figure has to be at most that, not at least.
        floor: the best one on the test rows, as measured before there was a run.
    """

    figure: str
    label: str
    bound: float
    most: bool = False
    floor: str = ""

    def met(self, value: float) -> bool:
        """Return whether a value reaches the bound."""
        return value <= self.bound if self.most else value >= self.bound


class Asked(NamedTuple):
    """Options of the two commands; those of `train` say what the data are, never how to learn."""

    train: tuple[str, ...]
    evaluate: tuple[str, ...]


class Question(NamedTuple):
    """One task on one log.

    Fields:
        name: of its files.
        log: key of `LOGS`.
        title: for people.
        test: how it is asked of the test rows.
        validation: how it is asked of rows that the training rows' own end holds.
        goals: figures to reach, maybe none: then only its calibration is.
    """

    name: str
    log: str
    title: str
    test: Asked
    validation: Asked
    goals: tuple[Goal, ...] = ()


LOGS = {
    "movielens": Source("movielens", ("ml1m_lrurec_loo.tsv.gz",)),
    "diginetica": Source(
        "diginetica", ("diginetica_srgnn_train_sessions.txt.gz", "diginetica_srgnn_test_prefix_label.tsv.gz")
    ),
    "jd": Source("jd", ("jd_micro_appliances.csv.gz",)),
    "taobao": Source("taobao", ("taobao_userbehavior_700.csv.gz",)),
    "taobao-types": Source("taobao-types", ("taobao_tpp_17types.csv.gz",)),
    "cdnow": Source("cdnow", ("cdnow_master.txt.gz",)),
}

_TAOBAO = ("--item-column", "category", "--action-column", "raw_action")
_TAOBAO_TRAIN = (*_TAOBAO, "--utc-offset-h", "8")
ECE_BOUND = 0.02
"""Largest calibration error of every head on every log."""

OVER_BOUND = 0.03
"""Share by which a model of simulated shoppers may be above the truth."""

SPEED = ("movielens-next-item", 60_000)
"""The question whose training is timed, and the interactions a second that are its goal."""


def _question(
    log: str,
    task: str,
    title: str,
    *goals: Goal,
    train: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> Question:
    evaluate = ("--task", task, *more, *columns)
    return Question(
        f"{log}-{task}",
        log,
        title,
        Asked(train, (*evaluate, "--split", "test")),
        Asked(train, (*evaluate, "--split", "validation")),
        goals,
    )


QUESTIONS = (
    _question(
        "movielens",
        "next-item",
        "MovieLens-1M leave-one-out, next item",
        Goal("recall", "Recall@10", 0.330, floor=".222 (sequential rules)"),
        Goal("ndcg", "NDCG@10", 0.196, floor=".134 (sequential rules)"),
        more=("--k", "10", "--exclude-seen"),
    ),
    _question(
        "diginetica",
        "next-item",
        "Diginetica, SR-GNN's split, next item",
        Goal("recall", "Recall@20 (P@20)", 0.55, floor=".505 (V-SKNN)"),
        Goal("mrr", "MRR@20", 0.19, floor=".179 (V-SKNN)"),
        more=("--k", "20"),
    ),
    _question(
        "jd",
        "next-action",
        "JD appliances, next action",
        Goal("log_loss", "log-loss", 1.10, most=True, floor="1.254 (Markov-2)"),
        Goal("macro_f1", "macro-F1", 0.45, floor=".367 (Markov-2)"),
    ),
    _question("jd", "time-to-next", "JD appliances, time to next"),
    _question(
        "taobao",
        "next-action",
        "Taobao slice, next action",
        Goal("log_loss", "log-loss", 0.39, most=True, floor=".404 (own recency)"),
        train=_TAOBAO_TRAIN,
        columns=_TAOBAO,
    ),
    _question(
        "taobao",
        "next-item",
        "Taobao slice, next category",
        Goal("recall", "Recall@20", 0.82, floor=".774 (own recency)"),
        train=_TAOBAO_TRAIN,
        columns=_TAOBAO,
        more=("--k", "20"),
    ),
    _question("taobao", "time-to-next", "Taobao slice, time to next", train=_TAOBAO_TRAIN, columns=_TAOBAO),
    _question(
        "taobao-types",
        "next-action",
        "Taobao 17 types, next type",
        Goal("error", "error", 0.38, most=True, floor=".402 (Markov-2)"),
    ),
    _question("taobao-types", "time-to-next", "Taobao 17 types, time to next"),
    Question(
        "cdnow-churn",
        "cdnow",
        "CDNOW, who buys again",
        Asked((), ("--task", "churn", "--at", "1997-10-01", "--horizon-days", "273")),
        # 26 weeks to learn from and 13 to judge by, all of them before the test rows
        Asked(("--until", "1997-07-01"), ("--task", "churn", "--at", "1997-07-01", "--horizon-days", "92")),
        (
            Goal("roc_auc", "AUC of any purchase", 0.78, floor=".768 (recency-frequency)"),
            Goal("mae_count", "MAE of the count", 0.79, most=True, floor=".817 (BG/NBD)"),
        ),
    ),
    _question("cdnow", "time-to-next", "CDNOW, time to next"),
)


def chosen(only: list[str]) -> list[Question]:
    """Return the questions whose name, or whose log, is named; all if none is.

    Raises:
        ValueError: a name is of none.

    >>> [question.name for question in chosen(["jd", "cdnow-churn"])]
    ['jd-next-action', 'jd-time-to-next', 'cdnow-churn']
    """
    known = set(LOGS) | {question.name for question in QUESTIONS}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise ValueError(f"--only {unknown[0]}: there are {', '.join(LOGS)} and {', '.join(q.name for q in QUESTIONS)}")
    return [question for question in QUESTIONS if not only or {question.name, question.log} & set(only)]
