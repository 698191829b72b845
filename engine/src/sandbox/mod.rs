//! The sandbox: runs a process that sees its declared inputs, its toolchain, and nothing else.
//!
//! It does so by namespaces (`namespaced`), or, on machines that forbid them, by rules for what a
//! process may open (`landlocked`). Then the rest is there to be seen, but not to be used, and
//! inputs are at paths of the machine; results of the two are not exchanged.
//!
//! Three kinds of processes take part:
//!
//! - rbz itself ([`Sandboxed`]) stages inputs, collects output and keeps the time;
//! - one **init** per rbz ([`maybe_become_init`]), small and single-threaded, owns the user and
//!   pid namespaces, if there are any, and does nothing but fork;
//! - for each action a **reaper**, the first process of the action's own pid namespace if it has
//!   one, builds the view, starts the program and, when that has ended or rbz has gone, kills what
//!   is left.
//!
//! Where an action allows it, its program is not started but forked from a **stem**, a process in
//! the pid namespace of the init that has dealt with what several actions begin with. The reaper
//! then builds the view, hands its namespaces over, and adopts what enters them.
//!
//! Each hangs on a socket to rbz. When rbz goes, in whatever way, the kernel closes the sockets
//! and everything below goes too.

mod connection;
mod init;
mod kept;
mod landlocked;
mod machine_parts;
mod message;
mod namespaced;
mod outputs;
mod process_size;
mod program;
mod real_paths;
mod reaper;
mod remembered_way;
mod rules;
mod sandboxed;
mod scratch;
mod stem;
mod stems;
mod supervise;
mod sweeper;
mod synthetic;
mod system_calls;
mod system_trees;
mod tree;
mod tree_pool;
mod view;
mod ways;
mod writable;

pub use connection::{SandboxKind, probe};
pub use init::maybe_become_init;
pub use kept::{KeptError, KeptSandbox};
pub use sandboxed::Sandboxed;
pub use scratch::remove_tree;
pub use ways::Ways;

pub(crate) use connection::Connection;
pub(crate) use message::{Confinement, Mode};
pub(crate) use outputs::{complete, make_directories};
pub(crate) use real_paths::request;
pub(crate) use scratch::Session;
pub(crate) use supervise::{Limits, supervise};
pub(crate) use tree::{Staging, Tree, TreeError};
pub(crate) use view::part;
