"""In a FastAPI application, for this computer only: `hypercorn dashboard.fastapi_mount:api`, then open /admin/."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from dashboard.shop import inspector, opened
from lagoqueue_dashboard import dashboard, stand_alone


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with opened():
        yield


api = FastAPI(lifespan=lifespan)
api.mount("/admin", stand_alone(dashboard(inspector)))


@api.get("/")
async def index() -> dict[str, str]:
    return {"name": "the shop"}
