"""The server of a page for this computer: whoever has not the address, or comes from another page, gets nothing."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest

from radrl.errors import UserError
from radrl.support.local_server import LocalServer, Reply, Route, json_reply


@pytest.fixture
def server():
    def post(body: bytes, kind: str) -> Reply:
        if body == b"mistake":
            raise UserError("write it\notherwise")
        if body == b"fault":
            raise KeyError("Jane Doe")
        return json_reply([len(body), kind])

    with LocalServer({"": Route(lambda *_: Reply(b"page", "text/html")), "post": Route(post, 100)}) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(server, method="GET", path="", body=None, **headers):
    """Returns status, body and headers of a reply; ``path`` follows the token, unless it begins with a slash."""
    client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    place = path if path.startswith("/") else f"/{server.token}/{path}"
    client.request(method, place, body, {name.replace("_", "-"): text for name, text in headers.items()})
    reply = client.getresponse()
    found = reply.status, reply.read(), dict(reply.getheaders())
    client.close()
    return found


def test_the_page_and_what_guards_it(server):
    status, body, headers = ask(server)
    assert (status, body) == (200, b"page")
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) >= 43
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Python" not in headers["Server"]
    assert ask(server, "POST", "post", b"abc", Content_Type="x/y")[:2] == (200, b'[3, "x/y"]')


def test_it_listens_on_this_computer_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(UserError, match=r"--port \d+: .*choose another"):
        LocalServer({}, server.server_port)


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (404, {"path": "/"}),
        (404, {"path": "/x/"}),
        (404, {"path": "/TOKEN"}),
        (404, {"path": "/TOKENx/"}),
        (404, {"path": "other"}),
        (403, {"Host": "evil.example:80"}),  # DNS rebinding: the name leads here, and is not ours
        (403, {"Host": "127.0.0.1"}),
        (403, {"method": "POST", "path": "post", "body": b"a", "Origin": "http://evil.example"}),
        (403, {"method": "POST", "path": "post", "body": b"a", "Origin": "null"}),
        (405, {"path": "post"}),
        (405, {"method": "POST", "body": b"a"}),
        (413, {"method": "POST", "path": "post", "body": b"a" * 101}),
        (411, {"method": "POST", "path": "post", "body": iter([b"a"]), "Transfer_Encoding": "chunked"}),
        (411, {"method": "POST", "path": "post", "Content_Length": "-1"}),
        (501, {"method": "PUT", "path": "post", "body": b"a"}),
        (501, {"method": "OPTIONS", "path": "post"}),
    ],
)
def test_what_is_refused(server, status, request_):
    if "path" in request_:
        request_ = {**request_, "path": request_["path"].replace("TOKEN", server.token)}
    found, body, headers = ask(server, **request_)
    assert found == status
    assert list(json.loads(body)) == ["error"]
    assert server.token not in body.decode()
    assert "Access-Control-Allow-Origin" not in headers


def test_its_own_origin_and_name_are_served(server):
    host = f"localhost:{server.server_port}"
    assert ask(server, "POST", "post", b"a", Host=host, Origin=f"http://{host}")[0] == 200


def test_a_mistake_is_said_and_a_fault_is_named_by_its_type_alone(server, capfd):
    assert ask(server, "POST", "post", b"mistake")[:2] == (400, b'{"error": "write it otherwise"}')
    status, body, _ = ask(server, "POST", "post", b"fault")
    assert status == 500
    assert b"Jane" not in body
    with socket.create_connection(("127.0.0.1", server.server_port)) as hung_up:
        hung_up.sendall(f"POST /{server.token}/post HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n".encode())
    ask(server)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "radrl: a request failed (KeyError)\n")


def test_what_no_browser_sends_is_refused_too(server, capfd):
    host = f"Host: 127.0.0.1:{server.server_port}"
    page, post = f"/{server.token}/", f"/{server.token}/post"
    for status, said in (
        (400, f"POST {post} HTTP/1.1\r\n{host}\r\nContent-Length: 9\r\n\r\nabc"),  # cut off: no route sees it
        (404, f"GET /\xe9/ HTTP/1.1\r\n{host}\r\n\r\n"),
        (403, f"GET {page} HTTP/1.1\r\n{host}\r\nHost: evil.example\r\n\r\n"),
        (403, f"GET {page} HTTP/1.1\r\n\r\n"),
        (411, f"POST {post} HTTP/1.1\r\n{host}\r\nContent-Length: \xb3\r\n\r\nabc"),
        (414, f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as client:
            client.sendall(said.encode("latin-1"))
            client.shutdown(socket.SHUT_WR)
            assert client.makefile("rb").readline().split()[1:2] == [str(status).encode()], said[:40]
    assert capfd.readouterr() == ("", "")
