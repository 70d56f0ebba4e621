-- Whether a text is the name of a type, modifiers included, and nothing else. An invalid name raises a syntax error.
SELECT to_regtype(%(text)s) IS NOT NULL
