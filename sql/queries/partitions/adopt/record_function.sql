-- Records a changed row. It runs with its owner's privileges: users who write to the table need no others.
CREATE FUNCTION {recorder}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $ops_record$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE {new}, {changes};
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO {changes} ({keys}, moment) VALUES ({old_keys}, OLD.{column});
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO {changes} ({keys}, moment) VALUES ({new_keys}, NEW.{column});
  END IF;
  RETURN NULL;
END
$ops_record$
