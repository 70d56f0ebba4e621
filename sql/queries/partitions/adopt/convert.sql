-- The time column becomes one with a time zone.
ALTER TABLE {shape} ALTER COLUMN {column} DROP DEFAULT,
                    ALTER COLUMN {column} TYPE timestamptz USING {column} AT TIME ZONE {zone}
