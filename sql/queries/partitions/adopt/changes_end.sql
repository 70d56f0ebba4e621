-- The last change that has been recorded up to now.
SELECT max(place) FROM {changes}
