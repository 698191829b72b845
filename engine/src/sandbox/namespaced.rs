//! Processes in namespaces of their own: each sees a view made of kept trees, and nothing else.

use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::sync::Arc;

use super::connection::Connection;
use super::message::{Confinement, Mode, Request, View, Writable};
use super::outputs::{self, MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE};
use super::sandboxed::split;
use super::scratch::Session;
use super::supervise::{Limits, supervise};
use super::system_trees::SystemTrees;
use super::tree::TreeError;
use super::tree_pool::TreePool;
use super::view::{UID, part};
use super::writable;
use crate::strategy::{Cancel, Completed, EXEC_ROOT, PreparedSpawn, StrategyError};

/// What processes in namespaces share.
pub struct Namespaced {
    connection: Connection,
    /// Whether the execution root is an overlay.
    overlay: bool,
    trees: Arc<TreePool>,
    system_trees: SystemTrees,
    session: Arc<Session>,
}

impl Namespaced {
    /// Runs what it is asked to by way of `connection`; with overlays if it may and can.
    pub fn new(connection: Connection, session: Arc<Session>, overlay: bool) -> Namespaced {
        let overlay = overlay && connection.overlay();
        SystemTrees::remove_old(&session);
        let trees = TreePool::new(session.clone());
        Namespaced { connection, overlay, trees, system_trees: SystemTrees::default(), session }
    }

    /// The way to the init.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs a process to its end.
    pub fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let failed = TreeError::into_strategy_error;
        let (system, inputs) = split(&spawn.inputs);
        let scratch = self.session.scratch()?;
        let upper = scratch.path().join(part::UPPER);
        let (tree, writable) = if self.overlay {
            (self.trees.get(&inputs).map_err(failed)?, Writable::Everywhere)
        } else {
            let directories = writable::directories(spawn);
            writable::stage(&upper, &inputs, &directories).map_err(failed)?;
            let read_only = writable::read_only_part(&inputs, &directories);
            (self.trees.get(&read_only).map_err(failed)?, Writable::Directories(directories))
        };
        let owner = (self.connection.mode() == Mode::RootNamespaces).then_some(UID);
        outputs::make_directories(&upper, &spawn.outputs, owner)?;
        if let Some(owner) = owner {
            for name in [part::TMP, part::HOME] {
                give(&scratch.path().join(name), owner)?;
            }
        }
        let system = self.system_trees.get(&self.session, system, spawn.network).map_err(failed)?;
        let view = View {
            system,
            inputs: tree.name().to_owned(),
            scratch: scratch.name().to_owned(),
            writable,
            network: spawn.network,
        };
        let running = self.connection.run(&request(spawn, view), spawn.merge_output)?;
        let live = spawn.live.as_ref();
        let ended = supervise(running, &Limits { timeout: spawn.timeout, cancel, live })?;
        drop(tree);
        if owner.is_some() {
            take_back(&upper)?;
        }
        outputs::complete(ended, spawn, scratch, Path::new(EXEC_ROOT))
    }
}

fn request(spawn: &PreparedSpawn, view: View) -> Request {
    let in_exec_root = |path: &str| match path {
        "" => EXEC_ROOT.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{EXEC_ROOT}/{path}"),
    };
    let program = in_exec_root(spawn.argv.first().map_or("", String::as_str));
    let mut argv = spawn.argv.clone();
    // A program finds itself by its name as long as that holds from where it starts.
    if !spawn.working_directory.is_empty() && !argv.is_empty() {
        argv[0].clone_from(&program);
    }
    let mut env: Vec<String> =
        spawn.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !spawn.env.contains_key(MISSING_INPUTS_VARIABLE) {
        env.push(format!("{MISSING_INPUTS_VARIABLE}=/tmp/{MISSING_INPUTS_FILE}"));
    }
    let working_directory = in_exec_root(&spawn.working_directory);
    Request { confinement: Confinement::View(view), program, argv, env, working_directory }
}

fn give(path: &Path, owner: u32) -> Result<(), StrategyError> {
    lchown(path, Some(owner), Some(owner)).map_err(|error| StrategyError {
        what: format!("hand `{}` over to a process", path.display()),
        reason: error.to_string(),
    })
}

/// Makes everything below `upper` root's own again.
fn take_back(upper: &Path) -> Result<(), StrategyError> {
    let all = || -> io::Result<()> {
        for entry in walkdir::WalkDir::new(upper) {
            lchown(entry?.path(), Some(0), Some(0))?;
        }
        Ok(())
    };
    all().map_err(|error| StrategyError {
        what: "take the outputs of a process over".into(),
        reason: error.to_string(),
    })
}
