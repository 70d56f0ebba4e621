-- Ordinary tables that are being partitioned (`opsctl adopt`). Depends on no migration: an application's own audit
-- log may have to be adopted before any other migration can be applied.

CREATE TABLE ops.adoptions (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schema      text        NOT NULL,
  name        text        NOT NULL,
  old         oid         NOT NULL,
  new         oid         NOT NULL,
  column_name text        NOT NULL,
  time_zone   text,
  first_day   date        NOT NULL,
  state       text        NOT NULL DEFAULT 'preparing'
    CHECK (state IN ('preparing', 'copying', 'swapped', 'finished', 'aborted')),
  position    jsonb,
  copied      bigint      NOT NULL DEFAULT 0,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  swapped_at  timestamptz,
  ended_at    timestamptz
);

CREATE UNIQUE INDEX adoptions_open ON ops.adoptions (schema, name)
  WHERE state IN ('preparing', 'copying', 'swapped');

COMMENT ON COLUMN ops.adoptions.old IS 'The oid of the ordinary table, independent of its current name';
COMMENT ON COLUMN ops.adoptions.time_zone IS 'The zone in which times of a column without time zone are read; NULL: the type is kept';
COMMENT ON COLUMN ops.adoptions.position IS 'The primary key up to which rows were copied; columns as text';
