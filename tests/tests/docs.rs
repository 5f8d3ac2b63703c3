//! The documents keep up with the code: every log line at warn or error has its remedy, and what a page cites is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The text of a macro call, from its name to its closing parenthesis.
fn calls<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let ends = |rest: &str| {
        let (mut depth, mut quoted, mut escaped) = (0, false, false);
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'(' if !quoted => depth += 1,
                b')' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 && byte == b')' && !quoted {
                return at + 1;
            }
        }
        rest.len()
    };
    text.match_indices(name).map(|(at, _)| &text[at..at + ends(&text[at..])]).collect()
}

/// The last string literal in it: what the line says.
fn message(call: &str) -> String {
    let literals: Vec<&str> = call.split('"').collect();
    let last = literals[literals.len() - 2];
    last.split("\\\n").map(str::trim_start).collect()
}

#[test]
fn every_line_at_warn_or_error_has_a_remedy_in_the_operators_page() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let listed: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut sources = Vec::new();
    for dir in ["pingpong-core/src", "pingpong-transport-quic/src", "pingpong-transport-mem/src", "pingpong-node/src"] {
        files(&root().join(dir), "rs", &mut sources);
    }
    // The demo and the bench say what they say to those who watch them.
    sources.retain(|path| {
        !["demo", "bench", "stage"].iter().any(|dir| path.components().any(|part| part.as_os_str() == *dir))
    });
    let mut lines = BTreeSet::new();
    for path in &sources {
        let text = std::fs::read_to_string(path).unwrap();
        for level in ["tracing::warn!(", "tracing::error!("] {
            for call in calls(&text, level) {
                // What stands for the line is given by its callers.
                let message = message(call).replace("{what}", "");
                lines.insert(message.trim_end_matches([':', ' ']).to_owned());
            }
        }
    }
    lines.remove("");
    assert!(lines.len() > 30, "they are found: {lines:?}");
    let missing: Vec<&String> = lines.iter().filter(|line| !listed.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "docs/operations.md has no remedy for {missing:#?}");
}

#[test]
fn what_the_documents_link_to_is_there() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    files(&root().join("docs"), "md", &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{} links to {link}, which is not there", page.display());
        }
    }
}

/// Public functions that are async, with the text before and in their declaration: those of types, and the methods of public traits.
fn async_functions(text: &str) -> Vec<(String, String)> {
    let (mut found, mut in_trait, mut comment) = (Vec::new(), false, String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if line.starts_with("pub trait ") {
            in_trait = true;
        } else if line == "}" {
            in_trait = false;
        }
        let is_method = in_trait && line.starts_with("    ") && !line.starts_with("     ");
        let is_candidate = trimmed.starts_with("pub async fn ")
            || is_method && (trimmed.starts_with("fn ") || trimmed.starts_with("async fn "));
        if is_candidate {
            let mut declaration = trimmed.to_owned();
            while !declaration.ends_with(['{', ';']) {
                declaration += lines.next().expect("a declaration ends").trim_start();
            }
            let returns = declaration.split("->").last().unwrap_or_default();
            if declaration.contains("async fn ") || returns.contains("impl Future") || returns.contains("dyn Future") {
                found.push((declaration, std::mem::take(&mut comment)));
            }
        }
        match trimmed.strip_prefix("///") {
            Some(words) => comment = comment + words + " ",
            None if trimmed.starts_with("#[") => {}
            None => comment.clear(),
        }
    }
    found
}

#[test]
fn every_async_function_says_whether_it_is_cancel_safe() {
    let mut sources = Vec::new();
    for dir in ["pingpong-core/src", "pingpong-transport-quic/src", "pingpong-transport-mem/src", "pingpong-node/src"] {
        files(&root().join(dir), "rs", &mut sources);
    }
    // Those of the program are nobody's to call.
    sources.retain(|path| {
        !["bench", "cli", "cluster", "demo"].iter().any(|dir| path.components().any(|part| part.as_os_str() == *dir))
    });
    let (mut seen, mut silent) = (0, Vec::new());
    for path in &sources {
        for (declaration, comment) in async_functions(&std::fs::read_to_string(path).unwrap()) {
            seen += 1;
            if !comment.to_lowercase().contains("cancel safe") {
                silent.push(format!("{}: {declaration}", path.display()));
            }
        }
    }
    assert!(seen > 50, "they are found: {seen}");
    assert!(silent.is_empty(), "these do not say whether they are cancel safe: {silent:#?}");
}

/// Where the tests are that the page of promises cites, by the word before `::`.
const SUITES: [(&str, &[&str]); 7] = [
    ("counts", &["tests/tests/counts"]),
    ("counts_model", &["tests/tests/counts_model"]),
    ("simulation", &["tests/tests/simulation"]),
    ("history", &["tests/tests/history"]),
    ("exercise", &["pingpong-core/src/exercise", "pingpong-core/tests/exercise"]),
    ("store", &["pingpong-node/tests/store"]),
    ("system", &["pingpong-node/tests/system"]),
];

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The tests in a directory: functions with the attribute, and the names that are given to macros which make such functions.
fn tests_in(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let (mut is_next, mut in_checks) = (false, false);
            for line in text.lines().map(str::trim) {
                is_next |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                in_checks = (in_checks || line == "hold! {" || line == "bug! {") && line != "}";
                let function =
                    line.split_once("fn ").filter(|_| is_next).map(|(_, rest)| rest.split('(').next().unwrap());
                is_next &= function.is_none();
                let check = line.split_once(": ").filter(|_| in_checks).map(|(name, _)| name);
                let history = line.strip_prefix("refuses!(").and_then(|rest| rest.split(',').next());
                // A scenario, with its module.
                let scenario = line.strip_suffix(';').and_then(|line| line.split_once("::"));
                let scenario = scenario.filter(|(module, _)| is_name(module)).map(|(_, name)| name);
                let names = [function, check, history, scenario].into_iter().flatten();
                found.extend(names.filter(|name| is_name(name)).map(str::to_owned));
            }
        }
    }
}

/// The first cell of each row of the tables in it, with the row.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| Some((line.strip_prefix("| ")?.split(" |").next()?, line)))
}

/// What stands between backticks as `suite::test`.
fn cited(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    words.filter_map(|word| word.split_once("::")).filter(|(suite, test)| is_name(suite) && is_name(test))
}

#[test]
fn every_promise_of_the_counting_protocol_names_tests_that_are_there() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (protocol, proofs) = (page("counts.md"), page("consistency.md"));

    let mut tests = BTreeSet::new();
    for (suite, dirs) in SUITES {
        let mut found = BTreeSet::new();
        dirs.iter().for_each(|dir| tests_in(&root().join(dir), &mut found));
        tests.extend(found.into_iter().map(|test| (suite, test)));
    }
    let is_there = |(suite, test): &(&str, &str)| tests.iter().any(|(s, t)| s == suite && t == test);
    let missing: Vec<_> = cited(&proofs).filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "docs/consistency.md cites tests that are not there: {missing:#?}");

    // By the numbers that there must be, and by those that the protocol gives besides.
    let mut promises: BTreeSet<String> = (1..=28).map(|number| format!("P{number}")).collect();
    promises.extend((1..=9).map(|number| format!("CANNOT {number}")));
    for start in ["- P", "CANNOT "] {
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        // A colon or a full stop follows the number where it is given, and not where it is cited.
        let numbers = protocol.split(start).skip(1).map(|rest| (digits(rest), rest));
        let given = numbers.filter(|(number, rest)| !number.is_empty() && rest[number.len()..].starts_with([':', '.']));
        promises.extend(given.map(|(number, _)| format!("{}{number}", start.trim_start_matches("- "))));
    }
    let (_, lost) = protocol.split_once("## What is lost").unwrap();
    let faults = rows(lost.split("\n## ").next().unwrap()).map(|(fault, _)| fault).filter(|fault| *fault != "fault");
    let faults: Vec<&str> = faults.collect();
    assert!(faults.len() > 10, "they are found: {faults:?}");
    for wanted in promises.iter().map(String::as_str).chain(faults) {
        let found: Vec<&str> = rows(&proofs).filter(|(first, _)| *first == wanted).map(|(_, row)| row).collect();
        assert_eq!(found.len(), 1, "docs/consistency.md has one row for {wanted}: {found:?}");
        assert!(cited(found[0]).next().is_some(), "docs/consistency.md names no test for {wanted}");
    }
}
