//! A server that decodes what it gets, as those of applications do.

use super::cluster::TestNode;
use super::server;
use pingpong_core::Node;
use pingpong_core::message::{Message, Request};
use pingpong_core::server::{Context, Server, ServerHandle, SpawnOptions, spawn};
use serde::{Deserialize, Serialize};

/// A number to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add(pub u64);

impl Message for Add {
    const ID: u16 = 21;
    const VERSION: u8 = 1;
}

/// What is the sum?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Of how many numbers at least; the server does not care.
    pub of: u64,
}

impl Message for Sum {
    const ID: u16 = 22;
    const VERSION: u8 = 1;
}

impl Request for Sum {
    type Reply = Add;
}

#[derive(Default)]
struct Adder {
    sum: u64,
}

impl Server for Adder {
    type Cast = Add;
    type Call = Sum;
    type Info = ();

    async fn cast(&mut self, _: &Node, Add(number): Add, _: &mut Context<Self>) {
        self.sum += number;
    }

    async fn call(&mut self, _: &Node, _: Sum, _: &mut Context<Self>) -> Add {
        Add(self.sum)
    }
}

impl TestNode {
    /// A server of that name that adds [`Add`]s and answers [`Sum`]; it ends with the handle.
    pub fn adder(&self, name: &str) -> ServerHandle {
        match spawn(self.transport(), server(name), Adder::default, SpawnOptions::default()) {
            Ok(handle) => handle,
            Err(error) => panic!("{name} cannot be spawned on {}: {error}", self.place()),
        }
    }
}
