"""`python -m schemas` writes what is made of the messages and rules: JSON Schemas, the AsyncAPI document, the page."""

from schemas import asyncapi, page
from schemas.json_schema import files


def main() -> None:
    """Write all of it."""
    made = files() | {asyncapi.PATH: asyncapi.encoded(), page.PATH: page.page().encode()}
    for path, content in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
