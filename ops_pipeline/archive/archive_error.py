"""The error of an archive that did not take rows; in its own file for those that must not load Arrow."""


class ArchiveError(Exception):
    """The rows could not be archived. The message says why, and that nothing was deleted: the files must be
    complete before the delete is committed, and the caller rolls it back now."""
