-- Adds a hold, on the table and columns as they are now.
SELECT ops.add_hold(%(schema)s, %(table)s, %(oid)s, %(predicate)s, %(predicate_text)s, %(reason)s, %(owner)s, %(by)s,
                    %(ends_at)s)
