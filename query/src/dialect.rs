//! Dialects: the language is one, but not each command has each function.

/// Whose language it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `rbz query`
    Query,
    /// `rbz cquery`
    Cquery,
    /// `rbz aquery`
    Aquery,
}

impl Dialect {
    /// The command.
    pub fn command(self) -> &'static str {
        match self {
            Dialect::Query => "query",
            Dialect::Cquery => "cquery",
            Dialect::Aquery => "aquery",
        }
    }
}
