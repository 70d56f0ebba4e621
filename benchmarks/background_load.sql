\set n random(1, :children)
\set parent random(1, :children / 10)
BEGIN;
SELECT content FROM children WHERE id = :n;
UPDATE parents SET seen_at = now() WHERE id = md5(:parent::text)::uuid;
END;
