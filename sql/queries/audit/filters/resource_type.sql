-- What happened to one kind of thing.
resource_type = %(resource_type)s
