"""policies.yaml read into typed policies."""
