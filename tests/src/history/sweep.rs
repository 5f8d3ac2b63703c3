//! Whether units of a counter can have taken effect so that every read saw what it answered: exact, and in n log n.
//!
//! It knows neither producers nor levels; it places anonymous effects in time. What the windows and bounds of a history are,
//! others say.
//!
//! # The problem
//! A history has events 0 to m - 1, begins and ends, in the order of time. Gap g lies just before event g, and gap m after all.
//! Each ping takes effect in one gap of its [`Window`]: after its begin, and before its end if it was acknowledged, else in
//! any later gap; the last gap stands for "never", for no read sees it. Let c(g) be the number of effects in gaps up to g. A
//! read of value v that lasted from event s to event e needs an instant between the v-th and the next effect, so
//! c(s) <= v <= c(e), and that is enough, for c rises by one at a time: here units are needed (P21). So reads are [`Bounds`].
//!
//! # The algorithm
//! [`latest`] goes through the gaps and lets effects take place only when something forces them: a window that closes, or a
//! lower bound. Forced by a lower bound, it takes the open window that closes first (earliest deadline first). It refuses when
//! none is open, or when an upper bound is passed.
//!
//! # Why that is exact
//! Let S(g) be the windows used up to gap g, A(g, d) the number of windows opened by g that close by d, and B(g, d) the number
//! of windows in S(g) that close after d. Claim: at every g and for every d >= g, `latest` has the least B(g, d) of all
//! placements that keep all windows and lower bounds. Then it has the least c(g) too, since every placement has used what
//! closes by g, so that c(g) = A(g, g) + B(g, g): an upper bound that `latest` passes is passed by all. And a lower bound v
//! that it cannot reach, having used every open window, is reached by none.
//!
//! Proof, by induction over the gaps. Opening a window changes no B. Using a window that closes at g changes B(g, d) only for
//! d < g. A lower bound v that c(g) has not reached makes `latest` use v - c(g) windows, those that close by d before the
//! others. Of them A(g, d) - (c(g) - B(g, d)) were left, so B(g, d) becomes max(B(g, d), v - A(g, d)). Any other placement has
//! there at least v effects, so a B(g, d) of at least v - A(g, d), and at least what it had before, as B never falls. ∎
//!
//! The closed form of it names the witness of a refusal: c(g) is the greatest of A(g, g), and of v + N over all lower bounds v
//! at gaps a <= g, where N counts the windows that open after a and close by g.
//!
//! # Both hulls
//! Time backwards it is the same problem, so [`earliest`] has the greatest c(g) for every g, and the i-th effect lies between
//! the two in every placement. If the windows follow each other, in the order of opening and of closing, then the i-th effect
//! is that of the i-th window, and every rising choice between the two is a placement.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The gaps in which a ping can take effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) first: usize,
    pub(super) last: usize,
    /// The operation that closes the window.
    pub(super) closes: Option<usize>,
}

/// So many effects up to this gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) gap: usize,
    pub(super) count: usize,
    /// The read that says so.
    pub(super) read: usize,
}

/// What reads say about c.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// c is at least so much.
    pub(super) least: Vec<Bound>,
    /// c is at most so much.
    pub(super) most: Vec<Bound>,
}

impl Bounds {
    /// A read of `value` that lasted from event `begin` to event `end`.
    pub(super) fn read(&mut self, begin: usize, end: usize, value: usize, read: usize) {
        self.most.push(Bound { gap: begin, count: value, read });
        self.least.push(Bound { gap: end, count: value, read });
    }
}

/// There is no placement.
#[derive(Clone, Debug)]
pub(super) enum Conflict {
    /// At this bound there are at least `count` effects.
    TooSmall { bound: Bound, count: usize, witness: Witness },
    /// At this bound there are at most `count` effects.
    TooGreat { bound: Bound, count: usize },
    /// This window closes before it opens.
    Never { closes: Option<usize> },
}

/// Why there are at least so many effects: an earlier read, if any, and windows that opened after it and have closed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Witness {
    pub(super) earlier: Option<Bound>,
    pub(super) windows: usize,
    /// What closed the last of them.
    pub(super) closes: Option<usize>,
}

/// The latest gap of each effect.
pub(super) fn latest(windows: &[Window], bounds: &Bounds) -> Result<Vec<usize>, Conflict> {
    if let Some(window) = windows.iter().find(|window| window.first > window.last) {
        return Err(Conflict::Never { closes: window.closes });
    }
    let mut opening: Vec<_> = windows.iter().map(|window| (window.first, window.last)).collect();
    let (mut least, mut most) = (bounds.least.clone(), bounds.most.clone());
    opening.sort_unstable();
    least.sort_by_key(|bound| bound.gap);
    most.sort_by_key(|bound| bound.gap);
    let mut gaps: Vec<_> = windows.iter().map(|window| window.last).collect();
    gaps.extend(least.iter().chain(&most).map(|bound| bound.gap));
    gaps.sort_unstable();
    gaps.dedup();
    let (mut opening, mut least, mut most) = (opening.into_iter().peekable(), least.iter(), most.iter());
    let (mut next_least, mut next_most) = (least.next(), most.next());
    let mut open = BinaryHeap::new();
    let mut effects = Vec::with_capacity(windows.len());
    for gap in gaps {
        while let Some((_, last)) = opening.next_if(|(first, _)| *first <= gap) {
            open.push(Reverse(last));
        }
        while open.peek().is_some_and(|Reverse(last)| *last <= gap) {
            open.pop();
            effects.push(gap);
        }
        while let Some(bound) = next_least.filter(|bound| bound.gap <= gap) {
            while effects.len() < bound.count {
                if open.pop().is_none() {
                    return Err(Conflict::TooGreat { bound: *bound, count: effects.len() });
                }
                effects.push(gap);
            }
            next_least = least.next();
        }
        while let Some(bound) = next_most.filter(|bound| bound.gap <= gap) {
            if effects.len() > bound.count {
                let witness = witness(windows, bounds, gap);
                return Err(Conflict::TooSmall { bound: *bound, count: effects.len(), witness });
            }
            next_most = most.next();
        }
    }
    Ok(effects)
}

/// The earliest gap of each effect. `end` is the last gap.
pub(super) fn earliest(windows: &[Window], bounds: &Bounds, end: usize) -> Result<Vec<usize>, Conflict> {
    let turned: Vec<_> = windows
        .iter()
        .map(|window| Window { first: end - window.last, last: end - window.first, closes: window.closes })
        .collect();
    // At most v effects up to gap g are all but v after it.
    let turn = |bound: &Bound| Bound {
        gap: (end - bound.gap).saturating_sub(1),
        count: windows.len().saturating_sub(bound.count),
        read: bound.read,
    };
    let bounds =
        Bounds { least: bounds.most.iter().map(turn).collect(), most: bounds.least.iter().map(turn).collect() };
    let effects = latest(&turned, &bounds)?;
    Ok(effects.into_iter().rev().map(|gap| end - gap).collect())
}

/// The closed form of c at this gap.
fn witness(windows: &[Window], bounds: &Bounds, gap: usize) -> Witness {
    let mut closed: Vec<_> = windows.iter().filter(|window| window.last <= gap).collect();
    closed.sort_unstable_by_key(|window| window.first);
    let until = |at: usize| closed.partition_point(|window| window.first <= at);
    let (mut earlier, mut from, mut count) = (None, 0, closed.len());
    for bound in bounds.least.iter().filter(|bound| bound.gap <= gap) {
        let since = closed.len() - until(bound.gap);
        // Of equal ones that which a person sees at once: without windows.
        let simpler = bound.count + since == count && since == 0 && earlier.is_some();
        if bound.count + since > count || simpler {
            (earlier, from, count) = (Some(*bound), closed.len() - since, bound.count + since);
        }
    }
    let closes = closed[from..].iter().filter(|window| window.closes.is_some()).max_by_key(|window| window.last);
    Witness { earlier, windows: closed.len() - from, closes: closes.and_then(|window| window.closes) }
}
