"""The web server of the Dagster UI as a process, in front of an application that answers at once."""

import sys

from ops_pipeline import settings
from ops_pipeline.orchestration.webserver import server
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.middleware import SignInMiddleware
from ops_pipeline.orchestration.webserver.sessions import Sessions
from ops_pipeline.serving import protocol
from tests.unit.test_webserver_middleware import BEHIND, NO_DATABASE

if __name__ == "__main__":
    if seconds := sys.argv[1:]:
        protocol.HEAD_SECONDS = protocol.BODY_SECONDS = float(seconds[0])
    configured = settings.load()
    most, evidence = server.most_clients(), Evidence(NO_DATABASE)
    app = SignInMiddleware(
        BEHIND,
        addresses=Addresses.of(configured),
        keys=KnownKeys(NO_DATABASE),
        evidence=evidence,
        sessions=Sessions(),
        find_run=lambda _: None,
        most_connections=most,
    )
    server.run(app, configured.dagster_host, configured.dagster_port, most=most, during=evidence)
