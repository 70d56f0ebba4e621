"""The id of a plan is written into YAML as it is, and read from there as a text."""

from ruamel.yaml import YAML

from ops_pipeline.maintenance.guard.approvals import new_id


def test_yaml_reads_an_id_as_a_text() -> None:
    ids = {new_id() for _ in range(2_000)}

    assert YAML(typ="safe").load(f"[{', '.join(ids)}]") == list(ids)
    assert {len(plan) for plan in ids} == {8}
    assert len(ids) == 2_000
