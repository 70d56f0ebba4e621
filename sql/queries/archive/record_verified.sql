-- Records that the file was read again, and whether it matches its record.
SELECT ops.mark_archives(ARRAY[%(id)s], verified => %(ok)s)
