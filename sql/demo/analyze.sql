-- Updates the statistics for the planner and for the maintenance plan; partitions are analyzed with their parent.
ANALYZE public.users, public.sessions, public.conversations, public.memories, public.audit_logs
