-- A table like the old one, whose time column's type can still be changed.
CREATE TABLE {shape} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)
