//! What the figures were measured on.

use anyhow::Context;
use sysinfo::System;

/// Processor, memory, kernel and how busy the machine is already: without them a figure means nothing.
pub fn describe() -> anyhow::Result<String> {
    let mut system = System::new().map_err(|error| anyhow::anyhow!("{error:?}")).context("describing the machine")?;
    system.refresh_cpu_all();
    system.refresh_memory();
    let processor = system.cpus().first().map_or("unknown processor", |cpu| cpu.brand());
    let kernel = System::kernel_version().unwrap_or_else(|_| "unknown".into());
    Ok(format!(
        "machine: {} × {processor}, {} GiB, kernel {kernel}; load {}; SQLite {}",
        system.cpus().len(),
        system.total_memory() >> 30,
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown"),
        rusqlite::version(),
    ))
}
