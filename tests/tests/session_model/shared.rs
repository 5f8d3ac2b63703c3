//! A part of a state that most steps leave alone: cloned by reference, hashed once for each change.

use ahash::RandomState;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

#[derive(Clone)]
pub(crate) struct Shared<T> {
    value: Arc<T>,
    /// The value's hash, once it was asked for.
    hash: OnceLock<u64>,
}

impl<T: Clone + Hash> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Arc::new(value), hash: OnceLock::new() }
    }

    /// The value, to be changed.
    pub(crate) fn edit(&mut self) -> &mut T {
        self.hash = OnceLock::new();
        Arc::make_mut(&mut self.value)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The checker's own hash: with fixed keys, since a path is replayed by the hashes of its states.
        let hash = *self.hash.get_or_init(|| RandomState::with_seeds(1, 2, 3, 4).hash_one(&*self.value));
        state.write_u64(hash);
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
