"""Old settings files keep loading: options that were renamed or moved, oldest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "training.min_snr_gamma": "loss.min_snr_gamma",
    "training.noise_offset": "loss.noise_offset",
    "training.prior_loss_weight": "loss.prior_weight",
}
"""Old `section.name` -> new `section.name`."""


def migrated(values: Mapping[str, Any], renamed: Mapping[str, str] = RENAMED) -> dict[str, Any]:
    """The nested values of a settings file under today's names; a new name already there wins over the old one."""
    result = {
        section: dict(options) if isinstance(options, Mapping) else options for section, options in values.items()
    }
    for old, new in renamed.items():
        old_section, _, old_name = old.partition(".")
        new_section, _, new_name = new.partition(".")
        options = result.get(old_section)
        if isinstance(options, dict) and old_name in options:
            value = options.pop(old_name)
            target = result.setdefault(new_section, {})
            target.setdefault(new_name, value)
    return result
