"""The decoder's reasons in the words of somebody who sends events."""

import re

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}
_AT = r" - at `\$\.(?P<field>[^`]+)`"
_PLAIN = (
    (rf"Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`{_AT}", "{field} is {got}, and must be {wanted}"),
    (
        r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`",
        "this is {got}, and must be {wanted}: one event, with its fields",
    ),
    (r"Object missing required field `(?P<field>[^`]+)`(?P<near>.*)", "{field} is missing{near}"),
    (rf"Expected `str` of length >= 1{_AT}", "{field} is empty"),
    (rf"Expected `str` of length <= (?P<most>\d+){_AT}", "{field} has more than {most} characters"),
    (rf"Expected `\w+` >= (?P<least>\S+?)(\.0)?{_AT}", "{field} is less than {least}"),
    (rf"Invalid base64 encoded string{_AT}", "{field} is no base64"),
    (rf"Number out of range{_AT}", "{field} is too large a number"),
    (r"Input data was truncated", "the JSON ends in the middle"),
    (r"JSON is malformed: (?P<why>.+) \(byte (?P<byte>\d+)\)", "this is no JSON from byte {byte} on: {why}"),
    (r"'utf-8' codec can't decode .+ in position (?P<byte>\d+): .+", "this is no UTF-8 from byte {byte} on"),
)


def plain(detail: str) -> str:
    """Return a reason in plain words; one that is plain already as it is.

    >>> plain("Expected `float | null`, got `str` - at `$.price`")
    'price is text, and must be a number'
    >>> plain("Expected `int` >= 0 - at `$.ts_ms`"), plain("the key is missing")
    ('ts_ms is less than 0', 'the key is missing')
    """
    for pattern, words in _PLAIN:
        found = re.fullmatch(pattern, detail)
        if found is not None:
            said = found.groupdict()
            kinds = {name: _kind(said[name]) for name in ("wanted", "got") if name in said}
            if said.get("got") == "float":
                kinds["got"] = "a number with a point"
            return words.format(**said | kinds)
    return detail


def _kind(named: str) -> str:
    names = [name for name in named.split(" | ") if name != "null"] or ["null"]
    return " or ".join(_KINDS.get(name, name) for name in names)
