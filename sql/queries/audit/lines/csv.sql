-- An event as CSV (RFC 4180). Only texts are quoted: the other columns never require it.
concat_ws(
  ',',
  id::text,
  {event_type},
  coalesce(user_id::text, ''),
  {resource_type},
  coalesce(resource_id::text, ''),
  {action},
  {details},
  coalesce(ip_address::text, ''),
  coalesce(status::text, ''),
  coalesce(duration_ms::text, ''),
  to_json(created_at)#>>'{{}}',
  {created_by},
  coalesce(to_json(received_at)#>>'{{}}', ''),
  coalesce(key_id::text, ''),
  coalesce(host(peer_address), ''),
  coalesce(subject_id::text, ''),
  coalesce(origin, '')
)
