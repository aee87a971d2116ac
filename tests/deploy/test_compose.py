import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(document["services"])


def test_only_the_gateway_is_reachable_and_only_from_this_machine(
    services: dict[str, dict[str, Any]],
) -> None:
    """No port is published but the gateway's, on loopback."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])


def test_long_running_services_have_health_checks(services: dict[str, dict[str, Any]]) -> None:
    """`up --wait` can tell whether each service that stays works."""
    lasting = set(services) - {"migrate", "artifacts"}

    assert {name for name in lasting if "healthcheck" in services[name]} == lasting


def test_worker_check_does_not_find_itself(services: dict[str, dict[str, Any]]) -> None:
    """The worker's health check looks for a word that its own command line does not hold."""
    kind, command = services["worker"]["healthcheck"]["test"]
    pattern = command.split("'")[1]

    assert kind == "CMD-SHELL"
    assert re.search(pattern, "from multiprocessing.forkserver import main")
    assert not re.search(pattern, command)


def test_one_shots_are_awaited_by_what_stays(services: dict[str, dict[str, Any]]) -> None:
    """`up --wait` takes an exit for a failure unless a lasting service waits for it."""
    for name in ("gateway", "worker"):
        awaited = services[name]["depends_on"]
        assert {
            needed
            for needed, how in awaited.items()
            if how["condition"] == "service_completed_successfully"
        } == {"migrate", "artifacts"}


@pytest.mark.parametrize("name", ["gateway", "worker", "migrate"])
def test_our_containers_hold_no_rights(services: dict[str, dict[str, Any]], name: str) -> None:
    """No capabilities, no new privileges, and nothing writable but volumes and /tmp."""
    service = services[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - a mount of the container's own


def test_worker_gets_time_to_hand_its_job_back(services: dict[str, dict[str, Any]]) -> None:
    """A stopped worker has a minute to end its training and queue the job again."""
    assert services["worker"]["stop_grace_period"] == "60s"


def test_every_secret_comes_from_the_environment(services: dict[str, dict[str, Any]]) -> None:
    """Passwords and keys are variables with a default for this machine, in compose only."""
    environments = [service.get("environment", {}) for service in services.values()]
    secrets = [
        value
        for environment in environments
        for name, value in environment.items()
        if re.search("PASSWORD|AUTH|KEYS|DATABASE_URL|REDIS_URL", name)
    ]

    assert len(secrets) == 9
    assert all(re.search(r"\$\{[A-Z_]+:-local-only\}", value) for value in secrets)
    assert "local-only" not in (ROOT / "Dockerfile").read_text()


def test_every_service_has_an_init_process(services: dict[str, dict[str, Any]]) -> None:
    """Children that outlive their parents are reaped."""
    assert all(service.get("init") is True for service in services.values())


def test_gateway_and_worker_wait_for_the_migration(services: dict[str, dict[str, Any]]) -> None:
    """Nothing touches the database before the one-shot migration has succeeded."""
    for name in ("gateway", "worker"):
        condition = services[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_broker_asks_for_a_password(services: dict[str, dict[str, Any]]) -> None:
    """Redis is started with a password that the environment can set."""
    command = services["redis"]["command"]

    assert "REDIS_PASSWORD" in command[command.index("--requirepass") + 1]


def test_gpu_file_reserves_the_gpus_for_the_worker_alone() -> None:
    """The GPU file adds a reservation and the device, to the worker and nothing else."""
    document = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())

    (name,) = document["services"]
    worker = document["services"][name]
    assert name == "worker"
    assert worker["command"][-2:] == ["--device", "cuda"]
    assert worker["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


@pytest.mark.parametrize("files", [[], ["docker-compose.gpu.yml"]])
def test_compose_accepts_the_files(files: list[str]) -> None:
    """`docker compose config` finds nothing wrong; without it, each file is read as YAML."""
    names = ["docker-compose.yml", *files]
    if not has_compose():
        assert all(yaml.safe_load((ROOT / name).read_text())["services"] for name in names)
        return
    arguments = [f"--file={name}" for name in names]
    check = compose(*arguments, "config", "--quiet")
    assert check.returncode == 0, check.stderr


def has_compose() -> bool:
    """Whether docker is here and has its compose plugin."""
    return shutil.which("docker") is not None and compose("version").returncode == 0


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `docker compose`."""
    return subprocess.run(
        ["docker", "compose", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_images_are_built_from_a_plain_base() -> None:
    """The Dockerfile needs no frontend of its own, and each target runs as an ordinary user."""
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert "# syntax=" not in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"python:3.11-slim", "base"}
    for target in ("gateway", "worker"):
        stage = dockerfile.split(f" AS {target}\n")[1].split("FROM ")[0]
        assert "USER unroll" in stage


def test_worker_has_its_kernels_where_it_can_write(services: dict[str, dict[str, Any]]) -> None:
    """The image's kernels are compiled when it is built, in a place that is a volume later."""
    stage = (ROOT / "Dockerfile").read_text().split(" AS worker\n")[1]
    (place,) = re.findall(r"^ENV NUMBA_CACHE_DIR=(\S+)$", stage, re.MULTILINE)

    assert stage.index("USER unroll") < stage.index("RUN python -m worker.warm_up")
    assert f"kernels:{place}" in services["worker"]["volumes"]


def test_gateway_image_has_no_torch() -> None:
    """Only the worker's stage installs torch."""
    stages = (ROOT / "Dockerfile").read_text().split("FROM ")

    assert ["torch" in stage for stage in stages if " AS gateway" in stage] == [False]
