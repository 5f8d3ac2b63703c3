//! Who votes: the fixed set of members, and what makes their voices a quorum (P10, P23, P24, P28).

use crate::name::{ClusterName, NodeName};
use crate::node::Incarnation;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

/// Members that a cluster may have. Majorities of many nodes are slow; more than a handful are hardly ever wanted.
pub const MAX_MEMBERS: usize = 31;

/// The names that vote: the same on every node of the cluster, and changed only while all members are stopped (P28).
///
/// ```
/// use pingpong_core::exercise::Members;
/// use pingpong_core::{ClusterName, NodeName};
///
/// let names = ["a", "b", "c"].map(|name| NodeName::new(name).unwrap());
/// let members = Members::new(ClusterName::new("prod")?, names)?;
/// assert_eq!((members.len(), members.quorum()), (3, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Members {
    cluster: ClusterName,
    names: Arc<[NodeName]>,
    fingerprint: Fingerprint,
}

/// A set of members makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// There are none.
    #[error("there are no members; name those nodes that keep the counts, three of them if one may fail")]
    None,
    /// There are too many.
    #[error(
        "{members} members are named, {MAX_MEMBERS} is the most; name those nodes alone that are to keep the counts"
    )]
    TooMany {
        /// How many.
        members: usize,
    },
    /// One is named twice.
    #[error("member {member} is named twice; name each once")]
    Twice {
        /// The name.
        member: NodeName,
    },
}

/// What tells one configuration of members from another: of the cluster's name, and of the sorted names (P28).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u128);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Members {
    /// The members of a cluster, in any order.
    ///
    /// # Errors
    /// [`MembersError`] says which name, or how many.
    pub fn new(cluster: ClusterName, names: impl IntoIterator<Item = NodeName>) -> Result<Self, MembersError> {
        let mut names: Vec<NodeName> = names.into_iter().collect();
        names.sort();
        if names.is_empty() {
            return Err(MembersError::None);
        }
        if names.len() > MAX_MEMBERS {
            return Err(MembersError::TooMany { members: names.len() });
        }
        if let Some(twice) = names.windows(2).find(|two| two.first() == two.last()).and_then(<[NodeName]>::first) {
            return Err(MembersError::Twice { member: twice.clone() });
        }
        let mut hasher = SipHasher13::new();
        for text in std::iter::once(cluster.as_str()).chain(names.iter().map(NodeName::as_str)) {
            hasher.write(&(text.len() as u64).to_le_bytes());
            hasher.write(text.as_bytes());
        }
        let fingerprint = Fingerprint(hasher.finish128().as_u128());
        Ok(Self { cluster, names: names.into(), fingerprint })
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The names, sorted.
    pub fn names(&self) -> &[NodeName] {
        &self.names
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // there is always one
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// How many of them any two decisions must have in common one of: more than half.
    pub fn quorum(&self) -> usize {
        self.len() / 2 + 1
    }

    /// Whether that node is one.
    pub fn has(&self, name: &NodeName) -> bool {
        self.names.binary_search(name).is_ok()
    }

    /// What all nodes of a cluster must agree on.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("cluster", &self.cluster).field("names", &self.names).finish_non_exhaustive()
    }
}

/// What a member says with each answer: which life of its store speaks, and which lives of the other members it knows of (P24).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// The epoch of its store.
    pub epoch: Incarnation,
    /// Of each member whose slots it has: the highest epoch.
    pub known: BTreeMap<NodeName, Incarnation>,
}

/// The voices that were heard in one question, at most one of each member.
///
/// A voice counts unless another one knows of a newer life of its member: then that member has lost what it said before, and is to be asked
/// again. Those that count are pairwise crash-consistent.
#[derive(Clone, Debug, Default)]
pub(super) struct Voices(BTreeMap<NodeName, Voice>);

impl Voices {
    /// A member has spoken; what it said before is replaced.
    pub(super) fn add(&mut self, member: NodeName, voice: Voice) {
        self.0.insert(member, voice);
    }

    /// Removes the voices that do not count, and returns whose they were.
    pub(super) fn drop_outdated(&mut self) -> Vec<NodeName> {
        let outdated = |(member, voice): &(&NodeName, &Voice)| {
            self.0.values().any(|other| other.known.get(*member).is_some_and(|known| *known > voice.epoch))
        };
        let outdated: Vec<NodeName> = self.0.iter().filter(outdated).map(|(member, _)| member.clone()).collect();
        outdated.iter().for_each(|member| drop(self.0.remove(member)));
        outdated
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose there are.
    pub(super) fn of(&self) -> impl Iterator<Item = &NodeName> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn members(cluster: &str, names: &[&str]) -> Result<Members, MembersError> {
        Members::new(ClusterName::new(cluster).unwrap(), names.iter().map(|text| name(text)))
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        let quorums = (1..=7).map(|len| members("p", &["a", "b", "c", "d", "e", "f", "g"][..len]).unwrap().quorum());
        assert_eq!(quorums.collect::<Vec<_>>(), [1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn a_fingerprint_is_of_the_cluster_and_of_the_names_in_any_order() {
        let one = members("p", &["a", "b", "c"]).unwrap();
        assert_eq!(one.fingerprint(), members("p", &["c", "a", "b"]).unwrap().fingerprint());
        for (cluster, names) in [("q", ["a", "b", "c"]), ("p", ["a", "b", "d"]), ("p", ["ab", "c", "d"])] {
            assert_ne!(one.fingerprint(), members(cluster, &names).unwrap().fingerprint());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(members("p", &[]), Err(MembersError::None));
        assert_eq!(members("p", &["b", "a", "b"]), Err(MembersError::Twice { member: name("b") }));
        let many: Vec<String> = (0..32).map(|number| format!("n{number}x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(members("p", &many), Err(MembersError::TooMany { members: 32 }));
    }

    fn voice(epoch: u64, known: &[(&str, u64)]) -> Voice {
        let known = known.iter().map(|(member, epoch)| (name(member), Incarnation::new(*epoch, 0)));
        Voice { epoch: Incarnation::new(epoch, 0), known: known.collect() }
    }

    /// P24: B acknowledged, lost its disk and recovered with the help of C, before C stored.
    #[test]
    fn a_voice_from_before_a_loss_does_not_count_beside_one_that_knows_of_it() {
        let mut voices = Voices::default();
        voices.add(name("b"), voice(1, &[("b", 1), ("c", 1)]));
        voices.add(name("c"), voice(1, &[("b", 2), ("c", 1)]));
        assert_eq!(voices.drop_outdated(), [name("b")]);
        assert_eq!(voices.of().collect::<Vec<_>>(), [&name("c")]);
        voices.add(name("b"), voice(2, &[("b", 2), ("c", 1)]));
        assert_eq!((voices.drop_outdated(), voices.len()), (vec![], 2));
    }
}
