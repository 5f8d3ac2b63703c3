//! What came of a demo: its steps, what else went wrong, and the exit code that says so.

use super::play::{Scene, Step};
use super::truth::Views;
use crate::cluster::{ClusterError, Signal};
use serde::Serialize;

/// What came of a demo.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The steps that were played to their end, whatever it was.
    pub(crate) steps: Vec<Step>,
    /// Why nothing could be played.
    pub(crate) error: Option<ClusterError>,
    /// Who wanted it to end.
    pub(crate) signal: Option<Signal>,
    /// What could not be cleaned up.
    pub(crate) left: Option<ClusterError>,
    /// The last words of each node, when a step went wrong.
    pub(crate) logs: Vec<(String, String)>,
}

impl Outcome {
    /// Nothing could be played.
    pub(crate) fn failed(error: ClusterError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Nothing was played.
    pub(crate) fn interrupted(signal: Signal) -> Self {
        Self { signal: Some(signal), ..Self::default() }
    }

    /// Whether all steps were played, and every count was right.
    pub(crate) fn played(&self) -> bool {
        self.steps.len() == Scene::ALL.len() && self.steps.iter().all(Step::ok)
    }

    /// Whether nothing at all went wrong.
    pub(crate) fn ok(&self) -> bool {
        self.played() && self.error.is_none() && self.signal.is_none() && self.left.is_none()
    }

    /// The exit code, as `--help` says.
    pub(crate) fn code(&self) -> u8 {
        match self.signal {
            Some(signal) => signal.exit_code(),
            None => u8::from(!self.ok()),
        }
    }

    /// What went wrong beside the steps, in the order in which it did.
    pub(crate) fn errors(&self) -> Vec<String> {
        let interrupted = self.signal.map(|signal| format!("interrupted by {signal}"));
        let (error, left) = (self.error.as_ref(), self.left.as_ref());
        error
            .map(ClusterError::to_string)
            .into_iter()
            .chain(interrupted)
            .chain(left.map(ClusterError::to_string))
            .collect()
    }

    /// The whole of it as one JSON object.
    pub(crate) fn json(&self, transport: &str, nodes: usize) -> Result<String, serde_json::Error> {
        let errors = self.errors();
        serde_json::to_string(&Json {
            ok: self.ok(),
            transport,
            nodes,
            error: (!errors.is_empty()).then(|| errors.join("; ")),
            steps: self.steps.iter().map(JsonStep::from).collect(),
        })
    }
}

#[derive(Debug, Serialize)]
struct Json<'a> {
    ok: bool,
    transport: &'a str,
    nodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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

impl<'a> From<&'a Step> for JsonStep<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            name: step.scene.name(),
            ok: step.ok(),
            millis: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            expected: &step.expected,
            seen: &step.seen,
            error: step.error.as_deref(),
        }
    }
}
