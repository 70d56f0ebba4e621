-- Records the address that a target has now.
UPDATE ops.forward_targets SET host = %(host)s, address_sha256 = %(address_sha256)s WHERE name = %(name)s
