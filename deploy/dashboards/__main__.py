"""`python -m deploy.dashboards` writes deploy/grafana/dashboards; with `--prometheus` it draws them from a real run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.dashboards.boards import BOARDS

FILES = Path(__file__).parents[1] / "grafana" / "dashboards"


def write(folder: Path) -> list[Path]:
    """Write each dashboard into its file, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{board.name}.json" for board in BOARDS]
    for board, file in zip(BOARDS, files, strict=True):
        file.write_text(board.json())
    return files


def main(
    prometheus: Annotated[str, typer.Option(help="Draw from this server instead, as http://host:port")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the files")] = FILES,
    minutes: Annotated[float, typer.Option(min=1, help="How much time pictures show")] = 15,
    until: Annotated[str, typer.Option(help="End of that time, as 2026-11-23T15:00:00Z; now if not given")] = "",
    only: Annotated[list[str] | None, typer.Option(help="Draw this dashboard; may be given again")] = None,
) -> None:
    """Write the dashboards as JSON; or draw them, with the same queries, as PNG.

    Example: python -m deploy.dashboards --prometheus http://localhost:9090 --out docs/images
    """
    if not prometheus:
        for file in write(out):
            print(file)
        return
    from deploy.dashboards.picture.sheet import draw  # matplotlib takes its time to load
    from deploy.dashboards.prometheus import Prometheus

    end_s = (datetime.fromisoformat(until) if until else datetime.now(UTC)).timestamp()
    for file in FILES.glob("*.json"):
        if not only or file.stem in only:
            picture = out / f"dashboard-{file.stem}.png"
            draw(file.read_text(), Prometheus(prometheus), end_s - 60 * minutes, end_s, picture)
            print(picture)


if __name__ == "__main__":
    typer.run(main)
