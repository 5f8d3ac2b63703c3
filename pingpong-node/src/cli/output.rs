//! What people and programs read: text and colours on a terminal, JSON where it is asked for.

pub(super) use crate::text::{BAD, DIM, GOOD, size, styled, table};

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// What came of a command, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It was not done.
    Failed,
    /// It may have been done, and must not be done again.
    Unknown,
    /// The node that was to be asked does not answer (`EX_UNAVAILABLE`).
    Unreachable,
    /// A person must do something first (`EX_CONFIG`).
    NeedsAPerson,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Unknown => Self::from(3),
            Outcome::Unreachable => Self::from(69),
            Outcome::NeedsAPerson => Self::from(pingpong_node::daemon::NEEDS_A_PERSON),
        }
    }
}

/// So many of a thing.
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Writes to standard output, without colours where nobody sees them. A reader that has gone is no failure.
pub(super) fn say(text: &str) -> Outcome {
    written(anstream::stdout().write_all(text.as_bytes()))
}

/// Writes a value as JSON on one line.
pub(super) fn say_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value).map_err(io::Error::from);
    written(text.and_then(|text| io::stdout().write_all((text + "\n").as_bytes())))
}

fn written(result: io::Result<()>) -> Outcome {
    match result.and_then(|()| io::stdout().flush()) {
        Ok(()) => Outcome::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Done,
        Err(error) => complain(&format!("the result cannot be written: {error}")),
    }
}

/// Says on standard error why something was not done.
pub(super) fn complain(error: &impl Display) -> Outcome {
    // When standard error is closed, there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "pingpong-node: {error}");
    Outcome::Failed
}
