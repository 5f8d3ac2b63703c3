//! Sizes and times as the configuration is written, to the last byte and millisecond; and which key a bound is.

use super::SettingsError;
use super::keys::KEYS;
use pingpong_core::config::ConfigError;

/// A size in the largest unit that takes it whole: what is read by `ByteSize` again, which itself writes `128.0 KiB`, and rounds.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    whole(bytes, &units).unwrap_or_else(|| format!("{bytes} B"))
}

/// A time in the largest unit that takes it whole: `humantime` reads it again, and itself writes 365 days as months, days and hours.
pub(super) fn time(millis: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    whole(millis, &units).map_or_else(|| format!("{millis}ms"), |text| text.replace(' ', ""))
}

fn whole(number: u64, units: &[(&str, u64)]) -> Option<String> {
    let (unit, of) = units.iter().find(|(_, of)| number >= *of && number.is_multiple_of(*of))?;
    Some(format!("{} {unit}", number / of))
}

/// A field of the Mesh or the backend, as the key that sets it; and how its values are written.
struct Field {
    key: String,
    written: fn(u64) -> String,
}

impl Field {
    fn of(name: &str) -> Self {
        let path = |name: &str| {
            let key = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(name));
            key.map_or((name.to_owned(), ""), |key| (key.path.to_owned(), key.value))
        };
        if let Some(name) = name.strip_suffix(" (ms)") {
            // The backend's own field for the one time that it is told.
            let name = if name == "failure_timeout" { "failure" } else { name };
            return Self { key: path(name).0, written: time };
        }
        let (before, name) = name.rsplit_once(' ').map_or(("", name), |(before, name)| (before, name));
        let (key, value) = path(name);
        let written = if value == "SIZE" { size } else { |number: u64| number.to_string() };
        Self { key: format!("{before} {key}").trim_start().to_owned(), written }
    }
}

/// A number outside its range, by the key that sets it.
pub(super) fn range(field: &str, value: u64, least: u64, most: u64) -> SettingsError {
    let Field { key, written } = Field::of(field);
    SettingsError::Range { key, value: written(value), least: written(least), most: written(most) }
}

/// A size that its field cannot hold.
pub(super) fn beyond(key: &'static str, bytes: u64) -> SettingsError {
    let help = KEYS.iter().find(|known| known.path == key).map_or("lower it", |known| known.help);
    SettingsError::Size { key, size: size(bytes), help }
}

pub(super) fn config(error: ConfigError) -> SettingsError {
    match error {
        ConfigError::Range { field, value, least, most } => range(field, value, least, most),
        ConfigError::Order { smaller, smaller_value, greater, greater_value } => {
            let (smaller, greater) = (Field::of(smaller), Field::of(greater));
            SettingsError::Order {
                smaller_value: (smaller.written)(smaller_value),
                smaller: smaller.key,
                greater_value: (greater.written)(greater_value),
                greater: greater.key,
            }
        }
        // In one unit, and rounded apart, so that the first is the greater one to the eye as well.
        ConfigError::Memory { bytes, limit } => SettingsError::Memory {
            bytes: format!("{} MiB", bytes.div_ceil(1 << 20)),
            limit: format!("{} MiB", limit >> 20),
        },
        other => SettingsError::Config(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingpong_core::link::Endpoint;
    use pingpong_core::{ClusterName, MeshConfig, NodeName};
    use std::time::Duration;

    #[test]
    fn sizes_and_times_are_exact() {
        let sizes = [1, 1_024, 1_500, 128 << 10, 64 << 20, 16 << 30].map(size);
        assert_eq!(sizes, ["1 B", "1 KiB", "1500 B", "128 KiB", "64 MiB", "16 GiB"]);
        let times = [0, 300, 1_500, 2_000, 600_000, 86_400_000, 365 * 86_400_000].map(time);
        assert_eq!(times, ["0ms", "300ms", "1500ms", "2s", "10m", "1d", "365d"]);
    }

    #[test]
    fn what_is_outside_its_range_is_said_as_the_configuration_is_written() {
        let said = |field, value, least, most| range(field, value, least, most).to_string();
        assert_eq!(said("max_peers", 0, 1, 10_000), "limits.max_peers is 0, allowed are 1 to 10000");
        let words = said("lane_window", 1_024, 4 << 10, 1 << 30);
        assert_eq!(words, "quic.lane_window is 1 KiB, allowed are 4 KiB to 1 GiB");
        for field in ["failure (ms)", "failure_timeout (ms)"] {
            assert_eq!(said(field, 10, 100, 3_600_000), "timeouts.failure is 10ms, allowed are 100ms to 1h");
        }
    }

    #[test]
    fn a_size_beyond_its_field_is_said_with_its_range() {
        let words = beyond("quic.lane_window", 5 << 30).to_string();
        assert!(words.starts_with("quic.lane_window is 5 GiB, beyond its range: What a lane holds"), "{words}");
        assert!(words.contains("4 KiB to 1 GiB"), "{words}");
    }

    #[test]
    fn the_sum_of_all_bounds_is_above_the_limit_to_the_eye_as_well() {
        let words = config(ConfigError::Memory { bytes: (16 << 30) + 1, limit: (16 << 30) - 1 }).to_string();
        assert!(words.starts_with("the bounds add up to 16385 MiB, limits.max_memory is 16383 MiB; lower"), "{words}");
    }

    /// Whatever the checks of the Mesh call a bound or a time, it has a key.
    #[test]
    fn every_bound_and_time_of_the_mesh_has_a_key() {
        type Break = fn(&mut MeshConfig);
        let breaks: [Break; 14] = [
            |config| config.limits.max_peers = 0,
            |config| config.limits.max_servers = 0,
            |config| config.limits.lanes = 0,
            |config| config.limits.queue_bytes = 0,
            |config| config.limits.mailbox_bytes = 0,
            |config| config.limits.max_message = 0,
            |config| config.limits.large_bytes = 0,
            |config| config.limits.max_calls = 0,
            |config| config.limits.reply_bytes = 0,
            |config| config.timeouts.failure = Duration::ZERO,
            |config| config.timeouts.stall = Duration::ZERO,
            |config| config.timeouts.forget_after = Duration::ZERO,
            |config| config.timeouts.redial = Duration::ZERO,
            |config| config.timeouts.dial = Duration::ZERO,
        ];
        let mut keys = Vec::new();
        for break_it in breaks {
            let mut mesh = MeshConfig::new(ClusterName::new("c").unwrap(), NodeName::new("n1").unwrap());
            break_it(&mut mesh);
            let checked = mesh.check(&nothing()).map_err(config);
            let Err(SettingsError::Range { key, .. }) = checked else { panic!("{checked:?} after {keys:?}") };
            assert!(KEYS.iter().any(|known| known.path == key), "{key}");
            keys.push(key);
        }
        let unlike: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(unlike.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn every_pair_that_must_be_ordered_has_keys() {
        type Break = fn(&mut MeshConfig);
        let breaks: [(Break, &str, &str); 4] = [
            (|config| config.limits.large_bytes = 2, "twice limits.max_message", "limits.large_bytes"),
            (|config| config.timeouts.stall = Duration::from_millis(100), "timeouts.failure", "timeouts.stall"),
            (|config| config.timeouts.dial = Duration::from_millis(100), "timeouts.redial", "timeouts.dial"),
            (
                |config| config.timeouts.forget_after = Duration::from_millis(100),
                "timeouts.failure",
                "timeouts.forget_after",
            ),
        ];
        for (break_it, less, more) in breaks {
            let mut mesh = MeshConfig::new(ClusterName::new("c").unwrap(), NodeName::new("n1").unwrap());
            break_it(&mut mesh);
            let checked = mesh.check(&nothing()).map_err(config);
            let Err(SettingsError::Order { smaller, greater, .. }) = checked else { panic!("{checked:?}") };
            assert_eq!((smaller.as_str(), greater.as_str()), (less, more));
        }
    }

    /// An endpoint that needs no memory.
    fn nothing() -> Endpoint {
        Endpoint { name: NodeName::new("n1").unwrap(), lanes: 27, connection_bytes: 0, other_bytes: 0 }
    }
}
