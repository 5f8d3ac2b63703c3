//! Runs one case on one harness, and says how it ended.

use crate::capability::Capability;
use crate::harness::Harness;
use crate::promises;
use crate::toolkit::Cluster;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

/// A case as a future that panics when the promise is broken.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One case of the suite.
pub struct Case {
    /// Its name, as the named test has it.
    pub name: &'static str,
    /// The chapter's module.
    pub module: &'static str,
    /// The number of the promise that it checks.
    pub promise: &'static str,
    /// What it needs of the harness.
    pub needs: &'static [Capability],
    /// The case itself.
    pub run: for<'a> fn(&'a Cluster) -> Running<'a>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{} ({}: {}", self.module, self.name, self.promise, promises::gist(self.promise))?;
        if !self.needs.is_empty() {
            write!(f, "; needs {:?}", self.needs)?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// The harness lacks something, for this reason.
    Skipped(String),
    /// The promise was broken; the words say where.
    Failed(String),
}

/// Runs a case on a fresh harness, within the harness's limit for a case.
pub fn run_case(case: &Case, harness: Arc<dyn Harness>) -> Outcome {
    let capabilities = harness.capabilities();
    for need in case.needs {
        if let Some(reason) = capabilities.missing(*need) {
            return Outcome::Skipped(format!("the harness lacks {need:?}: {reason}"));
        }
    }
    let limit = harness.timing().case_limit();
    let runtime = harness.runtime();
    let cluster = Cluster::new(harness);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { tokio::time::timeout(limit, (case.run)(&cluster)).await.is_ok() })
    }));
    drop(cluster);
    runtime.shutdown_background();
    match ended {
        Ok(true) => Outcome::Passed,
        Ok(false) => Outcome::Failed(format!("it did not end within {limit:?}")),
        Err(payload) => Outcome::Failed(words(payload.as_ref())),
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Runs the case of that name as a test: panics when it fails, and prints when it is skipped.
///
/// What [`conformance_suite!`](crate::conformance_suite) puts into each named test.
pub fn run_test(name: &str, harness: impl Harness) {
    let cases = crate::CASES.iter().chain(crate::stories::STORIES);
    let case = cases.into_iter().find(|case| case.name == name).expect("a list of cases names it");
    match run_case(case, Arc::new(harness)) {
        Outcome::Passed => {}
        Outcome::Skipped(reason) => eprintln!("SKIPPED {case}: {reason}"),
        Outcome::Failed(words) => panic!("FAILED {case}: {words}"),
    }
}
