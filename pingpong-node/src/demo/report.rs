//! What is said of a play: to people while it goes on, a table after each step; to programs one JSON object at the end.

use super::outcome::Outcome;
use super::output::Output;
use super::play::{Audience, Scene, Step};
use super::table;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// To the beginning of the line, which is deleted.
const CLEAR: &str = "\r\x1b[2K";

/// How text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// For files, pipes, and whoever wants it so.
    Plain,
    /// In colour, with a line of progress that is written over.
    Terminal,
}

impl Style {
    fn of(stream: &impl IsTerminal) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self::choose(stream.is_terminal(), no_colour, dumb)
    }

    fn choose(terminal: bool, no_colour: bool, dumb: bool) -> Self {
        if terminal && !no_colour && !dumb { Self::Terminal } else { Self::Plain }
    }

    fn mark(self, ok: bool) -> &'static str {
        match (self, ok) {
            (Self::Terminal, true) => "\x1b[32m\u{2713}\x1b[0m",
            (Self::Terminal, false) => "\x1b[31m\u{2717}\x1b[0m",
            (Self::Plain, true) => "ok  ",
            (Self::Plain, false) => "FAIL",
        }
    }
}

/// Who is told, and how.
pub(crate) struct Report {
    /// For people: standard output. If that is for a program, standard error, and only if somebody watches.
    people: Option<Output>,
    style: Style,
    json: bool,
    /// How many nodes play.
    nodes: usize,
    /// The progress that stands on the terminal now.
    progress: String,
}

impl Report {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(json: bool, nodes: usize) -> Self {
        let (people, style) = if json {
            let watched = io::stderr().is_terminal();
            (watched.then(|| Output::to(tokio::io::stderr())), Style::of(&io::stderr()))
        } else {
            (Some(Output::to(tokio::io::stdout())), Style::of(&io::stdout()))
        };
        Self { people, style, json, nodes, progress: String::new() }
    }

    /// Lines for people.
    pub(crate) async fn say(&mut self, text: &str) {
        let clear = if std::mem::take(&mut self.progress).is_empty() { "" } else { CLEAR };
        if let Some(people) = &self.people {
            people.say(format!("{clear}{text}\n")).await;
        }
    }

    /// Writes over the last progress. It does not wrap in a narrow terminal: what wraps cannot be written over.
    fn progress(&mut self, text: String) {
        if let (Style::Terminal, Some(people)) = (self.style, &self.people)
            && text != self.progress
        {
            people.hint(format!("{CLEAR}\x1b[?7l\u{2026} {text}\x1b[?7h"));
            self.progress = text;
        }
    }

    /// Says what came of it, and waits until all is written.
    ///
    /// # Errors
    /// The result could not be written, although somebody reads it.
    pub(crate) async fn finish(
        mut self,
        outcome: &Outcome,
        transport: &str,
        nodes: usize,
        took: Duration,
    ) -> io::Result<()> {
        let verdict = match outcome.signal {
            Some(signal) => Some(format!("interrupted by {signal}")),
            None if outcome.played() => Some("every count is right".to_owned()),
            None if outcome.error.is_none() => Some("a step went wrong".to_owned()),
            // It was not played; why not stands where errors do.
            None => None,
        };
        if let Some(verdict) = verdict {
            self.say(&format!("{verdict} ({})", seconds(took))).await;
        }
        let written = match self.people {
            Some(people) => people.finish().await,
            None => Ok(()),
        };
        if !self.json {
            return written;
        }
        let program = Output::to(tokio::io::stdout());
        program.say(outcome.json(transport, nodes)? + "\n").await;
        program.finish().await
    }
}

impl Audience for Report {
    fn begins(&mut self, scene: Scene) {
        self.progress(scene.title(self.nodes));
    }

    fn waits(&mut self, scene: Scene, right: usize, of: usize) {
        self.progress(format!("{} ({right} of {of} nodes are there)", scene.title(self.nodes)));
    }

    async fn ends(&mut self, step: &Step) {
        let title = step.scene.title(self.nodes);
        let mut text = format!("{} {title} ({})", self.style.mark(step.ok()), seconds(step.took));
        if let Some(error) = &step.error {
            text += &format!("\n      {error}");
        }
        if !self.json {
            let tables = table::links(&step.expected, &step.seen)
                + &table::counts(&step.expected, &step.seen, self.style == Style::Terminal)
                + &table::majority(&step.expected, &step.seen);
            text += &format!("\n{}", tables.trim_end());
        }
        self.say(text.trim_end()).await;
    }
}

/// A time, for people.
fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::truth::Views;
    use tokio::io::{AsyncReadExt, DuplexStream};

    fn report(style: Style) -> (Report, DuplexStream) {
        let (reader, writer) = tokio::io::duplex(64 * 1024);
        (Report { people: Some(Output::to(writer)), style, json: false, nodes: 2, progress: String::new() }, reader)
    }

    async fn said(style: Style) -> String {
        let (mut report, mut reader) = report(style);
        report.begins(Scene::Meet);
        report.waits(Scene::Meet, 1, 2);
        let (expected, seen) = (Views::new(), Views::new());
        let took = Duration::from_millis(1_500);
        let step = Step { scene: Scene::Meet, expected, seen, took, error: Some("no node can be started".to_owned()) };
        report.ends(&step).await;
        let outcome = Outcome { steps: vec![step], ..Outcome::default() };
        report.finish(&outcome, "model", 2, took).await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn plain_text_has_no_escape_codes_and_no_empty_table() {
        let text = "FAIL nodes find each other (1.50 s)\n      no node can be started\na step went wrong (1.50 s)\n";
        assert_eq!(said(Style::Plain).await, text);
    }

    #[tokio::test]
    async fn a_terminal_shows_progress_that_is_written_over() {
        let text = said(Style::Terminal).await;
        let progress = "\r\x1b[2K\x1b[?7l\u{2026} nodes find each other (1 of 2 nodes are there)\x1b[?7h\r\x1b[2K";
        assert!(text.contains(progress), "{text:?}");
        assert!(text.contains("\x1b[31m\u{2717}\x1b[0m nodes find each other (1.50 s)\n"), "{text:?}");
    }

    #[test]
    fn titles_name_the_nodes_that_they_are_about() {
        let titles = |nodes| Scene::ALL.iter().map(|scene| scene.title(nodes)).collect::<Vec<_>>();
        let of_three = titles(3);
        assert_eq!(of_three[2], "a consumer crashes and recovers: that of n2");
        assert_eq!((of_three[3].as_str(), of_three[4].as_str()), ("a node is killed: n3", "it starts again: n3"));
        assert_eq!(of_three[5], "partition: each side counts its own: n1 | n2, n3");
        assert!(titles(16)[5].ends_with("n1 to n8 | n9 to n16"));
    }

    #[test]
    fn a_terminal_that_is_dumb_and_whoever_wants_no_colour_get_plain_text() {
        assert_eq!(Style::choose(true, false, false), Style::Terminal);
        for (terminal, no_colour, dumb) in [(false, false, false), (true, true, false), (true, false, true)] {
            assert_eq!(Style::choose(terminal, no_colour, dumb), Style::Plain);
        }
    }
}
