//! Memory of processes, as Linux counts it.

/// The most of this process that was resident at once, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    peak_bytes_of("self")
}

/// The same of any process of ours, by its id.
pub(crate) fn peak_bytes_of(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number") << 10
}
