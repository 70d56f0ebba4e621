"""Where archived files are kept: a folder, or S3."""
