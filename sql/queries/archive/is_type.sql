-- Whether a text is the name of a type and nothing else, modifiers included. What is none raises a syntax error.
SELECT to_regtype(%(text)s) IS NOT NULL
