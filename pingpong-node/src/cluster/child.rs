//! What runs in the process of a node: it takes orders on its standard input, and ends when that does.
//!
//! So it does not outlive whoever started it, not even one that was killed, and not while it carries out an order.

use super::protocol::{Answer, Order, Protocol, line};
use super::{ClusterError, complain};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines, Stdout};
use tokio::runtime::Runtime;

/// How the process of a node is started. All else is in its first order.
#[derive(Debug, Args)]
pub(crate) struct NodeOptions {
    /// Its name.
    #[arg(long)]
    pub(crate) name: String,
}

/// A node that does as it is told.
pub(crate) trait Child: Sized {
    /// What it is told, and says.
    type Protocol: Protocol;

    /// Starts it, and says where it listens.
    async fn start(name: &str, how: <Self::Protocol as Protocol>::Start) -> Result<(Self, SocketAddr), ClusterError>;

    /// Carries out an order. It may be dropped halfway, and then nothing comes any more.
    async fn obey(
        &mut self,
        order: <Self::Protocol as Protocol>::Order,
    ) -> Result<Option<<Self::Protocol as Protocol>::Said>, ClusterError>;
}

/// Runs one node, until its standard input ends.
pub(crate) fn run_node<C: Child>(options: NodeOptions, runtime: Result<Runtime, ClusterError>) -> ExitCode {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // A node whose log cannot be written, because nobody reads it any more for example, goes on without. It would panic otherwise.
    let log = log.log_internal_errors(false).finish();
    // Refused only if there is one already, which is as good.
    let _ = tracing::subscriber::set_global_default(log);
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(run::<C>(options));
        // Its reader of standard input may hang; nothing else is left.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(C::Protocol::NODE, &error);
            ExitCode::FAILURE
        }
    }
}

/// The orders that come on standard input.
struct Orders<R, O> {
    lines: Lines<BufReader<R>>,
    /// One that came while the answer to the one before was still on its way out.
    next: Option<String>,
    orders: PhantomData<fn() -> O>,
}

impl<R: AsyncRead + Unpin, O: DeserializeOwned> Orders<R, O> {
    fn new(input: R) -> Self {
        Self { lines: BufReader::new(input).lines(), next: None, orders: PhantomData }
    }

    /// The next order; none at the end.
    async fn next(&mut self) -> Result<Option<O>, String> {
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
                // Whoever gives the next order has read the answer, so that the work ends now.
                next = self.lines.next_line(), if self.next.is_none() => match next {
                    Ok(Some(text)) => self.next = Some(text),
                    Ok(None) | Err(_) => return None,
                },
            }
        }
    }
}

type OrderOf<P> = Order<<P as Protocol>::Start, <P as Protocol>::Order>;

/// Runs the node until its input ends.
///
/// # Errors
/// It could not start. Whoever started it has been told, if there is somebody.
async fn run<C: Child>(options: NodeOptions) -> Result<(), ClusterError> {
    let mut orders = Orders::<_, OrderOf<C::Protocol>>::new(tokio::io::stdin());
    let mut output = tokio::io::stdout();
    let command = C::Protocol::COMMAND;
    let no_order = |words: String| ClusterError::NoOrder { node: options.name.clone(), command, words };
    let how = match orders.next().await.map_err(no_order)? {
        Some(Order::Start(how)) => how,
        Some(Order::Do(_)) => return Err(no_order("another order".to_owned())),
        None => return Err(no_order("it is at its end".to_owned())),
    };
    let Some(started) = orders.or_end(C::start(&options.name, *how)).await else { return Ok(()) };
    let (mut node, address) = match started {
        Ok(started) => started,
        Err(error) => {
            say(&mut output, &Answer::<()>::Failed(error.to_string())).await;
            return Err(error);
        }
    };
    say(&mut output, &Answer::<()>::Started(address)).await;
    while let Ok(Some(order)) = orders.next().await {
        let work = async {
            let answer = match order {
                Order::Start(_) => Answer::Failed("it runs already".to_owned()),
                Order::Do(order) => match node.obey(order).await {
                    Ok(said) => said.map_or(Answer::Done, Answer::Said),
                    Err(error) => Answer::Failed(error.to_string()),
                },
            };
            say(&mut output, &answer).await;
        };
        if orders.or_end(work).await.is_none() {
            break;
        }
    }
    Ok(())
}

/// Answers. Whoever does not listen has ended, which standard input tells.
async fn say(output: &mut Stdout, answer: &impl Serialize) {
    if let Ok(text) = line(answer)
        && output.write_all(text.as_bytes()).await.is_ok()
    {
        let _ = output.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::future::pending;
    use std::time::Duration;
    use tokio::time::timeout;

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Told {
        Ping(u64),
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_ends_with_the_orders_and_an_order_that_comes_early_is_kept() {
        let (mut parent, input) = tokio::io::duplex(64);
        let mut orders = Orders::<_, Order<(), Told>>::new(input);
        let slow = tokio::time::sleep(Duration::from_secs(1));
        parent.write_all(b"{\"ping\":3}\n").await.unwrap();
        assert_eq!(orders.or_end(slow).await, Some(()), "it was read while the answer was on its way out");
        assert!(matches!(orders.next().await, Ok(Some(Order::Do(Told::Ping(3))))));
        assert!(timeout(Duration::from_secs(60), orders.or_end(pending::<()>())).await.is_err(), "the parent waits");
        drop(parent);
        assert_eq!(orders.or_end(pending::<()>()).await, None);
        assert!(matches!(orders.next().await, Ok(None)));
    }
}
