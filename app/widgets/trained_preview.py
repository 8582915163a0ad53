"""A picture as the trainer sees it: pixel for pixel what is encoded, with what became of it in words."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QHideEvent, QImage, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.picture_card import enlarged_text
from app.widgets.plan_renderer import PlanRenderer, Request
from core.dataset.fitting import FitPlan
from core.dataset.records import ImageRecord
from core.text import tr

PANE_WIDTH = 240
MOST_PANES = 4
MOST_KEPT = 12


class TrainedPreview(QWidget):
    """Follows one picture of the open dataset, or shows the plans it is given. Several crops stand side by side."""

    def __init__(self, project: Project, plans: FitPlans, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._plans = plans
        self._record: ImageRecord | None = None
        self._given: tuple[FitPlan, ...] | None = None
        self._first = 0
        self._images: tuple[QImage, ...] = ()
        self._shown: Request | None = None
        self._error = ""
        self._kept: OrderedDict[Request, tuple[QImage, ...]] = OrderedDict()
        self._renderer = PlanRenderer(self)
        self._renderer.rendered.connect(self._on_rendered)
        self._renderer.failed.connect(self._on_failed)
        self._renderer.crashed.connect(project.crashed)
        self._panes: list[_Pane] = []
        self._row = QHBoxLayout()
        self._row.setSpacing(theme.SPACE_S)
        self.back_button, self.on_button = QToolButton(), QToolButton()
        icons.set_icon(self.back_button, "chevron-left", 16)
        icons.set_icon(self.on_button, "chevron-right", 16)
        self.back_button.clicked.connect(lambda: self._turn_page(-1))
        self.on_button.clicked.connect(lambda: self._turn_page(1))
        self._place = label(role="small")
        pages = QHBoxLayout()
        pages.setSpacing(theme.SPACE_XS)
        pages.addStretch(1)
        for widget in (self.back_button, self._place, self.on_button):
            pages.addWidget(widget)
        pages.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(self._row, 1)
        column.addLayout(pages)
        self.setMinimumHeight(120)
        plans.changed.connect(self._follow)
        project.edits_changed.connect(self._on_edits_changed)
        self.retranslate()

    @property
    def plans(self) -> tuple[FitPlan, ...]:
        """What is shown of the picture, one for each crop."""
        if self._given is not None or self._record is None:
            return self._given or ()
        return self._plans.plans_of(self._record)

    @property
    def images(self) -> tuple[QImage, ...]:
        """What the trainer sees, once it is drawn: RGB, in the sizes of the plans."""
        return self._images

    @property
    def is_drawn(self) -> bool:
        """Whether the pictures shown are those of the newest plans."""
        return self._shown is not None and self._shown == self._request()

    def set_record(self, record: ImageRecord | None) -> None:
        """Show a picture as it is trained now, and follow what is decided about it."""
        self._use(record, None)

    def show_plans(self, record: ImageRecord, plans: tuple[FitPlan, ...]) -> None:
        """Show some plans of a picture instead."""
        self._use(record, plans)

    def _use(self, record: ImageRecord | None, plans: tuple[FitPlan, ...] | None) -> None:
        if record is None or self._record is None or record.path != self._record.path:
            self._first = 0
            self._images = ()
        self._record, self._given = record, plans
        self._follow()

    def _on_edits_changed(self, images: tuple[object, ...]) -> None:
        if self._record is not None and self._record.path in images:
            self._follow()

    def _request(self) -> Request | None:
        return Request(self._record, self.plans) if self._record is not None else None

    def _follow(self) -> None:
        """Draw what is to be shown now, unless it was drawn before."""
        request = self._request()
        if request is None:
            self._images, self._shown, self._error = (), None, ""
        elif not self.isVisible():
            return
        elif request in self._kept:
            self._images, self._shown, self._error = self._kept[request], request, ""
        else:
            self._renderer.draw(request)
        self._lay_out()

    def _on_rendered(self, request: Request, images: tuple[QImage, ...]) -> None:
        self._kept[request] = images
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        now = self._request()
        if now is not None and request.record.path == now.record.path:
            self._images, self._shown, self._error = images, request, ""
            self._lay_out()

    def _on_failed(self, request: Request, message: str) -> None:
        if request == self._request():
            self._images, self._shown, self._error = (), request, message
            self._lay_out()

    def _turn_page(self, by: int) -> None:
        self._first += by * self._per_page()
        self._lay_out()

    def _per_page(self) -> int:
        return max(1, min(MOST_PANES, self.width() // PANE_WIDTH))

    def _lay_out(self) -> None:
        plans = self.plans
        number = min(self._per_page(), max(1, len(plans)))
        self._first = max(0, min(self._first, (len(plans) - 1) // number * number))
        while len(self._panes) < number:
            self._panes.append(pane := _Pane())
            self._row.addWidget(pane, 1)
        for place, pane in enumerate(self._panes):
            pane.setVisible(place < number)
            index = self._first + place
            plan = plans[index] if index < len(plans) else None
            image = self._images[index] if index < len(self._images) else None
            pane.show_plan(plan, image, self._error)
        last = min(self._first + number, len(plans))
        has_pages = len(plans) > number
        for widget in (self.back_button, self.on_button, self._place):
            widget.setVisible(has_pages)
        self.back_button.setEnabled(self._first > 0)
        self.on_button.setEnabled(last < len(plans))
        shown = f"{self._first + 1}" if number == 1 else f"{self._first + 1}-{last}"
        self._place.setText(f"{shown} / {len(plans)}")

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what happened while nobody looked."""
        super().showEvent(event)
        self._follow()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Give the large picture back."""
        super().hideEvent(event)
        self._renderer.forget()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Another width has place for more or fewer crops."""
        super().resizeEvent(event)
        self._lay_out()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setAccessibleName(tr("As the trainer sees it"))
        for widget, text in ((self.back_button, tr("Previous crops")), (self.on_button, tr("Next crops"))):
            widget.setToolTip(text)
            widget.setAccessibleName(text)
        self._lay_out()


class _Pane(QWidget):
    """One result with its line of text."""

    def __init__(self) -> None:
        super().__init__()
        self._picture = _Picture()
        self._line = ElidedLabel()
        self._line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        set_role(self._line, "small")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self._picture, 1)
        column.addWidget(self._line)

    def show_plan(self, plan: FitPlan | None, image: QImage | None, error: str) -> None:
        """Show another result; without an image it is on its way, or an error says why there is none."""
        self._picture.show_image(image, is_failed=bool(error))
        role = "danger" if error else "warning" if plan is not None and plan.is_upscaled else "small"
        if self._line.property("role") != role:
            set_role(self._line, role)
        self._line.setText(error or (plan_text(plan) if plan is not None else ""))


class _Picture(QWidget):
    """An image as large as the place allows, never larger than it is, unless it is tiny."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._is_failed = False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(80)
        theme.signals.changed.connect(self.update)

    def show_image(self, image: QImage | None, *, is_failed: bool) -> None:
        """Show another image, or a sign."""
        self._image, self._is_failed = image, is_failed
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A square of the usual width."""
        return QSize(320, 280)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """The image in the middle, on a ground that shows its edges."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(self.rect(), theme.RADIUS, theme.RADIUS)
        if self._image is None:
            sign = icons.pixmap("error" if self._is_failed else "image", 32, tokens.faint, self.devicePixelRatioF())
            painter.drawPixmap(self.rect().center().x() - 16, self.rect().center().y() - 16, sign)
            return
        room = self.rect().adjusted(6, 6, -6, -6)
        ratio = self.devicePixelRatioF()
        size = self._image.size().scaled(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        shown = self._image
        if size.width() * ratio < shown.width():  # The painter alone would leave pixels out.
            shown = shown.scaled(
                size * ratio, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
        painter.drawImage(place, shown)


def plan_text(plan: FitPlan) -> str:
    """What becomes of a picture, in one line: size, what is cut away, what is filled in, how much it is enlarged."""
    parts = [f"{plan.target_px[0]} × {plan.target_px[1]}"]
    percent = round(plan.cropped_share * 100)
    if percent:
        parts.append(tr("{percent} % cropped", percent=percent))
    if plan.is_padded:
        parts.append(tr("edges filled in"))
    if plan.is_upscaled:
        parts.append(enlarged_text(plan.scale))
    return " · ".join(parts)
