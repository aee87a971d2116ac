"""The gateway's application: what it is made of, and its life from start to stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from contract.artifacts import Artifacts
from contract.settings import Settings
from contract.store import Store, check_schema
from service.auth import require_key
from service.docs import mount_docs
from service.doorbell import Doorbell
from service.endpoints import (
    artifacts,
    catalog,
    curves,
    datasets,
    diagnoses,
    events,
    flow,
    forks,
    health,
    jobs,
)
from service.middleware import AnswerHeaders, BodyLimitProblem
from service.nul import refuse_nul
from service.openapi import TAGS, describe, problem_responses
from service.problems import install_problem_handlers
from service.streams import Streams
from service.sweeper import Sweeper

_DESCRIPTION = """Trains recurrent networks on sequences, and says *why* a training run fails and
what fixes it. POST a job spec — dataset, cell, remedy — then read its curves, its gradient flow
through time and its diagnosis; each prescription is a patch to send to `/fork`."""

# Room for the multipart frame around a file of the largest size.
_MULTIPART_FRAME_BYTES = 65_536


def create_app(settings: Settings) -> FastAPI:
    """The application; it opens the database and starts its threads when it is started."""
    app = FastAPI(
        title="Unroll",
        version="1",
        description=_DESCRIPTION,
        openapi_tags=TAGS,
        servers=[{"url": "/"}],
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.settings = settings
    # FastAPI's documented way to extend the document.
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.add_middleware(BodyLimitProblem)
    app.add_middleware(AnswerHeaders)
    install_problem_handlers(app)
    _include_endpoints(app, settings)
    mount_docs(app)
    return app


def _include_endpoints(app: FastAPI, settings: Settings) -> None:
    guards = [Depends(require_key)] if settings.api_keys else []
    rejections = (401, 503) if settings.api_keys else (503,)
    # Limits are set on routers, not on the app, whose limiter answers past every middleware.
    guarded = APIRouter(
        dependencies=[*guards, Depends(refuse_nul)],
        responses=problem_responses(422, *rejections),
        max_body_size=settings.max_body_bytes,
    )
    one_job = problem_responses(404)
    guarded.include_router(jobs.router, responses=problem_responses(400, 404, 409, 413))
    guarded.include_router(forks.router, responses=problem_responses(400, 404, 413))
    for resource in (curves, flow, events, diagnoses, artifacts):
        guarded.include_router(resource.router, responses=one_job)
    guarded.include_router(datasets.router, responses=problem_responses(404, 409))
    guarded.include_router(catalog.router)
    app.include_router(guarded)
    app.include_router(
        datasets.upload_router,
        dependencies=guards,
        responses=problem_responses(400, 413, 422, 507, *rejections),
        max_body_size=settings.max_upload_bytes + _MULTIPART_FRAME_BYTES,
    )
    app.include_router(health.router, responses=problem_responses(503))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    store = Store(settings.resolved_database_url())
    check_schema(store.engine)
    doorbell = Doorbell(settings.resolved_redis_url())
    sweeper = Sweeper(store, doorbell, settings)
    app.state.store, app.state.doorbell = store, doorbell
    app.state.streams = Streams(settings.max_event_streams)
    app.state.artifacts = Artifacts(settings.resolved_artifacts_url())
    doorbell.start()
    sweeper.start()
    yield
    sweeper.stop()
    doorbell.stop()
    store.close()


def _operation_id(route: APIRoute) -> str:
    """The function's name, so that generated clients have readable methods."""
    return route.name
