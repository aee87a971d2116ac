"""The catalog of what can be asked for."""

from fastapi import APIRouter

from service.catalog import Catalog, make_catalog

router = APIRouter(prefix="/v1/catalog", tags=["catalog"])


@router.get("")
def get_catalog() -> Catalog:
    """List every dataset, cell, remedy and optimizer: what it is, its parameters, its source."""
    return make_catalog()
