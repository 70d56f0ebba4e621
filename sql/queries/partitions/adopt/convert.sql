-- Changes the type of the time column to timestamptz.
ALTER TABLE {shape} ALTER COLUMN {column} DROP DEFAULT,
                    ALTER COLUMN {column} TYPE timestamptz USING {column} AT TIME ZONE {zone}
