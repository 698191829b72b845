//! Sessions of a user: the real `rbz` on real workspaces with real compilers.
//!
//! A test makes a [`workspace()`], runs `rbz` in it with [`Workspace::rbz`], and looks at what a
//! user sees: exit status, text, files. Each has a home directory and an output root of its own
//! in a temporary directory; nothing of the developer's is read or written.

pub mod binary;
pub mod debugger;
pub mod document;
pub mod events;
pub mod outcome;
pub mod projects;
pub mod redaction;
pub mod session;
pub mod shared_cache;
pub mod system;
pub mod trace;
pub mod workspace;

pub use outcome::Outcome;
pub use session::Rbz;
pub use workspace::{Workspace, workspace, workspace_from};
