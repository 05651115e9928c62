"""What `fedcart deploy` says of a server that is none, or does not answer."""

import http.server
import json
import threading

import pytest

from infra.local.ports import free_ports
from tests.flows.cli.in_process import call_main


@pytest.fixture
def no_prefect():
    """The API of an HTTP server that is no Prefect server."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_error(501)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


def refused(monkeypatch, capsys, tmp_path, server):
    options = ["deploy", "--recipe", "smoke", "--server", server, "--json"]
    done = call_main(monkeypatch, capsys, options, FEDCART_HOME=str(tmp_path))
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)["error"]["code"]


@pytest.mark.parametrize("server", ["not a url", "prefect:4200", "ftp://prefect/api"])
def test_what_is_no_url(monkeypatch, capsys, tmp_path, server):
    assert refused(monkeypatch, capsys, tmp_path, server) == (2, "server-invalid")


def test_a_server_that_does_not_answer(monkeypatch, capsys, tmp_path):
    (port,) = free_ports(1)
    away = f"http://127.0.0.1:{port}/api"
    assert refused(monkeypatch, capsys, tmp_path, away) == (75, "prefect-unreachable")


def test_a_server_that_is_no_prefect_server(monkeypatch, capsys, tmp_path, no_prefect):
    assert refused(monkeypatch, capsys, tmp_path, no_prefect) == (1, "prefect-refused")
