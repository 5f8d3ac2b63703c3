//! What the user sees: progress, a table after each step, or one JSON object at the end.

use super::play::{Audience, Shown, Step};
use super::stage::name;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Where progress goes, and how.
pub(crate) struct Report {
    output: Option<Box<dyn Write>>,
    /// Whether a line may be written over, and marked in colour.
    terminal: bool,
    tables: bool,
    nodes: usize,
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
    expected: Shown<'a>,
    seen: Shown<'a>,
    /// Which nodes each node should be linked with; in a step about links alone that is what is expected and seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Compared<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Compared<'a> {
    expected: Shown<'a>,
    seen: Shown<'a>,
}

impl Report {
    /// For people: all of it on standard output. For programs: progress alone, and only if somebody watches.
    pub(crate) fn new(nodes: usize, json: bool) -> Self {
        let (output, terminal): (Option<Box<dyn Write>>, bool) = if json {
            let terminal = io::stderr().is_terminal();
            (terminal.then(|| Box::new(io::stderr()) as Box<dyn Write>), terminal)
        } else {
            (Some(Box::new(io::stdout())), io::stdout().is_terminal())
        };
        Self { output, terminal, tables: !json, nodes, progress: String::new(), failed: None }
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

    /// Rows are consumers, columns producers; a cell is what was seen of what was expected.
    fn counts(&self, step: &Step) -> String {
        let names: Vec<String> = (0..self.nodes).map(name).collect();
        let mut rows = vec![vec![(String::new(), true)]];
        rows[0].extend(names.iter().map(|name| (name.clone(), true)));
        for consumer in &names {
            let mut row = vec![(consumer.clone(), true)];
            let (expected, seen) = (step.expected.get(consumer), step.seen.get(consumer));
            for producer in &names {
                let count =
                    |look: Option<&super::stage::Look>| look.and_then(|look| look.counts.get(producer).copied());
                row.push(match (count(seen), count(expected)) {
                    (None, None) => ("-".to_owned(), true),
                    (seen, expected) => {
                        let text = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
                        (format!("{}/{}", text(seen), text(expected)), seen == expected)
                    }
                });
            }
            rows.push(row);
        }
        self.aligned(&rows)
    }

    fn aligned(&self, rows: &[Vec<(String, bool)>]) -> String {
        let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.len()).max();
        let mut table = String::new();
        for row in rows {
            let mut line = "     ".to_owned();
            for (column, (text, right)) in row.iter().enumerate() {
                let text = format!("{text:>width$}", width = width(column).unwrap_or(0));
                line += &match (right, self.terminal) {
                    (true, _) => format!(" {text} "),
                    (false, true) => format!(" \x1b[31m{text}\x1b[0m!"),
                    (false, false) => format!(" {text}!"),
                };
            }
            table += line.trim_end();
            table.push('\n');
        }
        table
    }

    fn links(&self, step: &Step) -> String {
        let mut text = String::new();
        for node in (0..self.nodes).map(name) {
            let list = |views: &BTreeMap<String, super::stage::Look>| {
                views.get(&node).map(|look| look.links.iter().cloned().collect::<Vec<_>>().join(" "))
            };
            let (expected, seen) = (list(&step.expected), list(&step.seen));
            if expected != seen {
                let text_of = |list: Option<String>| list.unwrap_or_else(|| "nothing".to_owned());
                text += &format!("      {node} is linked with [{}]!", text_of(seen));
                text += &format!(" it should be with [{}]\n", text_of(expected));
            } else if let (true, Some(seen)) = (step.links_only, seen) {
                text += &format!("      {node} is linked with {seen}\n");
            }
        }
        text
    }
}

impl Audience for Report {
    fn begins(&mut self, name: &'static str) {
        self.progress(format!("\u{2026} {name}"));
    }

    fn waits(&mut self, name: &'static str, right: usize, of: usize) {
        self.progress(format!("\u{2026} {name} ({right} of {of} nodes are there)"));
    }

    fn ends(&mut self, step: &Step) {
        let seconds = seconds(step.took);
        self.say(&format!("{} {} ({seconds})", self.mark(step.ok()), step.name));
        if let Some(error) = &step.error {
            self.say(&format!("      {error}"));
        }
        if self.tables {
            let mut text = self.links(step);
            if !step.links_only {
                text += &self.counts(step);
            }
            self.write(&text);
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
    let links = Compared { expected: Shown::links(&step.expected), seen: Shown::links(&step.seen) };
    let counts = Compared { expected: Shown::counts(&step.expected), seen: Shown::counts(&step.seen) };
    let (shown, links) = if step.links_only { (links, None) } else { (counts, Some(links)) };
    JsonStep {
        name: step.name,
        ok: step.ok(),
        millis: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
        expected: shown.expected,
        seen: shown.seen,
        links,
        error: step.error.as_deref(),
    }
}
