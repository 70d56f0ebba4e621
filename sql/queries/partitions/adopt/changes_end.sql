-- The last change that has been noted up to now.
SELECT max(place) FROM {changes}
