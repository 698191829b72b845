//! The sandbox: runs a process that sees its declared inputs, its toolchain, and nothing else.
//!
//! Three kinds of processes take part:
//!
//! - rbz itself ([`Sandboxed`]) stages inputs, collects output and keeps the time;
//! - one **init** per rbz ([`maybe_become_init`]), small and single-threaded, owns the user and
//!   pid namespaces and does nothing but fork;
//! - for each action a **reaper**, the first process of the action's own pid namespace, builds
//!   the view, starts the program and, when that has ended or rbz has gone, kills what is left.
//!
//! Each hangs on a socket to rbz. When rbz goes, in whatever way, the kernel closes the sockets
//! and everything below goes too.

mod connection;
mod init;
mod message;
mod outputs;
mod program;
mod reaper;
mod sandboxed;
mod scratch;
mod supervise;
mod sweeper;
mod synthetic;
mod system_trees;
mod tree;
mod tree_pool;
mod view;
mod writable;

pub use connection::{SandboxKind, probe};
pub use init::maybe_become_init;
pub use sandboxed::{Sandboxed, Ways};
pub use scratch::remove_tree;

pub(crate) use connection::Connection;
pub(crate) use message::{Mode, Request};
pub(crate) use outputs::{
    MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE, complete, make_directories,
};
pub(crate) use scratch::Session;
pub(crate) use supervise::{Limits, supervise};
pub(crate) use tree::{Staging, Tree};
pub(crate) use view::part;
