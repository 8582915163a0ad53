"""How `kiln lora` speaks: tables for people, JSON for programs."""

from __future__ import annotations

import json

from core.console import Reporter
from core.events import Event, Failed, Finished, LoraReported, Notice, to_line
from core.text import sentences
from core.tools.report_text import report_lines


class ToolReporter(Reporter):
    """Shows the events of a tool; its report as a table on a terminal, or as the only thing said."""

    def __init__(self, *, only_json: bool, has_report: bool) -> None:
        """Say how.

        Args:
            only_json: Print the report as one JSON object, and nothing else to standard output.
            has_report: The report is all that comes out, so that nothing needs to be said of the end.
        """
        super().__init__()
        self._only_json = only_json
        self._has_report = has_report

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._only_json:
            if isinstance(event, LoraReported):
                # As the pipe has it: ASCII, as a path may be no text, and without numbers that JSON does not know.
                print(json.dumps(json.loads(to_line(event))["reports"][0], indent=1), flush=True)
            elif isinstance(event, (Notice, Failed)):
                self.complain(sentences(event.message, event.remedy if isinstance(event, Failed) else ""))
            return
        if not self._live:
            super().show(event)
        elif isinstance(event, LoraReported):
            self.say("\n".join(report_lines(event)))
        elif not (isinstance(event, Finished) and self._has_report and not event.stopped):
            super().show(event)
