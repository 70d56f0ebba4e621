-- Events about resources of one type.
resource_type = %(resource_type)s
