//! Records of windows: taken from the hypervisor's rings, kept in Parquet files, looked at.
