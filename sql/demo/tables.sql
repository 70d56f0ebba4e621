-- The sample application's tables. As in many applications, no foreign key refers to sessions: deleting a
-- session leaves its memories behind, which orphan cleanup deletes. The comment on each table marks it as
-- ours; the demo fills only tables that have it.

CREATE TABLE IF NOT EXISTS public.users (
  id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  email      text        NOT NULL UNIQUE,
  name       text        NOT NULL,
  locale     text        NOT NULL DEFAULT 'en',
  is_active  boolean     NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.users IS 'Sample application of Ops Pipeline';

CREATE TABLE IF NOT EXISTS public.sessions (
  id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id      uuid        NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  token_hash   bytea       NOT NULL,
  ip_address   inet,
  user_agent   text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL DEFAULT now() + interval '30 days'
);
COMMENT ON TABLE public.sessions IS 'Sample application of Ops Pipeline';
CREATE INDEX IF NOT EXISTS sessions_created_at ON public.sessions (created_at);
CREATE INDEX IF NOT EXISTS sessions_user_id ON public.sessions (user_id);

CREATE TABLE IF NOT EXISTS public.conversations (
  id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id       uuid        NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  session_id    uuid,
  title         text        NOT NULL,
  model         text        NOT NULL,
  message_count integer     NOT NULL DEFAULT 0,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.conversations IS 'Sample application of Ops Pipeline';
CREATE INDEX IF NOT EXISTS conversations_user_id ON public.conversations (user_id, updated_at DESC);

CREATE TABLE IF NOT EXISTS public.memories (
  id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id    uuid        NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  session_id uuid,
  kind       text        NOT NULL,
  content    text        NOT NULL,
  importance real        NOT NULL DEFAULT 0.5,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.memories IS 'Sample application of Ops Pipeline';
CREATE INDEX IF NOT EXISTS memories_session_id ON public.memories (session_id);
CREATE INDEX IF NOT EXISTS memories_user_id ON public.memories (user_id);
