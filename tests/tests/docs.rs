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
