//! Cost profiles: what trapping and moving registers costs on a machine, by name, from TOML.
