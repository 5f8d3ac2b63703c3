//! What nodes said beside what they should have said, for people.

use super::stage::{Counts, Look, Verdict};
use super::truth::Views;
use std::collections::BTreeSet;

/// A cell that is not as it should be is marked by this, and in colour where there is any.
const WRONG: char = '!';

/// The links of each node: all of them while nobody has pinged, later on only those that are wrong.
pub(crate) fn links(expected: &Views, seen: &Views) -> String {
    let all = !pinged(expected);
    let mut text = String::new();
    for node in nodes(expected, seen) {
        let list = |views: &Views| views.get(node).map(|look| look.links.iter().cloned().collect::<Vec<_>>().join(" "));
        let (wanted, found) = (list(expected), list(seen));
        if wanted != found {
            let words = |list: Option<String>| list.map_or("not asked".to_owned(), |list| format!("[{list}]"));
            text += &format!("      {node} links: {}{WRONG} expected: {}\n", words(found), words(wanted));
        } else if let (true, Some(found)) = (all, found) {
            text += &format!("      {node} links: {found}\n");
        }
    }
    text
}

/// What a majority said through each node, where it was asked; and who does not vote, where that is wrong.
pub(crate) fn majority(expected: &Views, seen: &Views) -> String {
    let mut text = String::new();
    for node in nodes(expected, seen) {
        let recovers = |views: &Views| views.get(node).is_some_and(|look| look.recovering);
        if recovers(expected) != recovers(seen) {
            let words = |recovers| if recovers { "does not vote yet" } else { "votes" };
            text += &format!("      {node} {}{WRONG} expected: {}\n", words(recovers(seen)), words(recovers(expected)));
        }
        let verdict = |views: &Views| views.get(node).and_then(|look| look.majority);
        let words = |verdict: Option<Verdict>| verdict.map_or("not asked".to_owned(), |verdict| verdict.to_string());
        match (verdict(expected), verdict(seen)) {
            (None, None) => {}
            (wanted, found) if wanted == found => {
                text += &format!("      {node} asks a majority: {}/{}\n", words(found), words(wanted));
            }
            (wanted, found) => {
                text += &format!("      {node} asks a majority: {}/{}{WRONG}\n", words(found), words(wanted));
            }
        }
    }
    text
}

/// Rows are consumers, columns producers; a cell is what was seen of what was expected. Nothing while nobody has pinged,
/// and nothing is wrong.
pub(crate) fn counts(expected: &Views, seen: &Views, colour: bool) -> String {
    let of = |views: &Views, consumer: &str| views.get(consumer).map(|look| look.counts.clone()).unwrap_or_default();
    let consumers = nodes(expected, seen);
    let right = consumers.iter().all(|consumer| of(expected, consumer) == of(seen, consumer));
    let looks = || expected.values().chain(seen.values());
    let producers: BTreeSet<&String> = looks().flat_map(|look| look.counts.keys()).collect();
    if producers.is_empty() || (right && !pinged(expected)) {
        return String::new();
    }
    let mut rows = vec![vec![(String::new(), true)]];
    rows[0].extend(producers.iter().map(|producer| ((*producer).clone(), true)));
    for consumer in consumers {
        let (wanted, found) = (of(expected, consumer), of(seen, consumer));
        let mut row = vec![(consumer.clone(), true)];
        row.extend(producers.iter().map(|producer| cell(&wanted, &found, producer)));
        rows.push(row);
    }
    aligned(&rows, colour)
}

fn cell(wanted: &Counts, found: &Counts, producer: &str) -> (String, bool) {
    match (wanted.get(producer), found.get(producer)) {
        (None, None) => ("-".to_owned(), true),
        (wanted, found) => {
            let text = |count: Option<&u64>| count.map_or("-".to_owned(), u64::to_string);
            (format!("{}/{}", text(found), text(wanted)), wanted == found)
        }
    }
}

fn nodes<'a>(expected: &'a Views, seen: &'a Views) -> BTreeSet<&'a String> {
    expected.keys().chain(seen.keys()).collect()
}

fn pinged(views: &Views) -> bool {
    views.values().flat_map(|look: &Look| look.counts.values()).any(|count| *count > 0)
}

/// A cell is its text, and whether it is right.
fn aligned(rows: &[Vec<(String, bool)>], colour: bool) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.len()).max();
    let mut table = String::new();
    for row in rows {
        let mut line = "     ".to_owned();
        for (column, (text, right)) in row.iter().enumerate() {
            let text = format!("{text:>width$}", width = width(column).unwrap_or(0));
            line += &match (right, colour) {
                (true, _) => format!(" {text} "),
                (false, true) => format!(" \x1b[31m{text}\x1b[0m{WRONG}"),
                (false, false) => format!(" {text}{WRONG}"),
            };
        }
        table += line.trim_end();
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, u64)]);

    fn views(said: &[Said<'_>]) -> Views {
        let look = |(node, links, counts): &Said<'_>| {
            let links = links.iter().map(|link| (*link).to_owned()).collect();
            let counts = counts.iter().map(|(producer, count)| ((*producer).to_owned(), *count)).collect();
            ((*node).to_owned(), Look { links, counts, ..Look::default() })
        };
        said.iter().map(look).collect()
    }

    #[test]
    fn what_is_wrong_stands_beside_what_is_right_and_is_marked() {
        let expected = views(&[("n1", &["n2"], &[("n1", 10), ("n2", 20)]), ("n2", &["n1"], &[("n1", 10), ("n2", 20)])]);
        let mut seen = expected.clone();
        assert_eq!(links(&expected, &seen), "");
        let right = ["             n1     n2", "      n1  10/10  20/20", "      n2  10/10  20/20"];
        assert_eq!(counts(&expected, &seen, false).lines().collect::<Vec<_>>(), right);
        let n2 = seen.get_mut("n2").unwrap();
        n2.counts = Counts::from([("n1".to_owned(), 9)]);
        n2.links.clear();
        let text = counts(&expected, &seen, false);
        assert!(text.contains("9/10!") && text.contains("-/20!") && !text.contains('\x1b'), "{text}");
        assert!(counts(&expected, &seen, true).contains("\x1b[31m 9/10\x1b[0m!"));
        assert_eq!(links(&expected, &seen), "      n2 links: []! expected: [n1]\n");
    }

    #[test]
    fn while_nobody_has_pinged_the_links_are_shown_and_counts_only_if_they_are_wrong() {
        let expected = views(&[("n1", &["n2"], &[("n1", 0), ("n2", 0)]), ("n2", &["n1"], &[("n1", 0), ("n2", 0)])]);
        assert_eq!(links(&expected, &expected), "      n1 links: n2\n      n2 links: n1\n");
        assert_eq!(counts(&expected, &expected, false), "");
        let mut seen = expected.clone();
        seen.get_mut("n1").unwrap().counts.remove("n2");
        assert!(counts(&expected, &seen, false).contains("-/0!"));
    }

    #[test]
    fn a_node_that_could_not_be_asked_is_wrong_and_nothing_at_all_is_no_table() {
        let expected = views(&[("n1", &[], &[("n1", 3)])]);
        assert_eq!(links(&expected, &Views::new()), "      n1 links: not asked! expected: []\n");
        assert!(counts(&expected, &Views::new(), false).contains("-/3!"));
        assert_eq!(links(&Views::new(), &Views::new()) + &counts(&Views::new(), &Views::new(), true), "");
    }
}
