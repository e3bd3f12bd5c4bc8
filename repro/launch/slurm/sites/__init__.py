"""Clusters as TOML files, one a cluster; `repro.launch.slurm.site` reads them and says what they hold."""
