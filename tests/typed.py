"""Lines of the pages, typed into a shell: Kafka's own tools and `nextact` are on its PATH, as a reader has them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 120

TOOLS = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
}
"""What the scripts of Kafka's distribution, which the folder of jars lacks, start."""


def blocks(page: Path, heading: str | None = None) -> list[str]:
    """Return the shell blocks of a page, or of what stands under one of its headings, down to the next as high.

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> page = Path(folder.name, "page.md")
    >>> _ = page.write_text("# a\\n```sh\\nls\\n```\\n## b\\n1. so\\n\\n   ```sh\\n   cd \\\\\\n     x\\n   ```\\n")
    >>> blocks(page), blocks(page, "b")
    (['ls\\n', 'cd \\\\\\n  x\\n'], ['cd \\\\\\n  x\\n'])
    >>> folder.cleanup()
    """
    text = page.read_text()
    if heading is not None:
        found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
        assert found is not None, f"{page} has no heading {heading}"
        text = re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    indented = re.findall(r"^( *)```sh\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in indented]


def lines(block: str) -> list[str]:
    """Return the commands of a block, one over several lines as one, without remarks.

    >>> lines("ls \\\\\\n  -l  # all\\ncd\\n")
    ['ls    -l', 'cd']
    """
    return [re.sub(r"  +# .*", "", line) for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@dataclass
class Shell:
    """Where lines are typed; what they export holds for the lines after them, as in one terminal.

    Attributes:
        folder: where they run.
        environment: all variables that they see.
    """

    folder: Path
    environment: dict[str, str]

    def type(self, lines: str, patience_s: float = PATIENCE_S) -> str:
        """Run them one after another up to the first that fails; return what they wrote, stderr too.

        Raises:
            AssertionError: one has failed.
        """
        code, said = self.tried(lines, patience_s)
        assert code == 0, f"code {code}: {lines}\n{said}"
        return said

    def tried(self, lines: str, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """Return the exit code too."""
        kept = self.folder / ".environment"
        script = f"set -eo pipefail\n{lines}\nenv -0 >{kept}\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience_s,
        )
        if done.returncode == 0:
            pairs = [line.partition("=") for line in kept.read_text().split("\0") if line]
            self.environment = {name: value for name, _, value in pairs}
        return done.returncode, done.stdout


def shell(home: Path, folder: Path, environment: Mapping[str, str]) -> Shell:
    """Return a shell with Kafka's tools and `nextact`, and no variable of these but the given ones.

    Args:
        home: where Kafka's jars are.
        folder: where lines run.
        environment: variables of Kafka and nextact.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    run = f"exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '{home}/libs/*'"
    scripts = {f"{name}.sh": f'{run} {main} "$@"' for name, main in TOOLS.items()}
    scripts["nextact"] = f'exec {sys.executable} -m streams "$@"'
    for name, line in scripts.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    path = f"{programs}{os.pathsep}{kept['PATH']}"
    root = str(Path(__file__).parents[1])
    return Shell(folder, kept | {"PATH": path, "PYTHONPATH": root} | dict(environment))
