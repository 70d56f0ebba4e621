"""Reads policies.yaml into typed policies."""
