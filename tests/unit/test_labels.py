"""What values of options are called in sentences and tables."""

from __future__ import annotations

import pytest

from core.config.labels import _ONE, _SPECIAL, specs_by_key, value_text
from core.text import set_language


@pytest.mark.parametrize(
    ("key", "value", "english", "chinese"),
    [
        ("dataset.repeats", 0, "Automatic", "自动"),
        ("dataset.repeats", 5, "5", "5"),
        ("validation.pictures", -1, "Automatic", "自动"),
        ("validation.pictures", 0, "0", "0"),
        ("sampling.every_n_epochs", 0, "off", "关"),
        ("sampling.every_n_epochs", 1, "1 epoch", "1 轮"),
        ("sampling.every_n_epochs", 4, "4 epochs", "4 轮"),
        ("sampling.every_n_steps", 1, "1 step", "1 步"),
        ("loss.noise_offset", 0.05, "0.05", "0.05"),
        ("network.train_text_encoder", True, "on", "开"),
    ],
)
def test_values_are_said_in_words(key: str, value: object, english: str, chinese: str) -> None:
    assert value_text(specs_by_key()[key], value) == english
    set_language("zh")
    assert value_text(specs_by_key()[key], value) == chinese


def test_every_special_value_is_one_that_its_option_may_have() -> None:
    for key, value in _SPECIAL:
        spec = specs_by_key()[key]
        assert spec.kind == "int"
        assert spec.minimum is not None
        assert spec.minimum <= value
        assert str(value) in spec.description
    assert set(_ONE) <= {spec.unit for spec in specs_by_key().values()}
