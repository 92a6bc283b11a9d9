"""Numbers as Grafana shows them in a unit."""

import math

_TIMES = ((604_800.0, "week"), (86_400.0, "day"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SHORT = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_BYTES = ((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"), (1.0, " B"))
_RATES = ((1e9, " GB/s"), (1e6, " MB/s"), (1e3, " kB/s"), (1.0, " B/s"))


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value in a unit of Grafana's.

    >>> [shown(0.9987, "percentunit", 2), shown(0.25, "s"), shown(90.0, "s"), shown(12_345, "eps"), shown(1, "none")]
    ['99.87 %', '250 ms', '1.5 min', '12.3 K evt/s', '1']
    >>> [shown(900 * 2**20, "bytes"), shown(0.71234, "suffix: nats", 3), shown(float("nan"), "s")]
    ['900 MiB', '0.712 nats', 'NaN']
    """
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{_digits(100 * value, decimals)} %"
    if unit == "s":
        return _scaled(value, [(size, f" {name}") for size, name in _TIMES], decimals)
    if unit == "bytes":
        return _scaled(value, _BYTES, decimals)
    if unit == "Bps":
        return _scaled(value, _RATES, decimals)
    suffix = {"eps": " evt/s"}.get(unit, unit.removeprefix("suffix:") if unit.startswith("suffix:") else "")
    return _scaled(value, _SHORT if unit != "none" else (), decimals) + suffix


def _scaled(value: float, scale: tuple[tuple[float, str], ...] | list[tuple[float, str]], decimals: int | None) -> str:
    for size, name in scale:
        if abs(value) >= size:
            text = _digits(value / size, decimals)
            return f"{text}{name}s" if name in (" week", " day") and text != "1" else f"{text}{name}"
    return _digits(value, decimals) + (scale[-1][1] if scale and scale[-1][0] == 1.0 else "")


def _digits(value: float, decimals: int | None) -> str:
    """Return three digits or so, as Grafana does when it is not told how many decimals to show."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0 or abs(value) < 1e-9:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 5)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
