"""Machines as TOML files, one a machine; `repro.worlds.platform` reads them and says what they hold."""
