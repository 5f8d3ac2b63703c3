//! The UDP socket of an endpoint.

use crate::config::BindError;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Binds a socket, and asks for large buffers: with the system's default ones a burst of packets is lost.
pub(crate) fn bind(address: SocketAddr, buffer: usize) -> Result<UdpSocket, BindError> {
    let socket = open(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::Socket { address, error },
    })?;
    // Less is no reason not to start: what was granted is logged.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    let granted = |size: io::Result<usize>| size.unwrap_or_default();
    let (receive, send) = (granted(socket.recv_buffer_size()), granted(socket.send_buffer_size()));
    if receive < buffer || send < buffer {
        tracing::warn!(%address, receive, send, asked = buffer, "the system grants smaller socket buffers than asked for; raise net.core.rmem_max and net.core.wmem_max");
    } else {
        tracing::info!(%address, receive, send, asked = buffer, "socket buffers");
    }
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Then IPv4 peers can be dialled from it too.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
