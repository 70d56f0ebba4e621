-- The columns of an event as it is returned. Of details that are too large as text, only their size: the event could not
-- be returned with them, nor its neighbors. The size is only determined where it can be large.
id, event_type, user_id, resource_type, resource_id, action,
CASE WHEN (pg_column_size(details) > 2000 OR pg_column_compression(details) IS NOT NULL)
       AND octet_length(details::text) > 8388608
     THEN jsonb_build_object('_omitted_bytes', octet_length(details::text))
     ELSE details END AS details,
ip_address, status, duration_ms, created_at, created_by, received_at, key_id, peer_address, subject_id, origin
