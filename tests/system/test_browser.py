"""The Dagster UI in a real browser: read what to do, approve, re-execute, backfill, restore, all with clicks.

With OPS_TEST_PICTURES these tests make the pictures of the documentation in that folder.
"""

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from ops_pipeline.access import keys
from ops_pipeline.cli.up import sample_application
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.embedded import Server
from tests.system import foreign_page
from tests.system.browser import RUN_SECONDS, SIZE, Person, chromium
from tests.system.services import Services

pytestmark = pytest.mark.prove

PICTURES = os.environ.get("OPS_TEST_PICTURES")
POLICIES = """
version: 1
databases:
  app:
    url: {app}
    retention:
      - {{table: sessions, column: created_at, keep: 30 days}}
      - {{table: audit_logs, column: created_at, keep: 90 days, partition: day, archive: true}}
    orphans:
      - {{table: memories, column: session_id, references: sessions.id, grace_period: 1 second}}
    vacuum: {{tables: all, analyze: true}}
    guard: {{max_fraction: 0.5}}
  shop:
    url: {shop}
    retention:
      - {{table: carts, column: created_at, keep: 30 days}}
      - {{table: visits, column: created_at, keep: 30 days}}
    guard: {{max_fraction: 0.5}}
"""
TABLES = """
CREATE TABLE carts (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, created_at timestamptz);
CREATE TABLE visits (LIKE carts INCLUDING ALL);
"""
FILL = """
TRUNCATE {table};
INSERT INTO {table} (created_at) SELECT now() - make_interval(days => 40) FROM generate_series(1, 90);
INSERT INTO {table} (created_at) SELECT now() FROM generate_series(1, 10);
"""
RUNS = "{runsOrError {... on Runs {results {runId}}}}"
LAUNCH = """mutation {launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {
  repositoryLocationName: "ops_pipeline", repositoryName: "__repository__", pipelineName: "nightly_shop",
  assetSelection: [{path: ["dagster", "run_history_cleanup"]}]}}) {
  __typename ... on PythonError {message}}}"""
OWN = """query => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({query})}).then(answer => answer.json())"""
ELSEWHERE = "elsewhere.example"
GRAPH_SIZE: ViewportSize = {"width": 1700, "height": 1400}
DAY = datetime.now(UTC).date() - timedelta(days=100)
"""An expired day."""


@pytest.fixture(scope="module")
def urls(server: Server, template: str) -> dict[str, str]:
    names = {"app": "browser_app", "shop": "browser_shop", "dagster": "browser_dagster"}
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return {each: server.url(name) for each, name in names.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Finds this machine under one more name."""
    with chromium(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def services(
    browser: Browser, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Started once for all tests of this file."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "policies.yaml").write_text(POLICIES.format(**urls))
    sample_application.fill(urls["app"], seed=1, scale=0.02, report=lambda _: None)
    with connect(urls["shop"], "test") as connection:
        connection.execute(TABLES)
    running = Services.start(
        folder,
        {
            "OPS_DATABASE_URL": urls["app"],
            "OPS_DAGSTER_DATABASE_URL": urls["dagster"],
            "OPS_DAGSTER_PORT": str(_free_port()),
            "OPS_API_PORT": str(_free_port()),
            "OPS_ARCHIVE_URL": str(folder / "archive"),
        },
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(browser: Browser, services: Services, urls: dict[str, str]) -> Iterator[Person]:
    """Signed in with her key."""
    with connect(urls["app"], "test") as connection:
        key = keys.create(connection, "ada", ["maintenance:write"]).key
    context = browser.new_context(viewport=SIZE, timezone_id="UTC", locale="en-GB")
    address = f"http://127.0.0.1:{services.environment['OPS_DAGSTER_PORT']}"
    person = Person(context.new_page(), address, Path(PICTURES) if PICTURES else None)
    person.sign_in(key)
    yield person
    context.close()


def test_what_the_guard_blocks_is_approved_in_the_launchpad_and_continued_from_failure(
    ada: Person, urls: dict[str, str]
) -> None:
    with connect(urls["shop"], "test") as shop:
        for table in ("carts", "visits"):
            shop.execute(FILL.format(table=table))

        ada.open_job("nightly_shop")
        ada.press("Materialize all")
        ada.page.get_by_text("View", exact=True).click()
        assert ada.run_ended() == "Failure"
        ada.open_failed_step("shop__retention__carts")
        to_do = ada.read_failure()
        plans = {plan.policy: plan.id for plan in approvals.pending(shop)}
        assert to_do["outcome"] == "needs_approval"
        run = "opsctl run --policy shop/retention/carts"
        assert to_do["terminal"] == f"opsctl approve {plans['shop/retention/carts']} && {run}"
        assert 'Open the job nightly_shop, click the arrow beside "Materialize all"' in to_do["in_dagster"]
        assert "opsctl approve" in ada.read_runbook("needs_approval")

        ada.open_launchpad("nightly_shop")
        ada.paste(to_do["launchpad"])
        ada.launch()
        assert ada.run_ended() == "Failure", "the other policy still needs approval"
        assert scalar(shop, "SELECT count(*) FROM carts") == 10
        assert scalar(shop, "SELECT count(*) FROM visits") == 100
        assert (
            scalar(shop, "SELECT approved_by FROM ops.plans WHERE policy = 'shop/retention/carts'") == "ada"
        )

        (visits,) = approvals.pending(shop)
        approvals.approve(shop, visits.id, "grace")
        ada.re_execute_from_failure()
        assert ada.run_ended() == "Success"
        assert scalar(shop, "SELECT count(*) FROM visits") == 10


def test_a_plan_that_does_not_exist_is_refused_in_the_launchpad(ada: Person) -> None:
    ada.open_launchpad("nightly_shop")
    ada.paste("resources: {databases: {config: {approve: [aaaaaaaa]}}}")
    ada.press("Materialize")

    refused = ada.page.get_by_text('plan "aaaaaaaa" does not exist').first
    expect(refused).to_be_visible()


DAYS_TO_ARCHIVE = """
SELECT (now() AT TIME ZONE 'UTC' - interval '90 days')::date - min(created_at AT TIME ZONE 'UTC')::date
FROM audit_logs
"""


def test_missing_days_are_archived_by_a_backfill(ada: Person, urls: dict[str, str]) -> None:
    with connect(urls["app"], "test") as app:
        days = scalar(app, DAYS_TO_ARCHIVE)

    ada.open_asset("app", "archive", "audit_logs_archived")
    ada.press("Materialize…")
    ada.page.get_by_role("dialog").get_by_text("Missing", exact=True).click()
    ada.picture("backfill", 700)
    ada.press("Launch backfill")
    ada.page.get_by_text("View", exact=True).last.click()
    ada.page.get_by_text("100% completed").wait_for(timeout=RUN_SECONDS * 1000)

    ada.open_asset("app", "archive", "audit_logs_archived")
    ada.page.get_by_role("tab", name="Partitions").click()
    for count in (f"Materialized ({days})", "Missing (0)", "Failed (0)"):
        expect(ada.page.get_by_text(count)).to_be_visible()
    ada.page.get_by_text(f"{DAY}", exact=True).first.click()
    expect(ada.page.get_by_text("dagster/partition_row_count")).to_be_visible()
    ada.picture("days", 720)


def _expired(url: str) -> int:
    """How many sessions have expired; it varies with the weekday, because weekends have fewer."""
    with connect(url, "test") as app:
        return int(scalar(app, "SELECT count(*) FROM sessions WHERE created_at < now() - interval '30 days'"))


def test_a_dry_run_deletes_nothing_and_evaluates_no_check(ada: Person, urls: dict[str, str]) -> None:
    ada.open_launchpad("nightly_app")
    ada.paste("resources: {databases: {config: {dry_run: true}}}")
    ada.launch()

    assert ada.run_ended() == "Success"
    ada.open_asset("app", "retention", "sessions")
    shown = ada.read_metadata()
    assert shown["outcome"] == "dry_run"
    assert shown["rows_eligible"] == str(_expired(urls["app"]))
    assert "guard.max_fraction is 50%" in shown["needs_approval"]
    ada.page.get_by_role("tab", name="Checks").click()
    expect(ada.page.get_by_text("Skipped", exact=True).first).to_be_visible()
    with connect(urls["app"], "test") as app:
        assert scalar(app, "SELECT count(*) FROM sessions") == 1000


def test_a_night_that_needs_approval_is_shown_as_such_until_it_is_done(
    ada: Person, urls: dict[str, str]
) -> None:
    ada.open_launchpad("nightly_app")
    ada.launch()
    assert ada.run_ended() == "Failure"
    ada.open_failed_step("app__retention__sessions")
    to_do = ada.read_failure()
    ada.picture("run")
    ada.open_asset("app", "retention", "sessions")
    shown = ada.read_metadata()
    for key, value in to_do.items():
        assert shown[key] == value
    expired = _expired(urls["app"])
    about = (int(shown["rows_eligible"]), int(shown["rows_total"]), float(shown["fraction"]))
    assert about == (expired, 1000, expired / 1000)
    expect(ada.page.get_by_text("Failed in")).to_be_visible()
    ada.picture("policy", 1000)
    ada.page.get_by_role("link", name="Runs").first.click()
    expect(ada.page.get_by_text("ops/outcome: needs_approval").first).to_be_visible()
    ada.picture("runs", 532)

    ada.open_launchpad("nightly_app")
    ada.paste(to_do["launchpad"])
    ada.picture("launchpad", 760)
    ada.launch()
    assert ada.run_ended() == "Success"
    ada.open("/locations/ops_pipeline/asset-groups/app/lineage", GRAPH_SIZE)
    for name in ("app.public.sessions", "memories.session_id", "vacuum", "audit_logs_archived"):
        expect(ada.page.get_by_text(name, exact=True).first).to_be_visible()
    ada.picture("asset-graph")
    with connect(urls["app"], "test") as app:
        assert scalar(app, "SELECT count(*) FROM sessions") == 1000 - expired


def test_days_are_restored_by_the_job_which_requires_its_configuration(
    ada: Person, urls: dict[str, str]
) -> None:
    ada.open_job("restore_archived_days_app")
    ada.page.get_by_role("tab", name="Launchpad").click()
    expect(ada.page.get_by_text("Missing required config entries")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Launch Run")).to_be_disabled()

    ada.paste(f"table: audit_logs\nfrom: {DAY}\nto: {DAY}\nreason: Ticket 4711")
    expect(ada.page.get_by_text("No errors")).to_be_visible()
    ada.picture("restore")
    ada.launch("Launch Run")

    assert ada.run_ended() == "Success"
    with connect(urls["app"], "test") as app:
        assert scalar(app, "SELECT count(*) FROM audit_logs WHERE created_at::date = %s", [DAY]) > 0
        assert scalar(app, "SELECT created_by FROM ops.legal_holds") == "ada"


@pytest.mark.parametrize("host", ["127.0.0.1", ELSEWHERE])
def test_a_page_of_another_origin_starts_no_run_and_reads_nothing(
    ada: Person, services: Services, host: str
) -> None:
    """127.0.0.1 with another port shares the cookie of the session; the other name does not."""
    before = services.ask(RUNS)
    with foreign_page.serving(ada.address, LAUNCH) as port:
        foreign = ada.page.context.new_page()
        foreign.goto(f"http://{host}:{port}/")
        tried = json.loads(foreign.locator("pre").inner_text())
        foreign.close()

    assert tried == {
        "image": "error",
        "form": "sent",
        "text": "refused",
        "json": "refused",
        "read": "refused",
        "read_by_address": "refused",
        "read_page": "refused",
        "frame": "refused",
        "socket": "refused",
    }
    assert services.ask(RUNS) == before
    own = ada.page.evaluate(OWN, LAUNCH)
    assert own["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", "the same from our own page"
    assert services.ask(RUNS) != before


def test_the_ui_does_not_answer_under_another_name(browser: Browser, ada: Person) -> None:
    page = ada.page.context.new_page()
    answer = page.goto(ada.address.replace("127.0.0.1", ELSEWHERE))
    page.close()

    assert answer is not None
    assert answer.status == 400


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
