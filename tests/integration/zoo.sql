-- Unusual names, types, triggers, keys and partitions, as applications have them.
CREATE EXTENSION citext;
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN moment AS timestamptz;

-- Parents that expire, children of every ON DELETE, two levels deep.
CREATE TABLE accounts (id int PRIMARY KEY, created_at timestamptz NOT NULL, balance int NOT NULL DEFAULT 0);
CREATE TABLE invoices (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id int REFERENCES accounts ON DELETE CASCADE,
  amount numeric, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED
);
CREATE TABLE lines (invoice_id int REFERENCES invoices ON DELETE CASCADE, n int, PRIMARY KEY (invoice_id, n));
CREATE TABLE visits (id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE SET NULL);
CREATE INDEX ON invoices (account_id);
CREATE INDEX ON visits (account_id);
INSERT INTO accounts SELECT n, now() - make_interval(days => n) FROM generate_series(1, 100) AS n;
INSERT INTO invoices (account_id, amount) SELECT 1 + n % 100, n / 3.0 FROM generate_series(0, 299) AS n;
INSERT INTO lines SELECT id, n FROM invoices, generate_series(1, 2) AS n;
INSERT INTO visits SELECT n, n FROM generate_series(1, 100) AS n;

-- Names that need quotes everywhere, a dropped column, an enum, a generated column.
CREATE SCHEMA "Odd %s";
CREATE TABLE "Odd %s"."Log.of ""everything"" 100%" (
  "id %" int PRIMARY KEY, gone int, "wh%en." moment, kind color DEFAULT 'red', payload jsonb
);
ALTER TABLE "Odd %s"."Log.of ""everything"" 100%" DROP COLUMN gone;
INSERT INTO "Odd %s"."Log.of ""everything"" 100%" ("id %", "wh%en.", kind, payload)
SELECT n, CASE WHEN n % 10 > 0 THEN now() - make_interval(days => n) END, 'green', jsonb_build_object('n', n)
FROM generate_series(1, 100) AS n;
INSERT INTO "Odd %s"."Log.of ""everything"" 100%" VALUES (0, '-infinity'), (-1, 'infinity');

-- Keys that are compared by an extension's operators, and keys of two different types.
CREATE TABLE people (name citext PRIMARY KEY);
CREATE TABLE letters (id int PRIMARY KEY, to_name citext);
CREATE TABLE codes (code varchar(20) PRIMARY KEY);
CREATE TABLE uses (id int PRIMARY KEY, code text);
INSERT INTO people SELECT 'Person ' || n FROM generate_series(1, 50) AS n;
INSERT INTO letters SELECT n, upper('person ' || n) FROM generate_series(1, 80) AS n;
INSERT INTO codes SELECT 'c' || n FROM generate_series(1, 50) AS n;
INSERT INTO uses SELECT n, 'c' || n FROM generate_series(1, 80) AS n;

-- A table that refers to itself; a whole branch of it is orphaned.
CREATE TABLE replies (id int PRIMARY KEY, up int);
INSERT INTO replies SELECT n, CASE WHEN n % 10 > 0 THEN n - 1 END FROM generate_series(0, 99) AS n;
DELETE FROM replies WHERE id = 53;

-- A soft delete, with a name that the trigger finds by the search path.
CREATE TABLE notes (id int PRIMARY KEY, at timestamptz, deleted bool NOT NULL DEFAULT false);
INSERT INTO notes SELECT n, now() - make_interval(days => n) FROM generate_series(1, 100) AS n;
CREATE TABLE tombs (id int);
CREATE FUNCTION bury() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tombs VALUES (OLD.id);
  IF OLD.id % 2 = 0 THEN RETURN NULL; END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER bury BEFORE DELETE ON notes FOR EACH ROW EXECUTE FUNCTION bury();

-- Partitions by range: one that begins at MINVALUE, and one that is a foreign table.
CREATE TABLE hits (at timestamptz NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE hits_early PARTITION OF hits FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00+00');
CREATE TABLE hits_2020 PARTITION OF hits FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2021-01-01 00:00+00');
CREATE TABLE hits_rest PARTITION OF hits DEFAULT;
INSERT INTO hits VALUES ('-infinity', 0), ('2019-05-01 00:00+00', 1), ('2020-05-01 00:00+00', 2), (now(), 3);
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere;
CREATE TABLE days (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE days_old PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE FOREIGN TABLE days_away PARTITION OF days FOR VALUES FROM ('2010-01-01') TO ('2020-01-01') SERVER elsewhere;
CREATE TABLE days_now PARTITION OF days DEFAULT;
INSERT INTO days VALUES ('2020-02-02', 1), (current_date, 2);

-- Row security, which hides nothing from a superuser, and rows of tables that inherit.
CREATE TABLE secrets (id int PRIMARY KEY, at timestamptz);
INSERT INTO secrets SELECT n, now() - make_interval(days => n) FROM generate_series(1, 100) AS n;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY three_quarters ON secrets USING (id % 4 > 0);
CREATE TABLE base (id int, at timestamptz);
CREATE TABLE derived (more int) INHERITS (base);
INSERT INTO base SELECT n, now() - make_interval(days => n) FROM generate_series(1, 50) AS n;
INSERT INTO derived SELECT n, now() - make_interval(days => n), n FROM generate_series(51, 100) AS n;

-- A rule that keeps rows, and a table that is renamed after a hold was added on it.
CREATE TABLE ruled (id int, at timestamptz);
INSERT INTO ruled SELECT n, now() - make_interval(days => n) FROM generate_series(1, 100) AS n;
CREATE RULE kept AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE held_before (id int PRIMARY KEY, at timestamptz);
INSERT INTO held_before SELECT n, now() - make_interval(days => n) FROM generate_series(1, 100) AS n;

-- Unusual settings for every session of the database.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German, DMY''', current_database());
  EXECUTE format('ALTER DATABASE %I SET IntervalStyle = sql_standard', current_database());
  EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Kolkata''', current_database());
  EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
  EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''1s''', current_database());
  EXECUTE format('ALTER DATABASE %I SET search_path = "$user", public', current_database());
END $$;
