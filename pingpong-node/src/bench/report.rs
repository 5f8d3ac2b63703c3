//! What is said of runs: to people a line each and medians at the end, to programs one JSON object each.
//!
//! Standard output has results alone. Progress is on standard error, and only if that is a terminal.

use super::record::{Record, ZEROS};
use super::statistics::median;
use crate::text::{BAD, GOOD, size, styled, table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};
use std::time::Duration;

/// How often progress is drawn while nothing happens.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Who is told, and what was told so far.
pub(crate) struct Report {
    json: bool,
    bar: ProgressBar,
    records: Vec<Record>,
    /// Why a result could not be written. A reader that has gone wants no more.
    error: Option<io::Error>,
}

impl Report {
    /// Of so many measurements.
    pub(crate) fn new(json: bool, measurements: u64) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let target = if dumb { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(measurements), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(DRAW_EVERY);
        }
        Self { json, bar, records: Vec::new(), error: None }
    }

    /// What is being done.
    pub(crate) fn progress(&self, words: String) {
        self.bar.set_message(words);
    }

    /// What came of a run.
    pub(crate) fn run(&mut self, record: Record) {
        let text = if self.json { serde_json::to_string(&record) } else { Ok(line(&record)) };
        match text {
            Ok(text) => self.say(text + "\n"),
            Err(error) => self.error = Some(error.into()),
        }
        self.bar.inc(1);
        self.records.push(record);
    }

    /// Whether all runs were ok.
    pub(crate) fn ok(&self) -> bool {
        self.records.iter().all(Record::ok)
    }

    /// Says what all runs come to.
    ///
    /// # Errors
    /// A result could not be written, although somebody reads it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        if !self.json {
            let text = summary(&self.records);
            self.say(text);
        }
        self.error.map_or(Ok(()), Err)
    }

    fn say(&mut self, text: String) {
        let written = self.bar.suspend(|| {
            let mut output = anstream::stdout().lock();
            output.write_all(text.as_bytes()).and_then(|()| output.flush())
        });
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.error = self.error.take().or(Some(error)),
            _ => {}
        }
    }
}

fn mark(ok: bool) -> String {
    if ok { styled(GOOD, "ok  ") } else { styled(BAD, "FAIL") }
}

fn line(record: &Record) -> String {
    let mut text = format!("{} run {}, {}", mark(record.ok()), record.run, record.title());
    if let Some(error) = &record.error {
        return text + ": " + error;
    }
    for (number, (name, figure)) in record.figures().enumerate() {
        if number < record.measured.headline {
            text += &format!("  {name} {}", shown(name, figure.value()));
        } else if ZEROS.contains(&name) && figure.value() > 0.0 {
            text += &format!("  {}", styled(BAD, format!("{name} {}", shown(name, figure.value()))));
        }
    }
    text
}

/// A table for each case that was measured to its end, in the order in which they were measured first.
fn summary(records: &[Record]) -> String {
    let mut titles: Vec<String> = Vec::new();
    for record in records.iter().filter(|record| record.error.is_none()) {
        let title = record.title();
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let mut text = String::new();
    for title in titles {
        let runs: Vec<&Record> =
            records.iter().filter(|record| record.error.is_none() && record.title() == title).collect();
        let ok = runs.iter().filter(|record| record.ok()).count();
        text += &format!("\n{title}: {ok} of {} runs ok\n", runs.len());
        let names = runs.first().map(|record| record.figures().map(|(name, _)| name).collect::<Vec<_>>());
        let rows = names.unwrap_or_default().into_iter().filter_map(|name| {
            let of = |run: &&Record| run.figures().find(|(other, _)| *other == name).map(|(_, figure)| figure.value());
            let values: Vec<f64> = runs.iter().filter_map(of).collect();
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            // That all runs are ok has been said.
            let needless = most == 0.0 && ZEROS.contains(&name);
            let shown = [median(&values), least, most].map(|value| shown(name, value));
            (!needless).then(|| [name.to_owned()].into_iter().chain(shown).collect())
        });
        text += &table(&["figure", "median", "min", "max"], rows.collect::<Vec<_>>());
    }
    text
}

/// A figure, for people.
fn shown(name: &str, value: f64) -> String {
    if name.ends_with("_bytes") {
        size(value as usize)
    } else if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(",")
    } else if value.fract() == 0.0 {
        format!("{value}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Common, Figure, Measured};

    fn record(run: u16, callers: u64, pings_per_s: f64, lost: u64) -> Record {
        Record {
            what: "calls",
            transport: "mem",
            nodes: 3,
            settings: Vec::new(),
            run,
            measured: Measured {
                case: vec![("callers", callers.into())],
                common: Common { lost, rss_bytes: 3 << 20, ..Common::default() },
                figures: vec![("calls_per_s", Figure::Measure(pings_per_s)), ("p50_us", Figure::Measure(87.26))],
                headline: 1,
                failures: 0,
            },
            error: None,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_line_has_what_matters_and_what_is_wrong() {
        let right = plain(&line(&record(1, 64, 1_234_567.8, 0)));
        assert_eq!(right, "ok   run 1, calls on 3 nodes over mem, callers 64  calls_per_s 1,234,568");
        let wrong = plain(&line(&record(2, 64, 7.25, 3)));
        assert_eq!(wrong, "FAIL run 2, calls on 3 nodes over mem, callers 64  calls_per_s 7.250  lost 3");
        let failed = Record { error: Some("no node can be started".to_owned()), ..record(1, 1, 0.0, 0) };
        assert!(plain(&line(&failed)).ends_with("callers 1: no node can be started"));
    }

    #[test]
    fn medians_are_of_runs_that_measured_the_same() {
        let failed = Record { error: Some("no".to_owned()), ..record(3, 1, 0.0, 0) };
        let runs = [record(1, 1, 100.0, 0), record(1, 64, 900.0, 0), record(2, 1, 300.0, 1), failed];
        let text = plain(&summary(&runs));
        let (one, many) = text.split_once("\ncalls on 3 nodes over mem, callers 64: 1 of 1 runs ok").unwrap();
        assert!(
            one.contains("callers 1: 1 of 2 runs ok") && one.contains("calls_per_s  200      100      300"),
            "{text}"
        );
        assert!(one.contains("lost ") && !many.contains("lost ") && many.contains("rss_bytes    3.0 MiB"), "{text}");
    }
}
