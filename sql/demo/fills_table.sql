-- The table that records a complete fill, in the transaction of the fill itself: a killed one leaves no trace.
CREATE TABLE IF NOT EXISTS ops.demo_fills (
  seed         bigint           NOT NULL,
  scale        double precision NOT NULL,
  as_of        timestamptz      NOT NULL,
  sessions     bigint           NOT NULL,
  memories     bigint           NOT NULL,
  audit_events bigint           NOT NULL,
  filled_at    timestamptz      NOT NULL DEFAULT clock_timestamp()
)
