//! The README's first steps are the example's, and as short as they claim to be.

const README: &str = include_str!("../../../README.md");
const EXAMPLE: &str = include_str!("../../examples/first_steps.rs");

fn first_steps() -> &'static str {
    let (_, after) = README.split_once("```rust\n").expect("the README has a block of Rust");
    after.split_once("```").expect("the block ends").0
}

#[test]
fn the_readme_shows_the_example_that_is_built() {
    // Behind what makes it an example: its description, and what it may do.
    let (_, program) = EXAMPLE.split_once("\n\n").expect("the example has a beginning of its own");
    assert_eq!(first_steps(), program);
}

#[test]
fn from_nothing_to_a_running_server_in_thirty_lines() {
    let lines = first_steps().lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 30, "{lines} lines");
}
