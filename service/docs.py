"""`/docs`: Swagger UI from our own files, with no request to anyone else."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

ASSETS: Final = Path(__file__).resolve().parent / "ui" / "swagger"
_ASSETS_PATH: Final = "/ui/swagger"

router = APIRouter(include_in_schema=False)


def mount_docs(app: FastAPI) -> None:
    """Serve the page and its files."""
    app.mount(_ASSETS_PATH, StaticFiles(directory=ASSETS), name="swagger")
    app.include_router(router)


@router.get("/")
def redirect_to_docs(request: Request) -> RedirectResponse:
    """Lead people to the interactive documentation."""
    return RedirectResponse(f"{_root(request)}/docs")


@router.get("/docs")
def show_docs(request: Request) -> HTMLResponse:
    """The interactive documentation."""
    root = _root(request)
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="Unroll API",
        swagger_js_url=f"{root}{_ASSETS_PATH}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_ASSETS_PATH}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_ASSETS_PATH}/favicon-32x32.png",
        swagger_ui_parameters={
            "tryItOutEnabled": True,
            "displayRequestDuration": True,
            "filter": True,
            "defaultModelsExpandDepth": 0,
        },
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(html: str) -> str:
    """Own files only, and the one inline script of the page by its hash."""
    script = html.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'self'; script-src 'self' 'sha256-{digest}'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    )


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
