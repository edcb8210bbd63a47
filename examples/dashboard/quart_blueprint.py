"""In a Quart application, for this computer only: `hypercorn dashboard.quart_blueprint:app`, then open /admin/queues/."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from quart import Quart

from dashboard.shop import inspector, opened
from lagoqueue_dashboard import dashboard

app = Quart(__name__)
app.secret_key = os.environ.get("SECRET_KEY")  # signs the forms; without one, a restart makes open pages reload
app.register_blueprint(dashboard(inspector), url_prefix="/admin")


@app.while_serving
async def shop() -> AsyncGenerator[None, None]:
    async with opened():
        yield


@app.get("/")
async def index() -> str:
    return "the shop"
