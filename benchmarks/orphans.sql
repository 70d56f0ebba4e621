-- Children in the order of time, about nine for each parent and close together, like the memories of sessions; one
-- parent in eleven, at random, was deleted.
CREATE TABLE parents (id uuid PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE children (id bigint, parent_id uuid, content text);
INSERT INTO parents (id)
SELECT md5(n::text)::uuid FROM generate_series(0, {children} / 10 * 11 / 10) AS n WHERE n % 11 <> 5;
INSERT INTO children
SELECT n, md5((greatest(0, n * 11 / 100 + hashint8(n) % 20))::text)::uuid, repeat('y', 60)
FROM generate_series(1, {children}) AS n;
ALTER TABLE children ADD PRIMARY KEY (id);
CREATE INDEX ON children (parent_id);
