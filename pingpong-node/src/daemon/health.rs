//! Health, readiness and metrics over HTTP, for those who watch over many nodes.
//!
//! | path | answer |
//! | --- | --- |
//! | `/health` | 200: the process runs, and its node has not stopped |
//! | `/ready` | 200 if the node listens, its certificate holds, its seeds were dialled once, and it has `min_links` links; else 503 |
//! | `/metrics` | the node's figures, as Prometheus reads them |
//!
//! There is no authentication: listen where only those can reach it who may know. A connection answers one request, within a
//! deadline, and there is a bounded number of them.

use super::metrics;
use crate::control::Desk;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 32;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Health cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("health cannot be served at {address}: {error}; choose a free address of this machine for health.listen")]
pub struct HealthError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, HealthError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| HealthError { address, error })
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "health is not served"),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(timeout(PATIENCE, connection(stream, Arc::clone(&desk))))),
                Err(error) => {
                    tracing::warn!(%error, "no health connection can be accepted; close other programs, or raise ulimit -n");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(answer(&request, &desk).await) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE / 2)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a health connection ended early");
    }
}

async fn answer(request: &Request<Incoming>, desk: &Desk) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/health" => text(StatusCode::OK, "ok\n"),
        "/ready" => ready(desk),
        "/metrics" => match metrics::text(desk).await {
            Ok(figures) => of(StatusCode::OK, metrics::CONTENT, figures),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /health, /ready and /metrics\n"),
    }
}

fn ready(desk: &Desk) -> Response<Full<Bytes>> {
    let readiness = desk.readiness();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": readiness.is_ready(),
        "leaving": readiness.leaving,
        "certificate_valid": readiness.certificate_valid,
        "seeds_dialled": readiness.seeds_dialled,
        "links": readiness.links,
        "min_links": readiness.min_links,
    });
    of(status, "application/json", format!("{body}\n"))
}

fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    of(status, "text/plain; charset=utf-8", words.to_owned())
}

fn of(status: StatusCode, content: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
