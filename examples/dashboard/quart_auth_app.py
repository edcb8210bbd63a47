"""Users who log in with quart-auth: `PASSWORD=... SECRET_KEY=... hypercorn dashboard.quart_auth_app:app`, then open /admin/queues/."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncGenerator

from quart import Quart, Request, redirect, request, url_for
from quart_auth import AuthUser, QuartAuth, current_user, login_user, logout_user
from werkzeug.wrappers import Response

from dashboard.shop import inspector, opened
from lagoqueue_dashboard import Access, Viewer, dashboard

ACCESS = {"ada": Access.FULL, "bob": Access.READ}
PASSWORD = os.environ["PASSWORD"].encode()  # one for all: an application has one for each, and keeps hashes

app = Quart(__name__)
app.secret_key = os.environ["SECRET_KEY"]
QuartAuth(app, cookie_secure=False)  # leave it out where there is TLS


async def authorize(request: Request) -> Viewer | Response:
    """Ask who has not logged in to do so; somebody without a place in ACCESS sees nothing."""
    user = current_user.auth_id
    if user is None:
        return redirect(url_for("login"))
    return Viewer(ACCESS.get(user, Access.NONE), user)


app.register_blueprint(dashboard(inspector, authorize=authorize), url_prefix="/admin")


@app.while_serving
async def shop() -> AsyncGenerator[None, None]:
    async with opened():
        yield


@app.get("/login")
async def login() -> str:
    return """<!doctype html><title>Log in</title><form method="post">
      <label>Name <input name="name"></label> <label>Password <input name="password" type="password"></label>
      <button>Log in</button></form>"""


@app.post("/login")
async def log_in() -> Response | tuple[str, int]:
    form = await request.form
    if not hmac.compare_digest(form.get("password", "").encode(), PASSWORD):
        return "That is not the password.", 403
    login_user(AuthUser(form["name"]))
    return redirect(url_for("lagoqueue.overview"))


@app.post("/logout")
async def log_out() -> Response:
    logout_user()
    return redirect(url_for("login"))
