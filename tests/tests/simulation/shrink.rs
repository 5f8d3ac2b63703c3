//! Makes a failing plan small: takes away steps, clients and questions while it still fails.

use crate::plan::Plan;
use crate::run::{Ran, run};

/// Runs that may be spent on one plan.
const RUNS: usize = 400;

/// The smallest plan that was found to fail, and how it does.
pub(crate) fn shrink(plan: Plan) -> (Plan, Ran) {
    let mut search = Search { runs: RUNS };
    let mut plan = plan;
    let mut size = usize::MAX;
    while search.runs > 0 && plan.size() < size {
        size = plan.size();
        plan = search.thin(plan, |plan| plan.clients.len(), |plan, range| drop(plan.clients.drain(range)));
        plan = search.thin(plan, |plan| plan.steps.len(), |plan, range| drop(plan.steps.drain(range)));
        for client in 0..plan.clients.len() {
            plan = search.thin(
                plan,
                |plan| plan.clients[client].asks.len(),
                |plan, range| drop(plan.clients[client].asks.drain(range)),
            );
        }
        plan.clients.retain(|client| !client.asks.is_empty());
    }
    let ran = run(&plan);
    (plan, ran)
}

impl Plan {
    fn size(&self) -> usize {
        self.steps.len() + self.clients.iter().map(|client| client.asks.len()).sum::<usize>()
    }
}

struct Search {
    runs: usize,
}

impl Search {
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.runs == 0 {
            return false;
        }
        self.runs -= 1;
        run(plan).outcome.is_err()
    }

    /// Takes away parts of a list: halves first, single ones last.
    fn thin(
        &mut self,
        mut plan: Plan,
        len: impl Fn(&Plan) -> usize,
        remove: impl Fn(&mut Plan, std::ops::Range<usize>),
    ) -> Plan {
        let mut chunk = len(&plan);
        while chunk > 0 && self.runs > 0 {
            // From the end: what comes later can often be spared.
            let mut end = len(&plan);
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let mut smaller = plan.clone();
                remove(&mut smaller, begin..end);
                if self.fails(&smaller) {
                    plan = smaller;
                }
                end = begin;
            }
            chunk /= 2;
        }
        plan
    }
}
