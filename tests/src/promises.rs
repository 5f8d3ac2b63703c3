//! The promises of the contract, and the rules of the counting protocol above it, in a line each, for the words of a failure.
//! The whole of them is on [`Transport`](pingpong_core::Transport), and in [`exercise`](pingpong_core::exercise).

/// Number and gist of every promise.
pub const PROMISES: &[(&str, &str)] = &[
    ("Words", "a restart is a greater incarnation; links are pairwise; one server of a name on a node"),
    ("M1", "list() returns the nodes with a session right now, sorted by name, without the local one"),
    ("M2", "a monitor starts with one Up for every node already linked, then live events"),
    ("M3", "for one name Up and Down alternate, and Down names the incarnation that was up"),
    ("M4", "whoever has handled Up(n) finds n in list(), unless a Down(n) already waits"),
    ("M5", "the reasons of Down tell the causes apart"),
    ("M6", "a silent peer is Down within the failure timeout, a living one stays"),
    ("M7", "after a heal the link comes back by itself; any one working address suffices"),
    ("M8", "a monitor never blocks, never misses a state, and folds what was not read"),
    ("M9", "a session ends on every side that was Up in it; there is one link for each pair"),
    ("C1", "abcast sends to the local node and every linked or named one, and says which accepted"),
    ("C2", "casts and calls from one node to one server on another are delivered in the order sent"),
    ("C3", "between Up and Down a gap-free prefix of what was sent is delivered, each once"),
    ("C4", "nothing of a session is delivered before its Up or after its Down"),
    ("C5", "what has no server, or lay in the mailbox of one that ended, is counted and not delivered"),
    ("C6", "servers do not wait for each other"),
    ("C7", "each message is encoded once, however many nodes it goes to"),
    ("R1", "multi_call returns by the deadline, always"),
    ("R2", "each target appears exactly once in the result, with the incarnation that answered or failed"),
    ("R3", "each failure has its own reason, says whether it was sent, and comes when it is known"),
    ("R4", "a late reply never reaches a later call"),
    ("R5", "a server does not start on a request whose caller has given up"),
    ("R6", "calls run concurrently; a slow server delays only the calls to itself"),
    ("O1", "all queues are bounded; nothing grows when a peer stalls"),
    ("O2", "a full queue makes the sender wait, or is named by the variant that does not wait"),
    ("O3", "a peer or a server without progress for the stall timeout is cut, or stopped"),
    ("O4", "a message over the maximum is refused at the sender with both sizes; the link stays up"),
    ("S1", "a bad configuration fails at start, names the item, and leaves nothing half started"),
    ("S2", "a graceful shutdown flushes or says that it did not, and ends everything"),
    ("S3", "of two processes of one name the greater incarnation wins, and never both stop"),
    ("A1", "only authenticated nodes of the cluster link; servers may name whom they serve"),
    ("A2", "a message that does not decode is counted or answered; the link stays up"),
    ("A3", "minor versions talk, major versions refuse each other and name both"),
    ("F1", "one vocabulary of faults; a cut is silent"),
    ("F2", "a cut shorter than half the failure timeout loses nothing"),
    ("F3", "a longer cut is Down on both sides, and Up again after the heal"),
];

/// Number and gist of the rules that stories check.
pub const RULES: &[(&str, &str)] = &[
    ("P9", "a ping is numbered, stored, and cast to all consumers; what is lost is repaired by what follows"),
    ("P13", "a consumer registers first, then asks the producers and consumers of all linked nodes"),
    ("P15", "a node that comes up is told all counts, by producers and by consumers"),
    ("P16", "when faults end, all consumers of a connected group end with the same counts"),
];

/// The gist of a promise or a rule.
pub fn gist(number: &str) -> &'static str {
    let mut known = PROMISES.iter().chain(RULES);
    known.find(|(known, _)| *known == number).map_or("a promise without a gist", |(_, gist)| gist)
}
