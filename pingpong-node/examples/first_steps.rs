//! The README's first steps: a server of one's own on two nodes, on the transport that the build has.
#![allow(clippy::print_stdout, reason = "it is a program")]

use pingpong_node::{Context, Node, Server, ServerName, Targets, TransportExt, dev, message, request};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Add(u64);
message!(Add, id = 1, version = 0);

#[derive(Serialize, Deserialize)]
struct Sum;
request!(Sum => Add, id = 2, version = 0);

struct Adder(u64);
impl Server for Adder {
    type Cast = Add;
    type Call = Sum;
    type Info = ();
    async fn cast(&mut self, _from: &Node, Add(number): Add, _: &mut Context<Self>) {
        self.0 += number;
    }
    async fn call(&mut self, _from: &Node, _: Sum, _: &mut Context<Self>) -> Add {
        Add(self.0)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = dev::Cluster::start(["a", "b"]).await?;
    let (a, adder) = (cluster.node("a")?, ServerName::new("adder")?);
    let _adders = cluster.spawn(&adder, || Adder(0))?; // one on each node
    a.cast(&adder, &Add(2)).await?; // `abcast` to both
    let sums = a.call(&Targets::All, &adder, &Sum, std::time::Duration::from_secs(1)).await?; // `multi_call`
    println!("{sums:?} {:?}", a.monitor().next().await); // of each an answer, or why there is none; and b is up
    Ok(())
}
