-- The file was read again and agrees, or does not agree, with what is recorded of it here.
SELECT ops.mark_archives(ARRAY[%(id)s], verified => %(ok)s)
