"""What to do about a policy that is not done, ready to paste: in a terminal, in Dagster, and the runbook."""

import re
from collections.abc import Mapping, Sequence

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.opsctl import opsctl
from ops_pipeline.orchestration.run_ownership import job_of
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres import embedded

FAILED_RUN = "when-a-nightly-run-has-failed"
"""The section for a run without any policy that says more."""

COMMAND = re.compile(r"\bopsctl (?=[a-z])")
PLACES = ("sql", "terminal", "launchpad", "in_dagster", "runbook")


def approve(database: Database, policy: Policy, plan: str) -> Mapping[str, dg.MetadataValue]:
    """How to approve a plan of the policy and carry it out."""
    return _remedy(
        terminal=f"{opsctl('approve', plan)} && {_run(policy)}",
        launchpad=f"resources: {{databases: {{config: {{approve: [{plan}]}}}}}}",
        how=f"{_launchpad_of(database)}. Or approve in the terminal and re-execute this run from failure.",
        section="needs_approval",
    )


def run_again(database: Database, policy: Policy, section: str) -> Mapping[str, dg.MetadataValue]:
    """How to try again after the cause was fixed; in Dagster, first as a dry run."""
    return _remedy(
        terminal=_run(policy),
        launchpad="resources: {databases: {config: {dry_run: true}}}",
        how=f"{_launchpad_of(database)}: it shows what a run would do and deletes nothing. Then re-execute "
        "this run from failure.",
        section=section,
    )


def materialize_again(
    policy: Policy, section: str, statements: Sequence[str] = ()
) -> Mapping[str, dg.MetadataValue]:
    """How to try again where the run did not fail, so that Dagster has no failure to re-execute from.

    `statements`: SQL that ends what was in the way.
    """
    press = 'press "Materialize" on the asset\'s page.'
    first = "sql says what is in the way and how to end it. Find out whose it is, end it, then "
    how = f"{first}{press}" if statements else press[0].upper() + press[1:]
    return {
        **({"sql": dg.MetadataValue.text("\n".join(statements))} if statements else {}),
        **_remedy(terminal=_run(policy), how=how, section=section),
    }


def evaluate_again(policy: Policy, section: str) -> Mapping[str, dg.MetadataValue]:
    """How to try again after what a check found was fixed; a dry run evaluates no check."""
    return _remedy(
        terminal=_run(policy),
        how='To evaluate the check alone, open "Checks" on the asset\'s page and click "Execute". When it '
        "passes, re-execute this run from failure.",
        section=section,
    )


def texts(metadata: Mapping[str, dg.MetadataValue]) -> Mapping[str, str]:
    """What to do, by place, of the metadata of an event."""
    return {place: str(metadata[place].value) for place in PLACES if place in metadata}


def runbook(section: str) -> dg.MetadataValue:
    """A link to the runbook's section."""
    return dg.MetadataValue.url(f"{settings.load().public_runbook_url}#{section}")


def as_pasted(text: str) -> str:
    """The text with its commands as a terminal beside this installation takes them: no variable names the
    embedded server."""
    url = settings.load().database_url
    return COMMAND.sub("opsctl --embedded ", text) if url and embedded.serves(url) else text


def _run(policy: Policy) -> str:
    return opsctl("run", policies=[policy.name])


def _launchpad_of(database: Database) -> str:
    """Where Dagster hides the launchpad of a job of assets; it is full of defaults when it opens."""
    return (
        f'Open the job {job_of(database)}, click the arrow beside "Materialize all", choose "Open '
        'launchpad", and replace the configuration there with the text of launchpad'
    )


def _remedy(
    *, terminal: str, how: str, section: str, launchpad: str | None = None
) -> Mapping[str, dg.MetadataValue]:
    return {
        "terminal": dg.MetadataValue.text(as_pasted(terminal)),
        **({} if launchpad is None else {"launchpad": dg.MetadataValue.text(launchpad)}),
        "in_dagster": dg.MetadataValue.text(how),
        "runbook": runbook(section),
    }
