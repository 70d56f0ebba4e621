-- A table like the old one, whose time column can still be changed.
CREATE TABLE {shape} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)
