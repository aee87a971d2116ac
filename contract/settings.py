"""Every setting, from `UNROLL_*` environment variables."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(BaseSettings):
    """The service's settings; each is `UNROLL_` and the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="UNROLL_", frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    data_dir: Path = Path("data")
    """Folder of the embedded database, the bundled broker and the stored files."""
    database_url: SecretStr | None = None
    """SQLAlchemy URL: `sqlite:///…` or `postgresql+psycopg://…`; unset: SQLite in `data_dir`."""
    redis_url: SecretStr | None = None
    """`redis://…`, `rediss://…` or `redis+socket://…`; unset: workers poll the database."""
    artifacts_url: str | None = None
    """Folder or fsspec URL for datasets and models; unset: `artifacts` in `data_dir`."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Bearer keys, separated by commas; none: open, which only a loopback host allows."""
    host: str = "127.0.0.1"
    """Address the gateway listens on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Port the gateway listens on."""
    log_level: str = "INFO"
    """Least level that is logged."""

    lease_s: Annotated[float, Field(gt=0)] = 20.0
    """Seconds after which a silent worker has lost its job."""
    heartbeat_s: Annotated[float, Field(gt=0)] = 0.5
    """Seconds between two looks of a worker at its jobs' rows: renewal, cancel."""
    sweep_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two sweeps of the gateway for waiting and lost jobs."""
    poll_s: Annotated[float, Field(gt=0)] = 1.0
    """Seconds between two looks of an idle worker into the database, doorbell or not."""
    flush_s: Annotated[float, Field(gt=0)] = 0.5
    """Seconds for which a worker may hold back curve rows."""
    cancel_grace_s: Annotated[float, Field(ge=0)] = 2.0
    """Seconds between asking a training process to end, or to drop a job, and killing it."""
    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of one training process."""
    max_pack_cpu: Annotated[int, Field(ge=1)] = 16
    """Most jobs of equal shapes that a CPU worker trains together."""
    max_pack_cuda: Annotated[int, Field(ge=1)] = 64
    """Most jobs of equal shapes that a GPU worker trains together."""
    gpu_kernels: bool = False
    """Whether a GPU worker uses the Triton kernels, not measured yet; needs a C compiler."""

    activation_bytes: Annotated[int, Field(ge=1)] = 268_435_456
    """Memory for the states that a job's backward pass needs; beyond it they are computed again."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Claims of one job before it fails as `worker_lost`."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    """Largest request body, uploads apart."""
    max_upload_bytes: Annotated[int, Field(ge=1)] = 104_857_600
    """Largest upload."""
    max_rows: Annotated[int, Field(ge=1)] = 2_000_000
    """Most rows of a dataset."""
    max_columns: Annotated[int, Field(ge=1)] = 256
    """Most columns of a dataset."""
    max_unpacked_bytes: Annotated[int, Field(ge=1)] = 1_073_741_824
    """Largest Parquet file once it is unpacked."""
    max_parameters: Annotated[int, Field(ge=1)] = 50_000_000
    """Most parameters of one network."""
    max_state_floats: Annotated[int, Field(ge=1)] = 500_000_000
    """Most numbers of one batch's states, and of its answers if they are due at every step."""
    max_queued_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Most jobs that may wait at once."""
    max_event_streams: Annotated[int, Field(ge=1)] = 100
    """Most event streams that one key may have open at a gateway."""

    @model_validator(mode="before")
    @classmethod
    def _split_api_keys(cls, values: dict[str, object]) -> dict[str, object]:
        keys = values.get("api_keys")
        if isinstance(keys, str):
            values["api_keys"] = tuple(key.strip() for key in keys.split(",") if key.strip())
        return values

    @model_validator(mode="after")
    def _open_on_loopback_only(self) -> Self:
        if not self.api_keys and self.host not in LOOPBACK_HOSTS:
            raise ValueError(
                f"host {self.host} is reachable from outside, but no key is set: "
                "set UNROLL_API_KEYS, or listen on 127.0.0.1"
            )
        return self

    def resolved_database_url(self) -> str:
        """The database's URL, the embedded one if none is set."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'unroll.db'}"

    def resolved_artifacts_url(self) -> str:
        """Where files are stored, a folder of `data_dir` if nothing is set."""
        return self.artifacts_url or str(self.data_dir.resolve() / "artifacts")

    def resolved_redis_url(self) -> str | None:
        """The broker's URL, or None."""
        return self.redis_url.get_secret_value() if self.redis_url else None
