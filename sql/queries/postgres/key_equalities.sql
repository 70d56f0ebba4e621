-- How columns of a child are compared with those of its parent, a row for each pair: by the operator of their foreign
-- key, or the one that PostgreSQL would choose for it (ATAddForeignKeyConstraint in tablecmds.c): equality of the parent's
-- unique index, else of its type's default operator class, of both types or of the type the child's is implicitly cast to.
-- A pair without one is left out. Returns the operator, its types for parent and child, the one of these that can hold
-- the values of both, its array type, a collation for text, and whether an index on the child's column can be used.
WITH RECURSIVE pair AS (
  SELECT named.place, c.attnum AS child_number, p.attnum AS parent_number, c.atttypid AS child, p.atttypid AS parent,
         c.attcollation AS child_collation, p.attcollation AS parent_collation
  FROM unnest(%(columns)s::text[], %(parent_columns)s::text[]) WITH ORDINALITY AS named (child, parent, place)
  JOIN pg_attribute c ON c.attrelid = %(child)s AND c.attname = named.child
  JOIN pg_attribute p ON p.attrelid = %(parent)s AND p.attname = named.parent
), domain (type, base) AS (
  SELECT types.type, types.type FROM pair CROSS JOIN LATERAL (VALUES (child), (parent)) AS types (type)
  UNION
  SELECT domain.type, t.typbasetype FROM domain JOIN pg_type t ON t.oid = domain.base WHERE t.typtype = 'd'
), base AS (
  SELECT pair.*, c.base AS child_base, p.base AS parent_base, t.typtype AS parent_kind
  FROM pair
  JOIN domain c ON c.type = pair.child
  JOIN domain p ON p.type = pair.parent
  JOIN pg_type t ON t.oid = p.base AND t.typtype <> 'd'
  WHERE NOT EXISTS (SELECT FROM pg_type WHERE oid = c.base AND typtype = 'd')
), implicit (source, target, is_binary) AS (
  SELECT castsource, casttarget, castmethod = 'b' FROM pg_cast WHERE castcontext = 'i'
  UNION ALL
  SELECT DISTINCT same.type, same.type, true FROM base CROSS JOIN LATERAL (VALUES (child_base), (parent_base)) AS same (type)
), class AS (
  SELECT DISTINCT ON (base.place) base.place, o.opcfamily AS family, o.opcintype AS input, o.is_polymorphic
  FROM base
  CROSS JOIN LATERAL (
    SELECT o.opcmethod, o.opcfamily, o.opcintype, input.typtype = 'p' AS is_polymorphic, 1 AS choice,
           i.indisprimary AS is_better
    FROM pg_index i
    CROSS JOIN unnest(i.indkey::int2[], i.indclass::oid[]) AS k (number, class)
    JOIN pg_opclass o ON o.oid = k.class
    JOIN pg_type input ON input.oid = o.opcintype
    WHERE i.indrelid = %(parent)s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
      AND k.number = base.parent_number
      AND ARRAY(SELECT n FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS n ORDER BY n)
        = ARRAY(SELECT parent_number FROM pair ORDER BY 1)
    UNION ALL
    SELECT o.opcmethod, o.opcfamily, o.opcintype, input.typtype = 'p', 2, o.opcintype = base.parent_base
    FROM pg_opclass o
    JOIN pg_type input ON input.oid = o.opcintype
    WHERE o.opcdefault
      AND (o.opcintype IN (SELECT target FROM implicit WHERE source = base.parent_base AND is_binary)
        OR input.typname = CASE base.parent_kind WHEN 'e' THEN 'anyenum' WHEN 'r' THEN 'anyrange'
                                                 WHEN 'm' THEN 'anymultirange' WHEN 'c' THEN 'record' END)
  ) AS o
  JOIN pg_am am ON am.oid = o.opcmethod AND am.amname = 'btree'
  ORDER BY base.place, o.choice, o.is_better DESC
), equality AS (
  SELECT amopfamily AS family, amoplefttype AS left_type, amoprighttype AS right_type, amopopr AS operator
  FROM pg_amop WHERE amopstrategy = 3 AND amoppurpose = 's' AND amopfamily IN (SELECT family FROM class)
), chosen AS (
  SELECT base.*, coalesce(
           (SELECT con.conpfeqop[k.place]
            FROM pg_constraint con
            CROSS JOIN unnest(con.conkey, con.confkey) WITH ORDINALITY AS k (child, parent, place)
            WHERE con.contype = 'f' AND con.conrelid = %(child)s AND con.confrelid = %(parent)s
              AND k.child = base.child_number AND k.parent = base.parent_number
              AND cardinality(con.conkey) = (SELECT count(*) FROM pair)
              AND NOT EXISTS (SELECT child_number, parent_number FROM pair
                              EXCEPT SELECT * FROM unnest(con.conkey, con.confkey))
            ORDER BY con.oid LIMIT 1),
           (SELECT e.operator FROM class JOIN equality e USING (family)
            WHERE class.place = base.place AND e.left_type = class.input AND e.right_type = base.child_base
              AND EXISTS (SELECT FROM equality AS own WHERE own.family = e.family
                          AND own.left_type = e.right_type AND own.right_type = e.right_type)),
           (SELECT e.operator FROM class JOIN equality e USING (family)
            WHERE class.place = base.place AND e.left_type = class.input AND e.right_type = class.input
              AND (class.is_polymorphic AND base.child_base = base.parent_base
                OR class.input IN (SELECT target FROM implicit WHERE source = base.child_base)))
         ) AS operator
  FROM base
), typed AS (
  SELECT chosen.*, on_schema.nspname AS schema, o.oprname AS name,
         CASE WHEN l.typtype = 'p' THEN parent_base ELSE l.oid END AS of_parent,
         CASE WHEN r.typtype = 'p' THEN child_base ELSE r.oid END AS of_child
  FROM chosen
  JOIN pg_operator o ON o.oid = chosen.operator
  JOIN pg_namespace on_schema ON on_schema.oid = o.oprnamespace
  JOIN pg_type l ON l.oid = o.oprleft
  JOIN pg_type r ON r.oid = o.oprright
), keyed AS (
  SELECT typed.*, CASE WHEN of_parent = of_child OR EXISTS (
                         SELECT FROM implicit WHERE source = of_child AND target = of_parent
                       ) THEN of_parent ELSE of_child END AS of_key
  FROM typed
)
SELECT keyed.schema, keyed.name,
       ARRAY[parent_schema.nspname, p.typname]::text[], ARRAY[child_schema.nspname, c.typname]::text[],
       ARRAY[key_schema.nspname, k.typname]::text[], CASE WHEN k.typarray <> 0 THEN ARRAY[array_schema.nspname, a.typname]::text[] END,
       CASE WHEN k.typcollation <> 0 AND collation_needed THEN ARRAY[coll_schema.nspname, coll.collname]::text[] END,
       (k.typcollation = 0 OR child_collation = parent_collation)
         AND (of_child = child_base
           -- A type without an operator class uses that of the type it is cast to, as varchar uses text's.
           OR EXISTS (SELECT FROM implicit WHERE source = child_base AND target = of_child AND is_binary)
             AND NOT EXISTS (SELECT FROM pg_opclass o JOIN pg_am am ON am.oid = o.opcmethod AND am.amname = 'btree'
                             WHERE o.opcdefault AND o.opcintype = child_base))
FROM keyed
JOIN pg_type p ON p.oid = of_parent JOIN pg_namespace parent_schema ON parent_schema.oid = p.typnamespace
JOIN pg_type c ON c.oid = of_child JOIN pg_namespace child_schema ON child_schema.oid = c.typnamespace
JOIN pg_type k ON k.oid = of_key JOIN pg_namespace key_schema ON key_schema.oid = k.typnamespace
LEFT JOIN pg_type a ON a.oid = k.typarray LEFT JOIN pg_namespace array_schema ON array_schema.oid = a.typnamespace
LEFT JOIN pg_collation coll ON coll.oid = parent_collation
LEFT JOIN pg_namespace coll_schema ON coll_schema.oid = coll.collnamespace
CROSS JOIN LATERAL (
  SELECT coll.oid IS NOT NULL AND (child_collation, parent_collation) <> (100, 100)
) AS text (collation_needed)
ORDER BY place
