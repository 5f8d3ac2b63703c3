//! What a green run found out, as a file, since the output of tests that pass is not shown.
//!
//! The files lie in `reports` of cargo's directory for tests; a run begins its own anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// Parts of the reports of this process, by report and title.
static PARTS: Mutex<BTreeMap<(&str, &str), String>> = Mutex::new(BTreeMap::new());

/// Prints a part of a report, and writes the report with all parts so far, in the order of their titles.
pub(crate) fn report(name: &'static str, title: &'static str, text: String) {
    println!("{text}");
    let mut parts = PARTS.lock().expect("no test panics while it reports");
    parts.insert((name, title), text);
    let of_report = parts.iter().filter(|((report, _), _)| *report == name);
    let whole: String = of_report.map(|(_, text)| format!("{text}\n")).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    std::fs::create_dir_all(&folder).expect("cargo's directory for tests can be written");
    std::fs::write(folder.join(format!("{name}.txt")), whole).expect("cargo's directory for tests can be written");
}
