-- The last change that was recorded so far.
SELECT max(place) FROM {changes}
