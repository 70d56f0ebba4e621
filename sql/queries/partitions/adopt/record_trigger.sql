-- From now on every change is recorded, also those of a replication worker.
CREATE TRIGGER ops_adoption AFTER INSERT OR UPDATE OR DELETE ON {old} FOR EACH ROW EXECUTE FUNCTION {recorder}();
CREATE TRIGGER ops_adoption_truncate AFTER TRUNCATE ON {old} FOR EACH STATEMENT EXECUTE FUNCTION {recorder}();
ALTER TABLE {old} ENABLE ALWAYS TRIGGER ops_adoption, ENABLE ALWAYS TRIGGER ops_adoption_truncate
