"""Packages that not every installation has.

Those of extras are asked for before the work begins, not after minutes of it. What the worker's image leaves out is an
import of the command that needs it, so it is missed at once: a line is made of that.
"""

from importlib.util import find_spec

from streams.errors import NextactError

EXTRAS = {"matplotlib": "plots", "jinja2": "plots", "sklearn": "evaluation", "scipy": "evaluation"}
"""The extra of the distribution that brings each module."""

NOT_FOR_WORKERS = ("polars", "torch")
"""What the worker's image leaves out: only learning, logs and the simulator use it."""


class PackageMissing(NextactError):  # noqa: N818
    """Something is asked for that an optional package does."""


def require(what: str, *modules: str) -> None:
    """Check that modules are installed.

    Args:
        what: what needs them, as the user named it.
        modules: keys of `EXTRAS`.

    Raises:
        PackageMissing: one is not; the message says how to install it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise PackageMissing(f"{what} needs {module}: `pip install 'nextact[{EXTRAS[module]}]'`")


def missed(error: ModuleNotFoundError) -> str | None:
    """Return what to do about an import that failed, None where the module is none that may be missing.

    >>> missed(ModuleNotFoundError(name="scipy.special"))
    "this needs scipy: `pip install 'nextact[evaluation]'`"
    >>> missed(ModuleNotFoundError(name="streams.gone"))
    """
    module = (error.name or "").partition(".")[0]
    if module in EXTRAS:
        return f"this needs {module}: `pip install 'nextact[{EXTRAS[module]}]'`"
    if module in NOT_FOR_WORKERS:
        return (
            f"this needs {module}, which the worker's image leaves out: use the image of the stage tools,"
            f" or `pip install nextact` with all that it needs"
        )
    return None
