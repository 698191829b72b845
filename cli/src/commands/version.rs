//! `rbz version`: which rbz this is.

/// The text on stdout; its first line is what `rbz info release` shows.
pub fn text() -> String {
    format!("{}\n", release())
}

/// The name of this release.
pub fn release() -> String {
    format!("rbz {}", env!("CARGO_PKG_VERSION"))
}
