import re
from pathlib import Path

from contract.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_documented_as_it_is() -> None:
    """The page has a row for each setting, with its default and its meaning, and no other row."""
    rows = re.findall(r"^\| `UNROLL_(\w+)` \| `(.*)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)

    expected = [
        (name.upper(), shown(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]

    assert rows == expected


def shown(default: object) -> str:
    """A default as the page writes it."""
    return "unset" if default is None or default == () else str(default)
