"""What endpoints are given: typed aliases of the application's parts."""

from typing import Annotated

from fastapi import Depends, Request

from contract.artifacts import Artifacts
from contract.settings import Settings
from contract.store import Store
from service.doorbell import Doorbell


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _doorbell(request: Request) -> Doorbell:
    doorbell: Doorbell = request.app.state.doorbell
    return doorbell


def _artifacts(request: Request) -> Artifacts:
    artifacts: Artifacts = request.app.state.artifacts
    return artifacts


SettingsDep = Annotated[Settings, Depends(_settings)]
StoreDep = Annotated[Store, Depends(_store)]
DoorbellDep = Annotated[Doorbell, Depends(_doorbell)]
ArtifactsDep = Annotated[Artifacts, Depends(_artifacts)]
