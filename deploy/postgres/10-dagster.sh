#!/bin/sh
# Dagster's own storage, beside the database that is looked after. Runs once, when the volume is new.
set -eu
createdb --username "$POSTGRES_USER" dagster
