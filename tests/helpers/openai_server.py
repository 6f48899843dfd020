"""A real HTTP server for tests that speaks the OpenAI chat protocol and fails as told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class State:
    """What the server does and saw.

    ``answer(question, nth)`` returns a text, a status, (status, headers), ((status, headers), text), "hang up",
    "not json" or "cut", or the whole body as a dict. With ``whole`` it is ``answer(body)``, of the whole request.
    """

    def __init__(self, answer):
        self.answer = answer
        self.models = ["m"]  # that it says it serves
        self.asked = []  # questions in order
        self.bodies = []
        self.headers = []
        self.open = self.most_open = 0
        self.lock = threading.Lock()

    def questions(self):
        return sorted(set(self.asked))


@contextmanager
def serve(answer, whole=False):
    state = State(answer)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            data = json.dumps({"data": [{"id": name} for name in state.models]}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            content = body["messages"][-1]["content"]
            text = content if isinstance(content, str) else content[-1]["text"]
            asked = "Question: " in text  # else the last paragraph is what the request is about
            question = text.split("Question: ")[1].split("\n")[0] if asked else text.rsplit("\n\n", 1)[-1]
            with state.lock:
                state.asked.append(question)
                state.bodies.append(body)
                state.headers.append(dict(self.headers))
                state.open += 1
                state.most_open = max(state.most_open, state.open)
                nth = state.asked.count(question)
            try:
                result = state.answer(body) if whole else state.answer(question, nth)
            finally:
                with state.lock:
                    state.open -= 1
            if result == "hang up":
                self.connection.close()
                return
            status, headers, reply = 200, {}, result
            if isinstance(result, int):
                status, reply = result, "no"
            elif isinstance(result, tuple):
                (status, headers), reply = result if isinstance(result[0], tuple) else (result, "no")
            finish = "length" if reply == "cut" else "stop"
            message = {"choices": [{"message": {"content": reply}, "finish_reason": finish}]}
            message = reply if isinstance(reply, dict) else message
            data = b"<html>" if reply == "not json" else json.dumps(message).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
