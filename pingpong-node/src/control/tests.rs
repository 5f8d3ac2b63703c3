//! The socket's file, and requests that make no sense. What requests do, the tests of the program show.

use super::*;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use tokio::net::UnixStream;

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let socket = ControlSocket::bind(&path).await.unwrap();
    let file = std::fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    UnixStream::connect(&path).await.unwrap();
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_is_in_use_stays_and_one_that_was_left_behind_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let first = ControlSocket::bind(&path).await.unwrap();
    let error = ControlSocket::bind(&path).await.unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    UnixStream::connect(&path).await.expect("it is still the first one's");
    drop(first);
    // As of a process that was killed: the file is there, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _second = ControlSocket::bind(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();

    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = ControlSocket::bind(&dir.path().join("file")).await.unwrap_err();
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    let error = ControlSocket::bind(&dir.path().join("none").join("s")).await.unwrap_err();
    assert!(matches!(error, SocketError::Io { .. }), "{error}");
}

#[test]
fn requests_and_answers_are_plain_json() {
    let text = |request: &Request| serde_json::to_string(request).unwrap();
    assert_eq!(text(&Request::Status {}), r#"{"status":{}}"#);
    assert_eq!(
        text(&Request::Ping { count: 3, rate: None, ack: AckLevel::Local, deadline_ms: None }),
        r#"{"ping":{"count":3}}"#
    );
    for wrong in ["", "status", r#"{"status":{"x":1}}"#, r#"{"ping":{}}"#, r#"{"disconnect":{"node":"UPPER"}}"#] {
        assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn nobody_at_a_socket_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::ask(&dir.path().join("s"), &Request::Status {}).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}
