//! A node with the ping exercise on it, and its configuration file.

use super::counts::{self, Start};
use super::given::{Given, GivenError};
use super::output::{Outcome, complain, say, say_json, size, table};
use clap::{Args, Subcommand};
use pingpong_node::NodeName;
use pingpong_node::daemon::{Daemon, DaemonError, End};
use pingpong_node::exercise::{
    AskConsumer, AskProducer, CONSUMER, ConsumerSays, Exercise, ExerciseError, Ledger, MEMBER, PRODUCER, ProducerSays,
    Settings as Times, Trouble,
};
use pingpong_node::link::Endpoint;
use pingpong_node::settings::{LogFormat, LogSettings, Settings, example};
use pingpong_node::store::DataDir;
use sd_notify::NotifyState;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How a node is run.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    given: Given,
    /// Sets the file of counts aside, and begins with an empty one: after its disk was found to lie, or the file is damaged. What only it
    /// had is gone, unless others have seen it. A member recovers before it votes. At every start, if the disk is never to be trusted.
    #[arg(long)]
    forget_store: bool,
    /// For a node without a data directory: this is its very first start, in a cluster that starts for the first time. (With a data
    /// directory, `pingpong-node init` says so.) Said of a member that was there before, answers may be
    /// wrong, unless another member knows better: then it recovers.
    #[arg(long, conflicts_with = "forget_store")]
    init: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Prints a configuration file with all keys, their meaning, units, ranges and defaults.
    Example,
    /// Checks a configuration as `run` would, identity and data directory included, and starts nothing.
    Check {
        #[command(flatten)]
        given: Box<Given>,
        /// Print what was found as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a node until it stops.
pub(super) fn run(options: Options) -> ExitCode {
    let settings = match options.given.settings() {
        Ok(settings) => settings,
        Err(error) => return needs_a_person(&error).into(),
    };
    if let Err(error) = log(&settings.log) {
        return needs_a_person(&error).into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}; close other programs")).into(),
    };
    let start = if options.forget_store {
        Start::Forget
    } else if options.init {
        Start::First
    } else {
        Start::Again
    };
    let code = runtime.block_on(node(settings, start));
    runtime.shutdown_background();
    code
}

fn needs_a_person(error: &impl std::fmt::Display) -> Outcome {
    complain(error);
    Outcome::NeedsAPerson
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    let wrong =
        |words: String| format!("log.level is {level:?}: {words}; use a level, or directives such as info,quinn=debug");
    // The parser takes a blank for a part of a name.
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    // A directive without a level would be a part of which everything is logged, and of all others nothing.
    let is_bare = |part: &&&str| !part.is_empty() && !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(part) = parts.iter().find(is_bare) {
        return Err(wrong(format!("{part:?} is no level")));
    }
    EnvFilter::try_new(parts.join(",")).map_err(|error| wrong(error.to_string()))
}

fn log(settings: &LogSettings) -> Result<(), String> {
    let filter = filter(&settings.level)?;
    // A log that cannot be written, on a full disk for example, must not stop a node.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match settings.format {
        LogFormat::Text => {
            let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
            log.with_ansi(colours).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn node(settings: Settings, start: Start) -> ExitCode {
    let daemon = match Daemon::start(settings.clone()).await {
        Ok(daemon) => daemon,
        Err(error @ DaemonError::System { .. }) => return complain(&error).into(),
        Err(error) => return needs_a_person(&error).into(),
    };
    let ledger = match counts::open(&settings, &daemon.transport().node(), start).await {
        Ok(ledger) => ledger,
        Err(error) => {
            daemon.stop().await;
            return match error.rise_above() {
                // Started again, it is above.
                Some(known) => {
                    counts::rise_above(&settings, known).await;
                    complain(&error).into()
                }
                None => needs_a_person(&error).into(),
            };
        }
    };
    let exercise = match exercise(&daemon, ledger) {
        Ok(exercise) => exercise,
        Err(error) => {
            daemon.stop().await;
            return complain(&error).into();
        }
    };
    daemon.operate(Arc::clone(&exercise));
    // Slots are keys of maps in counts, which JSON does not know; the sums over them are what people ask for.
    daemon.adapters().add_with::<AskConsumer, _>(&CONSUMER, |said| match said {
        ConsumerSays::Counts(counts) => shown(counts.values()),
        ConsumerSays::Sums(sums) => json!({ "sums": sums.len() }),
    });
    daemon.adapters().add_with::<AskProducer, _>(&PRODUCER, |said| match said {
        ProducerSays::Slots { counts, .. } => json!({ "slots": shown(counts.values()) }),
        ProducerSays::Queued => json!("queued"),
        ProducerSays::Pinged(pinged) => json!({ "pinged": pinged.count }),
        ProducerSays::Refused(refused) => json!({ "refused": refused.to_string() }),
    });
    let ready = async {
        daemon.ready().await;
        tracing::info!("ready");
        // For service managers; without one it does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        std::future::pending::<()>().await;
    };
    let failed = tokio::select! {
        () = ready => None,
        // Given up by its supervisor: that reaches whoever runs the node.
        Err(error) = exercise.stopped() => Some(error),
        () = daemon.ending() => None,
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    match failed {
        Some(error) => {
            daemon.stop().await;
            drop(exercise);
            if let ExerciseError::Trouble(Trouble::EpochTaken { known, .. }) = error {
                counts::rise_above(&settings, known).await;
            }
            complain(&error).into()
        }
        None => told(&daemon.run().await),
    }
}

fn exercise(daemon: &Daemon, ledger: Arc<Ledger>) -> Result<Arc<Exercise>, pingpong_node::transport::RegisterError> {
    let mut times = Times::default();
    times.allow_consumer = daemon.spawn_options(&CONSUMER).allow;
    times.allow_producer = daemon.spawn_options(&PRODUCER).allow;
    times.allow_member = daemon.spawn_options(&MEMBER).allow;
    Exercise::start(daemon.transport(), ledger, times).map(Arc::new)
}

/// As JSON. A number that is too large for that is a text.
fn shown(values: BTreeMap<NodeName, u128>) -> serde_json::Value {
    let number = |pings: u128| u64::try_from(pings).map_or_else(|_| json!(pings.to_string()), |pings| json!(pings));
    values.into_iter().map(|(node, pings)| (node.to_string(), number(pings))).collect()
}

fn told(end: &End) -> ExitCode {
    if end.exit_code() != 0 {
        complain(&end.reason);
    } else if !end.shutdown.flushed {
        tracing::warn!("not every peer had everything when the node stopped");
    }
    ExitCode::from(end.exit_code())
}

/// Shows or checks a configuration.
pub(super) fn config(config: Config) -> ExitCode {
    match config {
        Config::Example => say(&example()).into(),
        Config::Check { given, json } => match check(&given) {
            Ok(settings) => report(&settings, json).into(),
            Err(words) => needs_a_person(&words).into(),
        },
    }
}

fn check(given: &Given) -> Result<Settings, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let settings = given.settings().map_err(|error: GivenError| words(&error))?;
    filter(&settings.log.level)?;
    let identity = settings.read_identity().map_err(|error| words(&error))?;
    let quic = settings.quic(identity).map_err(|error| words(&error))?;
    settings.check(&quic).map_err(|error| words(&error))?;
    // Nothing is taken: the node may be running.
    if let Some(data) = &settings.data {
        DataDir::check(data, &settings.name).map_err(|error| words(&error))?;
    }
    settings.voters().map_err(|error| words(&error))?;
    counts::check(&settings).map_err(|error| words(&error))?;
    Ok(settings)
}

fn report(settings: &Settings, json: bool) -> Outcome {
    let (Ok(mesh), Ok(identity)) = (settings.mesh(), settings.read_identity()) else { return Outcome::Failed };
    let expires = identity.expires();
    let Ok(quic) = settings.quic(identity) else { return Outcome::Failed };
    let endpoint: Endpoint = quic.endpoint();
    let worst = mesh.limits.worst_case(&endpoint);
    // What the backend holds beside links is for the greater part no handshake: those of strangers stand apart.
    let [rows @ .., _] = &worst.rows;
    let unproved = quic.unauthenticated_bytes();
    let backend = [
        ("dials that prove nothing yet", unproved),
        ("connections that are no link yet, or end; the socket", endpoint.other_bytes.saturating_sub(unproved)),
    ];
    let rows = rows.iter().chain(&backend);
    if json {
        let rows: serde_json::Map<_, _> = rows.map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect();
        return say_json(&json!({
            "ok": true,
            "name": settings.name,
            "cluster": settings.cluster,
            "listen": settings.listen,
            "certificate_expires": expires,
            "worst_case_bytes": worst.bytes(),
            "worst_case": rows,
        }));
    }
    let head = format!(
        "{} of cluster {}, listening at {}; its certificate holds until {}\nmemory at most {}:\n",
        settings.name,
        settings.cluster,
        settings.listen,
        pingpong_node::quic::date(expires),
        size(usize::try_from(worst.bytes()).unwrap_or(usize::MAX)),
    );
    let rows = rows.map(|(name, bytes)| vec![(*name).to_owned(), size(usize::try_from(*bytes).unwrap_or(usize::MAX))]);
    say(&(head + &table(&["what", "at most"], rows)))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_filter_is_what_its_words_say_and_logs_something_unless_it_is_off() {
        for (level, means) in
            [("info", "info"), (" info ", "info"), ("info, quinn=debug", "quinn=debug,info"), ("off", "off")]
        {
            assert_eq!(filter(level).unwrap().to_string(), means);
        }
        for level in ["loud", "info,loud", "info,pingpong_core"] {
            let words = filter(level).unwrap_err();
            assert!(words.contains("is no level; use a level"), "{words}");
        }
        assert!(filter("warn,[{peer}]=info").is_ok() && filter("loud=very").is_err());
    }
}
