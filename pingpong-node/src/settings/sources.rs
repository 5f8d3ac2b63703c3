//! From texts of three origins to settings: a file, then environment variables, then flags. The later ones win.

use super::Settings;
use super::keys::{KEYS, Key, Kind};
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In this file.
    File(PathBuf),
    /// By this environment variable.
    Variable(String),
    /// By this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Variable(name) => write!(f, "by {name}"),
            Self::Flag(name) => write!(f, "by --{name}"),
        }
    }
}

/// The settings cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file is no TOML.
    #[error("{} cannot be read as TOML: {words}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        words: String,
    },
    /// A value is not what its key takes.
    #[error(
        "{key}, given {origin}, is not right: {words}; `config example` shows all keys with their units and ranges"
    )]
    Value {
        /// The key.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// What is wrong.
        words: String,
    },
    /// A key that a node cannot do without was not given.
    #[error("{key} is missing: set it in the configuration file, by --{flag}, or by {variable}")]
    Missing {
        /// The key.
        key: String,
        /// The flag that sets it.
        flag: String,
        /// The variable that sets it.
        variable: String,
    },
}

/// What was given, in the order in which it counts.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    table: Table,
    given: Vec<(&'static str, Origin)>,
}

impl Sources {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`SourceError::Syntax`].
    pub fn file(mut self, path: &Path, text: &str) -> Result<Self, SourceError> {
        let wrong = |error: toml::de::Error| SourceError::Syntax { path: path.into(), words: error.to_string() };
        self.table = text.parse().map_err(wrong)?;
        self.file = Some(path.to_owned());
        Ok(self)
    }

    /// Environment variables; those that set no key are not looked at.
    ///
    /// # Errors
    /// [`SourceError::Value`] for a text that is not what its key takes.
    pub fn variables(mut self, all: impl IntoIterator<Item = (String, String)>) -> Result<Self, SourceError> {
        let mut all: Vec<_> = all.into_iter().filter(|(name, _)| name.starts_with("PINGPONG_")).collect();
        all.sort();
        for (name, text) in all {
            if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
                self.give(key, Origin::Variable(name), &text)?;
            }
        }
        Ok(self)
    }

    /// A flag of the command line.
    ///
    /// # Errors
    /// [`SourceError::Value`] for a text that is not what its key takes.
    pub fn flag(mut self, key: &'static Key, text: &str) -> Result<Self, SourceError> {
        self.give(key, Origin::Flag(key.flag()), text)?;
        Ok(self)
    }

    fn give(&mut self, key: &'static Key, origin: Origin, text: &str) -> Result<(), SourceError> {
        let wrong = |words: String| SourceError::Value { key: key.path.to_owned(), origin: origin.clone(), words };
        match key.kind {
            Kind::One => self.put(key.path, Value::String(text.to_owned())),
            Kind::Number => {
                let number = text.parse().map_err(|_| wrong(format!("{text:?} is no whole number")))?;
                self.put(key.path, Value::Integer(number));
            }
            Kind::List => self.put(key.path, list(text)),
            Kind::Allow => {
                for part in text.split(';').filter(|part| !part.trim().is_empty()) {
                    let (server, nodes) =
                        part.split_once('=').ok_or_else(|| wrong("it must be SERVER=NODE,...".to_owned()))?;
                    let allow = Table::from_iter([("allow".to_owned(), list(nodes))]);
                    // A server's name may have dots in it.
                    let servers = self.table.entry(key.path).or_insert_with(|| Value::Table(Table::new()));
                    if let Value::Table(servers) = servers {
                        servers.insert(server.trim().to_owned(), Value::Table(allow));
                    }
                }
            }
        }
        self.given.push((key.path, origin));
        Ok(())
    }

    fn put(&mut self, path: &str, value: Value) {
        let mut table = &mut self.table;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value);
                return;
            }
            let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
    }

    /// The settings that all of it makes.
    ///
    /// # Errors
    /// [`SourceError`] names the key, where it was given, and what is wrong with it.
    pub fn settings(self) -> Result<Settings, SourceError> {
        let Self { file, table, given } = self;
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let (path, words) = (error.path().to_string(), error.inner().message().to_owned());
            if let Some(key) = missing(&path, &words) {
                return SourceError::Missing { key: key.path.to_owned(), flag: key.flag(), variable: key.variable() };
            }
            let by = given.iter().rev().find(|(key, _)| path.starts_with(key)).map(|(_, origin)| origin.clone());
            let origin = by.unwrap_or_else(|| Origin::File(file.unwrap_or_else(|| "the configuration".into())));
            SourceError::Value { key: path, origin, words }
        })
    }
}

fn list(text: &str) -> Value {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
}

/// The key that a "missing field" is about.
fn missing(path: &str, words: &str) -> Option<&'static Key> {
    let field = words.strip_prefix("missing field `")?.split('`').next()?;
    let whole = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
    let inside = format!("{whole}.");
    KEYS.iter().find(|key| key.required && (key.path == whole || key.path.starts_with(&inside)))
}

impl Settings {
    /// Reads a file alone.
    ///
    /// # Errors
    /// [`SourceError`] names the key and what is wrong with it.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, SourceError> {
        Sources::new().file(path, text)?.settings()
    }
}
