"""A web server and an application of a plain user: built, run, published and answered, with no root anywhere."""

from __future__ import annotations

import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from tests.e2e.builders import Builder, written
from tests.other_users import PLAIN_ID, become_plain, public_place, python_for_everybody

pytestmark = pytest.mark.slow

DOCKERFILE = """\
FROM debian
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx python3-pip
RUN pip install --break-system-packages flask
COPY <<app.py <<start /srv/
from flask import Flask
app = Flask(__name__)
@app.get("/who")
def who():
    return "flask"
app.py
set -e
flask --app /srv/app.py run &
exec nginx -g "daemon off;"
start
COPY <<site /etc/nginx/sites-available/default
server { listen 80; location / { root /var/www/html; } location /who { proxy_pass http://127.0.0.1:5000; } }
site
RUN echo nginx >/var/www/html/index.html
CMD ["sh", "/srv/start"]
"""


@pytest.fixture
def builder(debian: Path) -> Iterator[Builder]:
    """A plain user without a home, an account or other ids, with the image `debian`."""
    with public_place() as place:
        place.chmod(0o755)
        shutil.copy(debian, place / "debian.tar")
        (place / "plain").mkdir()
        os.chown(place / "plain", PLAIN_ID, PLAIN_ID)
        user = Builder(place / "plain/store", python_for_everybody(), become_plain, PLAIN_ID, IdMode.SINGLE)
        user.run("import", str(place / "debian.tar"), "debian")
        try:
            yield user
        finally:
            user.run("system", "reset", "-f")


def test_a_server_and_an_application_answer_on_a_published_port(builder: Builder) -> None:
    context = written(builder.store.parents[1], "web", DOCKERFILE)
    proxies = [word for name in os.environ if name.lower().endswith("_proxy") for word in ("--build-arg", name)]
    builder.run("build", "-t", "web", *proxies, str(context))
    builder.run("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "web")
    address = builder.run("port", "web", "80").strip()
    assert [_page(f"http://{address}/{path}") for path in ("", "who")] == ["nginx\n", "flask"]
    workers = builder.run("top", "web", "-eo", "pid,args")
    assert "nginx: worker process" in workers
    assert builder.run("ps", "--format", "{{.Names}} {{.Ports}}") == f"web {address}->80/tcp\n"
    builder.run("rm", "-f", "web")
    host, _, port = address.rpartition(":")
    with socket.socket() as client:
        assert client.connect_ex((host, int(port))) != 0


def _page(url: str) -> str:
    """Return a page of a server, which may still be starting."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while True:
        try:
            with opener.open(url, timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
