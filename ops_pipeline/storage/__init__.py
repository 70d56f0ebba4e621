"""Where archived files are stored: a folder or S3."""
