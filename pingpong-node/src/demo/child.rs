//! The process of one node: it takes orders on its standard input, and ends when that does.
//!
//! So it does not outlive the demo, not even one that was killed, and not while it carries out an order.

use super::error::DemoError;
use super::player::{self, Player};
use super::protocol::{Answer, Order, Start, line};
use clap::Args;
use pingpong_node::quic::{Identity, QuicConfig, QuicLink};
use pingpong_node::{Address, Mesh};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines, Stdout};

/// How the process of a node is started. All else is in its first order.
#[derive(Debug, Args)]
pub(crate) struct NodeOptions {
    /// Its name.
    #[arg(long)]
    pub(crate) name: String,
}

/// The orders that come on standard input.
struct Orders<R> {
    lines: Lines<BufReader<R>>,
    /// One that came while the answer to the one before was still on its way out.
    next: Option<String>,
}

impl<R: AsyncRead + Unpin> Orders<R> {
    fn new(input: R) -> Self {
        Self { lines: BufReader::new(input).lines(), next: None }
    }

    /// The next order; none at the end.
    async fn next(&mut self) -> Result<Option<Order>, String> {
        let text = match self.next.take() {
            Some(text) => Some(text),
            None => self.lines.next_line().await.map_err(|error| error.to_string())?,
        };
        text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).transpose()
    }

    /// What comes of the work, unless the orders end first: then there is nobody to do it for.
    async fn or_end<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                // A demo that gives the next order has read the answer, so that the work ends now.
                next = self.lines.next_line(), if self.next.is_none() => match next {
                    Ok(Some(text)) => self.next = Some(text),
                    Ok(None) | Err(_) => return None,
                },
            }
        }
    }
}

/// Runs the node until its input ends.
///
/// # Errors
/// It could not start. The demo has been told, if there is one.
pub(crate) async fn run(options: NodeOptions) -> Result<(), DemoError> {
    let (mut orders, mut output) = (Orders::new(tokio::io::stdin()), tokio::io::stdout());
    let no_demo = |words: String| DemoError::NoDemo { node: options.name.clone(), words };
    let how = match orders.next().await.map_err(no_demo)? {
        Some(Order::Start(how)) => how,
        Some(_) => return Err(no_demo("another order".to_owned())),
        None => return Err(no_demo("it is at its end".to_owned())),
    };
    let Some(started) = orders.or_end(start(&options.name, *how)).await else { return Ok(()) };
    let (mut player, address) = match started {
        Ok(started) => started,
        Err(error) => {
            say(&mut output, &Answer::Failed(error.to_string())).await;
            return Err(error);
        }
    };
    say(&mut output, &Answer::Started(address)).await;
    while let Ok(Some(order)) = orders.next().await {
        let work = async {
            let answer = obey(&mut player, order).await;
            say(&mut output, &answer).await;
        };
        if orders.or_end(work).await.is_none() {
            break;
        }
    }
    Ok(())
}

async fn obey(player: &mut Player, order: Order) -> Answer {
    let done = |()| Answer::Done;
    let answer = match order {
        Order::Start(_) => return Answer::Failed("it runs already".to_owned()),
        Order::Ping(pings) => player.ping(pings).await.map(done),
        Order::Crash => player.crash().await.map(done),
        Order::Recover => player.recover().map(done),
        Order::Look => player.look().await.map(Answer::Seen),
    };
    answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// Answers the demo. One that does not listen has ended, which standard input tells.
async fn say(output: &mut Stdout, answer: &Answer) {
    if let Ok(text) = line(answer)
        && output.write_all(text.as_bytes()).await.is_ok()
    {
        let _ = output.flush().await;
    }
}

async fn start(name: &str, how: Start) -> Result<(Player, SocketAddr), DemoError> {
    let refused = |error: &dyn std::fmt::Display| DemoError::Start { node: name.to_owned(), words: error.to_string() };
    let identity = Identity::from_pem(how.authority.as_bytes(), how.certificate.as_bytes(), how.key.as_bytes());
    // Any port will do: others know the relay's address alone.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mesh = player::mesh(name, how.seeds.iter().map(String::as_str))?;
    let mut quic = QuicConfig::for_mesh(any, identity.map_err(|error| refused(&error))?, &mesh);
    quic.advertise = vec![Address::new(&how.advertise).map_err(|error| refused(&error))?];
    let link = QuicLink::bind(quic).map_err(|error| refused(&error))?;
    let address = link.local_address();
    let mesh = Mesh::start(link, mesh).await.map_err(|error| refused(&error))?;
    Ok((Player::on(Arc::new(mesh))?, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_ends_with_the_orders_and_an_order_that_comes_early_is_kept() {
        let (mut demo, input) = tokio::io::duplex(64);
        let mut orders = Orders::new(input);
        let slow = tokio::time::sleep(Duration::from_secs(1));
        demo.write_all(b"{\"ping\":3}\n").await.unwrap();
        assert_eq!(orders.or_end(slow).await, Some(()), "it was read while the answer was on its way out");
        assert!(matches!(orders.next().await, Ok(Some(Order::Ping(3)))));
        assert!(timeout(Duration::from_secs(60), orders.or_end(pending::<()>())).await.is_err(), "the demo waits");
        drop(demo);
        assert_eq!(orders.or_end(pending::<()>()).await, None);
        assert!(matches!(orders.next().await, Ok(None)));
    }
}
