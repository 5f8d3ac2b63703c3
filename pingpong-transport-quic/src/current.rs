//! A value that is replaced while what was made with it lives: that is looked at again with the value that came.
//!
//! Invariant: whatever lives was made with the present value, or has been looked at with it. So what is made enters first and then sees
//! whether its value is still the present one; and a value is replaced first, and then what has entered is looked at.

use crate::sync::{Mutex, PoisonError, RwLock};
use std::sync::{Arc, Weak};

/// What was made with a value of that kind.
pub(crate) trait MadeWith<V> {
    /// A value came after the one that it was made with.
    fn check(&self, value: &V);
}

pub(crate) struct Current<V, T> {
    value: RwLock<Arc<V>>,
    made: Mutex<Vec<Weak<T>>>,
}

impl<V, T: MadeWith<V>> Current<V, T> {
    pub(crate) fn new(value: V) -> Self {
        Self { value: RwLock::new(Arc::new(value)), made: Mutex::new(Vec::new()) }
    }

    /// What is made from now on is made with it.
    pub(crate) fn get(&self) -> Arc<V> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something that was made with `value` begins to live.
    pub(crate) fn enter(&self, made: &Arc<T>, value: &Arc<V>) {
        {
            let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| one.strong_count() > 0);
            all.push(Arc::downgrade(made));
        }
        let now = self.get();
        if !Arc::ptr_eq(value, &now) {
            made.check(&now);
        }
    }

    pub(crate) fn replace(&self, value: V) {
        let value = Arc::new(value);
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&value);
        self.alive().iter().for_each(|one| one.check(&value));
    }

    /// Whether something lives that is so.
    pub(crate) fn any(&self, is_so: impl Fn(&T) -> bool) -> bool {
        self.alive().iter().any(|one| is_so(one))
    }

    fn alive(&self) -> Vec<Arc<T>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}
