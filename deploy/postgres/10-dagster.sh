#!/bin/sh
# Creates Dagster's database beside the maintained one. Runs once, when the volume is new.
set -eu
createdb --username "$POSTGRES_USER" dagster
