//! What runs in the process of a node: a node over QUIC, and a player on it.

use super::player::{self, Player};
use super::protocol::{Demo, Order, Said};
use crate::cluster::{Child, ClusterError, Start};
use pingpong_node::Mesh;
use pingpong_node::quic::QuicLink;
use std::net::SocketAddr;
use std::sync::Arc;

impl Child for Player {
    type Protocol = Demo;

    async fn start(name: &str, how: Start) -> Result<(Self, SocketAddr), ClusterError> {
        let refused = |error: &dyn std::fmt::Display| ClusterError::start(name, error);
        let mesh = player::mesh(name, how.seeds.iter().map(String::as_str))?;
        let quic = how.quic(&mesh).map_err(|error| refused(&error))?;
        let link = QuicLink::bind(quic).map_err(|error| refused(&error))?;
        let address = link.local_address();
        let mesh = Mesh::start(link, mesh).await.map_err(|error| refused(&error))?;
        Ok((Player::on(Arc::new(mesh)), address))
    }

    async fn obey(&mut self, order: Order) -> Result<Option<Said>, ClusterError> {
        match order {
            Order::Play(part) => self.play(part).await?,
            Order::Ping(pings) => self.ping(pings).await?,
            Order::Crash => self.crash().await?,
            Order::Recover => self.recover().await?,
            Order::Look { majority } => return Ok(Some(Said::Seen(self.look(majority).await?))),
        }
        Ok(None)
    }
}
