//! What came of a run: its figures, under the names that they have everywhere.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    /// A number of things.
    Count(u64),
    /// A measure.
    Measure(f64),
}

impl Figure {
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Measure(measure) => measure,
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            // Six digits behind the point: microseconds of seconds. More would be noise.
            Self::Measure(measure) => serializer.serialize_f64((measure * 1e6).round() / 1e6),
        }
    }
}

/// Figures that must be zero.
pub(crate) const ZEROS: [&str; 5] = ["lost", "out_of_order", "duplicates", "false_downs", "failures"];

/// What every run says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Common {
    /// Messages that did not arrive, over all receivers.
    pub(crate) lost: u64,
    /// Messages that arrived after a later one.
    pub(crate) out_of_order: u64,
    /// Messages that arrived once more.
    pub(crate) duplicates: u64,
    /// Links that went down, and that nobody had cut.
    pub(crate) false_downs: u64,
    pub(crate) elapsed_s: f64,
    /// CPU time of all nodes meanwhile.
    pub(crate) cpu_s: f64,
    /// The most memory that one process had at once.
    pub(crate) rss_bytes: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    /// What tells it from others of the same benchmark: how many callers, which fault.
    pub(crate) case: Vec<(&'static str, Value)>,
    pub(crate) common: Common,
    /// Its own figures, the most important ones first.
    pub(crate) figures: Vec<(&'static str, Figure)>,
    /// How many of these are enough for a line.
    pub(crate) headline: usize,
    /// What else must be zero, and is among the figures: calls that failed.
    pub(crate) failures: u64,
}

impl Measured {
    /// Whether all is zero that must be.
    pub(crate) fn ok(&self) -> bool {
        let Common { lost, out_of_order, duplicates, false_downs, .. } = self.common;
        [lost, out_of_order, duplicates, false_downs, self.failures].iter().all(|count| *count == 0)
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Which benchmark.
    pub(crate) what: &'static str,
    pub(crate) transport: &'static str,
    pub(crate) nodes: usize,
    /// How nodes were started.
    pub(crate) settings: Vec<(&'static str, Value)>,
    /// The how-many-th run, from 1.
    pub(crate) run: u16,
    pub(crate) measured: Measured,
    /// Why it was not carried out to its end.
    pub(crate) error: Option<String>,
}

impl Record {
    /// Whether all is as it must be.
    pub(crate) fn ok(&self) -> bool {
        self.error.is_none() && self.measured.ok()
    }

    /// All figures; of a run that was not carried out there are none that mean anything.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        let Common { lost, out_of_order, duplicates, false_downs, elapsed_s, cpu_s, rss_bytes } = self.measured.common;
        let common = [
            ("lost", Figure::Count(lost)),
            ("out_of_order", Figure::Count(out_of_order)),
            ("duplicates", Figure::Count(duplicates)),
            ("false_downs", Figure::Count(false_downs)),
            ("elapsed_s", Figure::Measure(elapsed_s)),
            ("cpu_s", Figure::Measure(cpu_s)),
            ("rss_bytes", Figure::Count(rss_bytes)),
        ];
        self.measured.figures.iter().copied().chain(common)
    }

    /// What was measured, in words: runs of the same words are comparable.
    pub(crate) fn title(&self) -> String {
        let case = self.measured.case.iter().map(|(name, value)| match value {
            Value::String(text) => format!(", {name} {text}"),
            value => format!(", {name} {value}"),
        });
        format!("{} on {} nodes over {}{}", self.what, self.nodes, self.transport, case.collect::<String>())
    }
}

/// One object.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("what", self.what)?;
        map.serialize_entry("transport", self.transport)?;
        map.serialize_entry("nodes", &self.nodes)?;
        map.serialize_entry("run", &self.run)?;
        for (name, value) in self.measured.case.iter().chain(&self.settings) {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("ok", &self.ok())?;
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        for (name, figure) in self.figures() {
            map.serialize_entry(name, &figure)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let figures = vec![("pings_per_s", Figure::Measure(1.234_567_89))];
        let case = vec![("callers", 64.into())];
        Record {
            what: "calls",
            transport: "mem",
            nodes: 3,
            settings: Vec::new(),
            run: 1,
            measured: Measured { case, figures, headline: 1, ..Measured::default() },
            error: None,
        }
    }

    #[test]
    fn whatever_must_be_zero_and_is_not_makes_a_run_wrong() {
        assert!(record().ok());
        let wrong: [fn(&mut Record); 6] = [
            |record| record.measured.common.lost = 1,
            |record| record.measured.common.out_of_order = 1,
            |record| record.measured.common.duplicates = 1,
            |record| record.measured.common.false_downs = 1,
            |record| record.measured.failures = 1,
            |record| record.error = Some("no node can be started".to_owned()),
        ];
        for change in wrong {
            let mut wrong = record();
            change(&mut wrong);
            assert!(!wrong.ok(), "{wrong:?}");
            assert_eq!(serde_json::to_value(&wrong).unwrap()["ok"], false);
        }
    }

    #[test]
    fn a_run_is_one_object_with_all_figures_under_their_names() {
        let value = serde_json::to_value(record()).unwrap();
        for name in ["what", "transport", "nodes", "run", "callers", "ok", "lost", "out_of_order", "rss_bytes"] {
            assert!(value.get(name).is_some(), "{name}: {value}");
        }
        assert_eq!((&value["pings_per_s"], &value["ok"]), (&1.234_568.into(), &true.into()));
        assert_eq!(record().title(), "calls on 3 nodes over mem, callers 64");
    }
}
