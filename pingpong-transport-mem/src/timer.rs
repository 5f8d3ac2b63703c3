//! The task that delivers delayed packets. It lives only while there are some, and ends with the network.

use crate::state::Shared;
use std::sync::{Arc, Weak};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the state knows of the task.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    running: bool,
    until: Option<Instant>,
}

/// What is to be done for the next delayed packet, once the lock is free.
pub(crate) enum Due {
    Nothing,
    Start(Handle),
    Wake,
}

impl Timer {
    /// What a packet that arrives at `next` needs. Outside of a runtime nothing can be started; whoever comes next from
    /// inside one does it.
    pub(crate) fn needs(&mut self, next: Option<Instant>) -> Due {
        let Some(next) = next else { return Due::Nothing };
        if !self.running {
            let Ok(handle) = Handle::try_current() else { return Due::Nothing };
            *self = Self { running: true, until: Some(next) };
            return Due::Start(handle);
        }
        if self.until.is_some_and(|until| until <= next) {
            return Due::Nothing;
        }
        self.until = Some(next);
        Due::Wake
    }

    /// The task sleeps until `next`, or ends without one.
    pub(crate) fn sleeps(&mut self, next: Option<Instant>) {
        *self = Self { running: next.is_some(), until: next };
    }
}

/// Starts the task.
pub(crate) fn start(handle: &Handle, shared: &Arc<Shared>) {
    let task = Task { shared: Arc::downgrade(shared), ended: false };
    handle.spawn(task.run(Arc::clone(&shared.timer)));
}

struct Task {
    shared: Weak<Shared>,
    ended: bool,
}

impl Task {
    async fn run(mut self, woken: Arc<Notify>) {
        while let Some(next) = self.shared.upgrade().and_then(|shared| shared.arrive(Instant::now())) {
            tokio::select! {
                biased;
                () = woken.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
        self.ended = true;
    }
}

impl Drop for Task {
    /// A runtime that is shut down drops the task: the next one starts another.
    fn drop(&mut self) {
        if !self.ended
            && let Some(shared) = self.shared.upgrade()
        {
            shared.lock().time.sleeps(None);
        }
    }
}
