import pytest
from pydantic import ValidationError

from contract.settings import Settings


def test_open_gateway_is_refused_beyond_loopback() -> None:
    """Without a key, a host that others can reach is refused, and the reason names the setting."""
    with pytest.raises(ValidationError, match="UNROLL_API_KEYS"):
        Settings(host="0.0.0.0")  # noqa: S104 - what is refused


def test_keys_open_any_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys from the environment any host will do; blanks between commas are no keys."""
    monkeypatch.setenv("UNROLL_API_KEYS", "first, second,,")
    monkeypatch.setenv("UNROLL_HOST", "0.0.0.0")  # noqa: S104 - what is allowed

    settings = Settings()

    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second"]


def test_secrets_are_not_printed() -> None:
    """Passwords in URLs and keys do not show when settings are printed."""
    settings = Settings(
        api_keys="key-hunter2",
        database_url="postgresql+psycopg://u:hunter2@db/unroll",
    )

    assert "hunter2" not in repr(settings)
