"""Users whom a reverse proxy has checked: `PROXY_SECRET=... hypercorn dashboard.proxy_auth:app`.

A header that says who somebody is can be sent by anybody. So the proxy sets the headers itself, also when they
came empty, and adds a secret that only it and the application know. In nginx, with the users in a file:

    location /admin/ {
        auth_basic "The shop";
        auth_basic_user_file /etc/nginx/users;
        proxy_set_header X-Remote-User $remote_user;
        proxy_set_header X-Proxy-Secret "the value of PROXY_SECRET";
        proxy_set_header Host $http_host;
        proxy_pass http://127.0.0.1:8000;
    }
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncGenerator

from quart import Quart, Request

from dashboard.shop import inspector, opened
from lagoqueue_dashboard import Access, Viewer, dashboard

SECRET = os.environ["PROXY_SECRET"].encode()
OPERATORS = {"ada"}


async def authorize(request: Request) -> Viewer | None:
    """Let in whom the proxy names; only operators may change something."""
    sent = request.headers.get("X-Proxy-Secret", "").encode("latin-1")
    user = request.headers.get("X-Remote-User", "")
    if not user or not hmac.compare_digest(sent, SECRET):
        return None
    return Viewer(Access.FULL if user in OPERATORS else Access.READ, user)


app = Quart(__name__)
app.secret_key = os.environ.get("SECRET_KEY")
app.register_blueprint(dashboard(inspector, authorize=authorize), url_prefix="/admin")


@app.while_serving
async def shop() -> AsyncGenerator[None, None]:
    async with opened():
        yield
