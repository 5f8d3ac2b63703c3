//! Sizes and times as the configuration is written, to the last byte and millisecond; and which key a bound is.

use super::SettingsError;
use super::keys::KEYS;
use bytesize::ByteSize;
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
        ConfigError::Memory { bytes, limit } => {
            SettingsError::Memory { bytes: ByteSize(bytes).to_string(), limit: size(limit) }
        }
        other => SettingsError::Config(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Whatever the checks of the Mesh call a time, it has a key.
    #[test]
    fn every_time_has_a_key() {
        for name in ["failure", "stall", "forget_after", "redial", "dial"] {
            let key = Field::of(&format!("{name} (ms)")).key;
            assert!(KEYS.iter().any(|known| known.path == key), "{name}: {key}");
        }
        assert_eq!(Field::of("twice max_message").key, "twice limits.max_message");
    }
}
