"""The Dagster UI serves the documentation of its version, and nothing beside it."""

import re
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from ops_pipeline.orchestration.webserver import documentation
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.documentation import Documentation
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.middleware import SignInMiddleware
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.orchestration.webserver.sessions import Sessions
from ops_pipeline.settings import Settings
from tests.unit.test_links import PAGES, REPOSITORY, anchors
from tests.unit.test_webserver_middleware import BEHIND, NO_DATABASE, OURS

DOCS = REPOSITORY / "docs"


@pytest.fixture
def client() -> TestClient:
    """A browser in which nobody is signed in."""
    app = SignInMiddleware(
        BEHIND,
        addresses=Addresses.of(Settings()),
        keys=KnownKeys(NO_DATABASE),
        evidence=Evidence(NO_DATABASE),
        sessions=Sessions(),
        find_run=lambda _: None,
    )
    return TestClient(app, base_url=OURS, follow_redirects=False)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if DOCS in page.parents],
    ids=lambda page: page.relative_to(DOCS).as_posix(),
)
def test_a_page_has_the_anchors_that_links_to_it_name(client: TestClient, page: Path) -> None:
    shown = client.get(f"/docs/{page.relative_to(DOCS).as_posix()}")

    assert shown.status_code == 200
    assert anchors(page) <= set(re.findall(r'<h\d id="([^"]*)">', shown.text))


def test_the_default_link_of_a_failure_leads_to_its_section(client: TestClient) -> None:
    address = Settings().public_runbook_url

    assert address == f"{OURS}/docs/runbook.md"
    assert '<h2 id="needs_approval">' in client.get(address).text


def test_a_page_is_rendered_once_and_has_a_nonce_of_its_own_each_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/docs/security.md")
    monkeypatch.setattr(documentation, "MarkdownIt", None)

    again = client.get("/docs/security.md")

    assert again.status_code == 200
    nonce = "content-security-policy"
    assert first.headers[nonce] != again.headers[nonce]


def test_pictures_are_served_and_the_short_address_leads_to_the_index(client: TestClient) -> None:
    assert client.get("/docs/images/run.png").headers["content-type"] == "image/png"
    assert client.get("/docs").headers["location"] == "/docs/index.md"


@pytest.mark.parametrize(
    "path",
    ["/docs/absent.md", "/docs/images", "/docs/%2e%2e/pyproject.toml", "/docs//etc/passwd", "/docs/%00",
     f"/docs/{'a' * 300}", f"/docs/{'a/' * 3000}", "/docs/%ff", "/docs/index.md/x"],
)  # fmt: skip
def test_what_is_no_page_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert "begins at /docs/index.md" in answer.text


def test_a_file_outside_of_the_folder_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("# Secret")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "link.md").symlink_to(tmp_path / "secret.md")
    pages = Documentation(tmp_path / "docs")

    for path in ("/docs/../secret.md", "/docs/link.md", f"/docs/{tmp_path}/secret.md"):
        request = HTTPConnection({"type": "http", "method": "GET", "path": path})
        with pytest.raises(Refusal, match="not a page"):
            pages.answer(request)


def test_another_host_reads_no_documentation(client: TestClient) -> None:
    assert client.get("/docs/index.md", headers={"Host": "elsewhere.example"}).status_code == 400
