//! The commands of `rbz`, one module each.

pub mod clean;
pub mod help;
pub mod info;
pub mod init;
pub mod version;
