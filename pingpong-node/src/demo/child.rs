//! What runs in the process of a node: a node over QUIC, and a player on it.

use super::player::{self, Player};
use super::protocol::{Demo, Order, Said};
use crate::cluster::{Child, ClusterError, Start};
use pingpong_node::quic::{Identity, QuicConfig, QuicLink};
use pingpong_node::{Address, Mesh};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

impl Child for Player {
    type Protocol = Demo;

    async fn start(name: &str, how: Start) -> Result<(Self, SocketAddr), ClusterError> {
        let refused =
            |error: &dyn std::fmt::Display| ClusterError::Start { node: name.to_owned(), words: error.to_string() };
        let identity = Identity::from_pem(how.authority.as_bytes(), how.certificate.as_bytes(), how.key.as_bytes());
        // Any port will do: others know the relay's address alone.
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mesh = player::mesh(name, how.seeds.iter().map(String::as_str))?;
        let listen = how.listen.unwrap_or(any);
        let mut quic = QuicConfig::for_mesh(listen, identity.map_err(|error| refused(&error))?, &mesh);
        let advertise = how.advertise.iter().map(|address| Address::new(address));
        quic.advertise = advertise.collect::<Result<_, _>>().map_err(|error| refused(&error))?;
        let link = QuicLink::bind(quic).map_err(|error| refused(&error))?;
        let address = link.local_address();
        let mesh = Mesh::start(link, mesh).await.map_err(|error| refused(&error))?;
        Ok((Player::on(Arc::new(mesh))?, address))
    }

    async fn obey(&mut self, order: Order) -> Result<Option<Said>, ClusterError> {
        match order {
            Order::Ping(pings) => self.ping(pings).await?,
            Order::Crash => self.crash().await?,
            Order::Recover => self.recover()?,
            Order::Look => return Ok(Some(Said::Seen(self.look().await?))),
        }
        Ok(None)
    }
}
