//! What this process has used, as the system counts it.

use serde::{Deserialize, Serialize};

/// CPU time, and memory. Zero where the system does not tell: everywhere but on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Of all threads, in user and system mode.
    pub(crate) cpu_us: u64,
    /// In memory now.
    pub(crate) rss_bytes: u64,
    /// The most that was in memory at once.
    pub(crate) peak_bytes: u64,
}

impl Usage {
    pub(crate) fn cpu_s(&self) -> f64 {
        self.cpu_us as f64 / 1e6
    }

    /// CPU time until a later look, in seconds.
    pub(crate) fn cpu_until(&self, later: &Self) -> f64 {
        later.cpu_us.saturating_sub(self.cpu_us) as f64 / 1e6
    }
}

/// What this process has used by now.
#[cfg(target_os = "linux")]
pub(crate) fn usage() -> Usage {
    use procfs::process::Process;
    use rustix::time::{ClockId, clock_gettime};
    // The ticks of /proc/self/stat are 10 ms long: too long for a node that idles.
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let micros = u64::try_from(cpu.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(cpu.tv_nsec).unwrap_or(0) / 1_000;
    // Not the peak of getrusage: that of a process begins with its parent's.
    let status = Process::myself().and_then(|process| process.status()).ok();
    let bytes = |kibibytes: Option<u64>| kibibytes.unwrap_or(0) * 1_024;
    Usage {
        cpu_us: micros,
        rss_bytes: bytes(status.as_ref().and_then(|status| status.vmrss)),
        peak_bytes: bytes(status.as_ref().and_then(|status| status.vmhwm)),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn usage() -> Usage {
    Usage::default()
}

/// How often UDP was sent in this network namespace, by whomever; packets that are given to the system as one count as one. None
/// where the system does not tell: everywhere but on Linux.
pub(crate) fn packets() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return procfs::net::snmp().ok().map(|counted| counted.udp_out_datagrams);
    #[cfg(not(target_os = "linux"))]
    None
}

/// Begins the peak anew, for a process that has nodes one after the other. If the system does not want to, the greatest stays.
#[cfg(feature = "mem")]
pub(crate) fn forget_peak() {
    if cfg!(target_os = "linux") {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_something() {
        let used = usage();
        assert!(used.cpu_us > 0 && used.rss_bytes > 0 && used.peak_bytes >= used.rss_bytes / 2, "{used:?}");
    }
}
