"""The trigger word and the traits that it learns, fed with what the tagger saw in the whole folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.latest import Latest
from app.project import Project
from app.tagging import Tagging
from app.tagging_plan import caption_without, make_plan, tags_by_picture
from app.widgets.tag_options import TagOptionsForm
from app.widgets.trait_panel import TraitPanel


class TaggerTraits(QWidget):
    """Puts what the panel chooses into the options; the list shows at once what that does to each caption."""

    def __init__(
        self, tagging: Tagging, project: Project, form: TagOptionsForm, current: Callable[[], Path | None]
    ) -> None:
        super().__init__()
        self._tagging = tagging
        self._project = project
        self._form = form
        self._current = current
        self._fed: tuple[object, ...] = ()
        self._latest = Latest(self)
        self.panel = TraitPanel(project)
        self.panel.pruned_changed.connect(lambda tags: form.set_prune(tuple(tags)))
        self.panel.trigger_chosen.connect(form.set_trigger)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.panel)
        tagging.changed.connect(self.refresh)
        project.folder_changed.connect(self._on_folder_changed)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """What changed while nobody looked is shown now."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Feed the panel anew when there is another plan."""
        if not self.isVisible():
            return
        tagging = self._tagging
        self.panel.set_trigger(tagging.options.trigger_word)
        self.panel.set_pruned(tagging.options.prune)
        self.show_example()
        if tagging.planned is None or tagging.is_running:
            return
        records, seen = tagging.records, tagging.seen
        options = tagging.options.model_copy(update={"prune": (), "trigger_word": ""})
        fed = (id(records), id(seen), len(seen), options)
        if fed == self._fed:
            return
        self._fed = fed
        self._latest.start(lambda: tags_by_picture(records, seen, options), self._take)

    def _take(self, result: dict[Path, tuple[str, ...]] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.tell(result)
        else:
            self.panel.set_tags(result)

    def _on_folder_changed(self) -> None:
        self._fed = ()
        self.panel.set_tags({})

    def show_example(self) -> None:
        """What the choice does to the caption of the picture that is looked at."""
        image = self._current()
        record = self._project.record(image) if image is not None else None
        tagging = self._tagging
        if record is None or record.path not in tagging.seen:
            self.panel.set_example("", "")
            return
        plan = make_plan((record,), tagging.seen, tagging.options, {}, tagging.writes.written).plans.get(record.path)
        before = caption_without(record, tagging.seen, tagging.options, tagging.writes.written)
        self.panel.set_example(before, plan.caption if plan is not None else before)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.panel.retranslate()
