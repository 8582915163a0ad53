"""Starts the tool that a task asks for."""

from __future__ import annotations

import contextlib

from core.control import Control
from core.events import Finished, JobStarted
from core.files import remove_left_overs
from core.tools import tasks
from core.tools.steps import StoppedError, ToolEvents


def run_tool(task: tasks.ToolTask, control: Control) -> ToolEvents:
    """The events of a tool. Ends with `Finished`, whose `output` is the file or folder that was made.

    Raises:
        UserError: A file cannot be used, or the target exists.
    """
    yield JobStarted(job="tool")
    if not isinstance(task, (tasks.InspectTask, tasks.VerifyTask)):
        # Half a base model of a tool that was killed is many gigabytes; what cannot be removed does no harm.
        with contextlib.suppress(OSError):
            remove_left_overs(task.output.parent)
    try:
        yield from _events(task, control)
    except StoppedError:
        yield Finished(stopped=True)


def _events(task: tasks.ToolTask, control: Control) -> ToolEvents:
    if isinstance(task, tasks.InspectTask):
        from core.tools.inspecting import inspect

        return inspect(task, control)
    if isinstance(task, tasks.VerifyTask):
        from core.tools.verify import verify

        return verify(task, control)
    if isinstance(task, tasks.ConvertTask):
        from core.tools.convert import convert

        return convert(task, control)
    if isinstance(task, tasks.ResizeTask):
        from core.tools.resize import resize

        return resize(task, control)
    if isinstance(task, tasks.MergeTask):
        from core.tools.merge import merge

        return merge(task, control)
    if isinstance(task, tasks.BakeTask):
        from core.tools.bake import bake

        return bake(task, control)
    if isinstance(task, tasks.ExtractTask):
        from core.tools.extract import extract

        return extract(task, control)
    from core.tools.edit import edit

    return edit(task, control)
