"""Behind a reverse proxy that takes a prefix off: `PROXY_SECRET=... hypercorn dashboard.prefix_proxy:app`.

In nginx it is the slash at the end of `proxy_pass` that takes `/intern/jobs/` off:

    location /intern/jobs/ {
        proxy_pass http://127.0.0.1:8000/;
        proxy_set_header Host $http_host;
        ...who the user is, as in proxy_auth.py
    }
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from dashboard.proxy_auth import authorize
from dashboard.shop import inspector, opened
from lagoqueue_dashboard import Prefixed, dashboard, stand_alone

alone = stand_alone(dashboard(inspector, authorize=authorize))
alone.secret_key = os.environ.get("SECRET_KEY")


@alone.while_serving
async def shop() -> AsyncGenerator[None, None]:
    async with opened():
        yield


app = Prefixed(alone, "/intern/jobs")
