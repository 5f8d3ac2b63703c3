//! What the user sees: progress, a table after each step, or one JSON object at the end.

use super::play::{Audience, Scene, Step};
use super::table;
use super::truth::Views;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Where progress goes, and how.
pub(crate) struct Report {
    output: Option<Box<dyn Write>>,
    /// Whether a line may be written over, and marked in colour.
    terminal: bool,
    tables: bool,
    /// The progress that stands on the terminal now.
    progress: String,
    /// The first failure to write. The play goes on: what was asked for is its result.
    failed: Option<io::Error>,
}

/// The result, for programs.
#[derive(Debug, Serialize)]
struct Json<'a> {
    ok: bool,
    transport: &'a str,
    nodes: usize,
    steps: Vec<JsonStep<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonStep<'a> {
    name: &'a str,
    ok: bool,
    millis: u64,
    expected: &'a Views,
    seen: &'a Views,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Report {
    /// For people: all of it on standard output. For programs: progress alone, and only if somebody watches.
    pub(crate) fn new(json: bool) -> Self {
        let (output, terminal): (Option<Box<dyn Write>>, bool) = if json {
            let terminal = io::stderr().is_terminal();
            (terminal.then(|| Box::new(io::stderr()) as Box<dyn Write>), terminal)
        } else {
            (Some(Box::new(io::stdout())), io::stdout().is_terminal())
        };
        Self { output, terminal, tables: !json, progress: String::new(), failed: None }
    }

    fn write(&mut self, text: &str) {
        let Some(output) = &mut self.output else { return };
        if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            self.output = None;
            self.failed.get_or_insert(error);
        }
    }

    /// A line for whoever watches.
    pub(crate) fn say(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Writes over the last progress.
    fn progress(&mut self, text: String) {
        if self.terminal && text != self.progress {
            self.write(&format!("\r\x1b[2K{text}"));
            self.progress = text;
        }
    }

    /// Whether all could be written.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn mark(&self, ok: bool) -> &'static str {
        match (self.terminal, ok) {
            (true, true) => "\r\x1b[2K\x1b[32m\u{2713}\x1b[0m",
            (true, false) => "\r\x1b[2K\x1b[31m\u{2717}\x1b[0m",
            (false, true) => "ok  ",
            (false, false) => "FAIL",
        }
    }
}

impl Audience for Report {
    fn begins(&mut self, scene: Scene) {
        self.progress(format!("\u{2026} {}", scene.name()));
    }

    fn waits(&mut self, scene: Scene, right: usize, of: usize) {
        self.progress(format!("\u{2026} {} ({right} of {of} nodes are there)", scene.name()));
    }

    fn ends(&mut self, step: &Step) {
        let seconds = seconds(step.took);
        self.say(&format!("{} {} ({seconds})", self.mark(step.ok()), step.scene.name()));
        if let Some(error) = &step.error {
            self.say(&format!("      {error}"));
        }
        if self.tables {
            let links = table::links(&step.expected, &step.seen);
            self.write(&(links + &table::counts(&step.expected, &step.seen, self.terminal)));
        }
    }
}

/// A time, for people.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The whole result as one JSON object.
pub(crate) fn json(ok: bool, transport: &str, nodes: usize, steps: &[Step]) -> io::Result<String> {
    let steps = steps.iter().map(json_step).collect();
    Ok(serde_json::to_string(&Json { ok, transport, nodes, steps })?)
}

fn json_step(step: &Step) -> JsonStep<'_> {
    JsonStep {
        name: step.scene.name(),
        ok: step.ok(),
        millis: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
        expected: &step.expected,
        seen: &step.seen,
        error: step.error.as_deref(),
    }
}
