"""Packages that not every installation has: asked for before the work begins, not after minutes of it."""

from importlib.util import find_spec

from streams.errors import NextactError

EXTRAS = {"matplotlib": "plots", "jinja2": "plots", "sklearn": "evaluation", "scipy": "evaluation"}
"""The extra of the distribution that brings each module."""


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
