//! One question to one server of one node: how the servers and the quorums of the exercise ask each other.

use crate::message::Request;
use crate::name::{NodeName, ServerName};
use crate::node::Node;
use crate::server::TransportExt;
use crate::transport::{CallFailure, Reply, Targets, Transport};
use std::time::Duration;

/// Who answered and what, or why nobody did.
pub(super) async fn ask<R: Request>(
    transport: &dyn Transport,
    name: &NodeName,
    server: &ServerName,
    request: &R,
    deadline: Duration,
) -> Result<(Node, R::Reply), CallFailure> {
    match transport.call(&Targets::node(name.clone()), server, request, deadline).await {
        Ok(replies) => replies.into_one().map(|Reply { node, reply }| (node, reply)),
        Err(error) => {
            tracing::error!(%error, "a question has no encoded form");
            Err(CallFailure::NotDecodable)
        }
    }
}
