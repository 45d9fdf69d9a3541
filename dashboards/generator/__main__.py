"""Write what is generated: ``python -m dashboards.generator``."""

from __future__ import annotations

from pathlib import Path

from dashboards.generator.board import as_json
from dashboards.generator.budgets import budgets
from dashboards.generator.causes import causes
from dashboards.generator.recorder_health import recorder_health
from dashboards.generator.stuck_now import stuck_now
from dashboards.generator.where_time_goes import where_time_goes

FOLDER = Path(__file__).parents[1]


def generated() -> dict[str, str]:
    """Return what is generated: the text of each file, by its path in the folder ``dashboards``."""
    boards = {
        "stuck-now": stuck_now,
        "where-time-goes": where_time_goes,
        "causes": causes,
        "recorder-health": recorder_health,
    }
    files = {f"grafana/{name}.json": as_json(make()) for name, make in boards.items()}
    return files | {"prometheus/budgets.yml": budgets()}


def main() -> None:
    """Write every file."""
    for path, text in generated().items():
        (FOLDER / path).parent.mkdir(exist_ok=True)
        (FOLDER / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
