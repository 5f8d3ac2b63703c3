//! Settings as flags and environment variables: an argument for each key, made from the one description of all keys.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use pingpong_node::settings::{KEYS, Key, Kind, Settings, SourceError, Sources};
use std::path::PathBuf;

/// A file, and what flags and variables say.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) config: Option<PathBuf>,
    values: Vec<(&'static Key, String, ValueSource)>,
}

/// The settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum GivenError {
    #[error("{} cannot be read: {error}; name another file by --config, or make one with `pingpong-node config example`", .path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Given {
    /// The settings: flags win over variables, and these over the file.
    pub(super) fn settings(&self) -> Result<Settings, GivenError> {
        let mut sources = Sources::new();
        if let Some(path) = &self.config {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| GivenError::File { path: path.clone(), error })?;
            sources = sources.file(path, &text)?;
        }
        let (flags, variables): (Vec<_>, Vec<_>) =
            self.values.iter().partition(|(_, _, source)| *source == ValueSource::CommandLine);
        sources = sources.variables(variables.iter().map(|(key, text, _)| (key.variable(), text.clone())))?;
        for (key, text, _) in flags {
            sources = sources.flag(key, text)?;
        }
        Ok(sources.settings()?)
    }
}

fn argument(key: &'static Key) -> Arg {
    let (flag, variable) = (key.flag(), key.variable());
    let action = if key.kind == Kind::Allow { ArgAction::Append } else { ArgAction::Set };
    // clap keeps names for ever; there are as many as there are keys.
    let (flag, variable): (&'static str, &'static str) = (flag.leak(), variable.leak());
    Arg::new(flag)
        .long(flag)
        .env(variable)
        .hide_env_values(true)
        .value_name(key.value)
        .help(key.help)
        .action(action)
        .help_heading("Settings: each is also a key of the file")
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .short('c')
            .env("PINGPONG_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file (TOML); `pingpong-node config example` prints one");
        command.arg(config).args(KEYS.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = Self::default();
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        for key in KEYS {
            let flag = key.flag();
            let source = matches.value_source(&flag).unwrap_or(ValueSource::DefaultValue);
            let texts = matches.get_many::<String>(&flag).into_iter().flatten();
            self.values.extend(texts.map(|text| (key, text.clone(), source)));
        }
        Ok(())
    }
}
