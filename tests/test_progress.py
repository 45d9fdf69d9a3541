from __future__ import annotations

import io

from turnscope_analyzer.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_after_a_second_at_most_ten_times_a_second_and_wiped() -> None:
    seconds = iter([0.0, 0.9, 1.0, 1.05, 1.1])
    stream = Terminal()
    progress = Progress(stream, clock=seconds.__next__)

    for done in (10, 20, 30, 40):
        progress(done, 100)
    progress.wipe()

    assert stream.getvalue() == "\rreading: 20 %\rreading: 40 %\r\x1b[K"


def test_a_load_that_is_quick_or_not_on_a_terminal_shows_nothing() -> None:
    quick, piped = Terminal(), io.StringIO()

    for stream, seconds in ((quick, iter([0.0, 0.5])), (piped, iter([0.0, 99.0]))):
        progress = Progress(stream, clock=seconds.__next__)
        progress(50, 100)
        progress.wipe()

    assert quick.getvalue() == piped.getvalue() == ""
