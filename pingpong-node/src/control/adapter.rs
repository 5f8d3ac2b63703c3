//! Servers that take calls in JSON: a bridge from people's hands to typed requests.
//!
//! The JSON is read as the request's own type, by the same `serde` description as its encoded form, and sent like any other call.

use super::protocol::CalledNode;
use pingpong_core::message::{Request, Unencodable};
use pingpong_core::server::TransportExt;
use pingpong_core::{ServerName, Targets, Transport};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

type Calling = Pin<Box<dyn Future<Output = Result<Vec<CalledNode>, AdapterError>> + Send>>;

/// A call in JSON was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// No server of that name takes JSON here.
    #[error("no server named {server} takes JSON on this node; those that do: {known}")]
    Unknown {
        /// The name.
        server: ServerName,
        /// Those that do, apart by commas.
        known: String,
    },
    /// The JSON is not a request of that server.
    #[error("{server} does not take that: {words}")]
    Request {
        /// The server.
        server: ServerName,
        /// What is wrong with it.
        words: String,
    },
    /// The request has no encoded form.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
}

/// What turns the JSON for one server into calls.
trait Adapter: Send + Sync {
    fn call(
        &self,
        transport: Arc<dyn Transport>,
        targets: Targets,
        server: ServerName,
        request: Value,
        deadline: Duration,
    ) -> Calling;
}

/// The servers that take JSON. Clones are the same list.
#[derive(Clone, Default)]
pub struct Adapters(Arc<RwLock<BTreeMap<ServerName, Arc<dyn Adapter>>>>);

impl Adapters {
    /// From now on calls in JSON to that server are read as requests of type `R`. A second time replaces the first.
    pub fn add<R: Request>(&self, server: &ServerName) {
        self.add_with::<R, R::Reply>(server, |reply| reply);
    }

    /// The same for a type whose answers are no JSON by themselves: `show` turns each into something that is.
    pub fn add_with<R: Request, V: Serialize + 'static>(&self, server: &ServerName, show: fn(R::Reply) -> V) {
        self.put(server, Arc::new(Of { request: PhantomData::<fn() -> R>, show }));
    }

    fn put(&self, server: &ServerName, adapter: Arc<dyn Adapter>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(server.clone(), adapter);
    }

    /// The servers that take JSON, by name.
    pub fn servers(&self) -> Vec<ServerName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Calls a server, and returns one outcome for each target.
    ///
    /// # Errors
    /// [`AdapterError`]; nothing was sent. Cancel safe, as [`Transport::multi_call`].
    pub async fn call(
        &self,
        transport: Arc<dyn Transport>,
        targets: Targets,
        server: &ServerName,
        request: Value,
        deadline: Duration,
    ) -> Result<Vec<CalledNode>, AdapterError> {
        let adapter = self.0.read().unwrap_or_else(PoisonError::into_inner).get(server).cloned();
        let Some(adapter) = adapter else {
            let known: Vec<String> = self.servers().iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(AdapterError::Unknown { server: server.clone(), known });
        };
        adapter.call(transport, targets, server.clone(), request, deadline).await
    }
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adapters").field(&self.servers()).finish()
    }
}

struct Of<R: Request, V> {
    request: PhantomData<fn() -> R>,
    show: fn(R::Reply) -> V,
}

impl<R: Request, V: Serialize + 'static> Adapter for Of<R, V> {
    fn call(
        &self,
        transport: Arc<dyn Transport>,
        targets: Targets,
        server: ServerName,
        request: Value,
        deadline: Duration,
    ) -> Calling {
        let show = self.show;
        Box::pin(async move {
            let request: R = serde_json::from_value(request)
                .map_err(|error| AdapterError::Request { server: server.clone(), words: error.to_string() })?;
            let replies = transport.call(&targets, &server, &request, deadline).await?;
            let answered = replies.replies.into_iter().map(|answer| CalledNode {
                node: answer.node.name,
                // What cannot be shown as JSON is an answer all the same.
                reply: Some(serde_json::to_value(show(answer.reply)).unwrap_or_else(|error| error.to_string().into())),
                failure: None,
                sent: None,
            });
            let failed = replies.failed.into_iter().map(|failed| CalledNode {
                node: failed.name,
                reply: None,
                failure: Some(failed.reason.to_string()),
                sent: Some(failed.reason.was_sent()),
            });
            let mut outcomes: Vec<CalledNode> = answered.chain(failed).collect();
            outcomes.sort_by(|a, b| a.node.cmp(&b.node));
            Ok(outcomes)
        })
    }
}
