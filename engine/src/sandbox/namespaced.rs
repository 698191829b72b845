//! Processes in namespaces of their own: each sees a view made of kept trees, and nothing else.

use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::sync::Arc;

use super::connection::{Connection, Running, pipes};
use super::message::{Confinement, Mode, Request, Role, View, Writable};
use super::outputs::{self, MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE};
use super::sandboxed::split;
use super::scratch::{Scratch, Session};
use super::stem::Stem;
use super::stems::{Stems, Wanted};
use super::supervise::{Ended, Limits, Outcome, supervise};
use super::system_trees::SystemTrees;
use super::tree::TreeError;
use super::tree_pool::{PooledTree, TreePool};
use super::view::{UID, part};
use super::writable;
use crate::strategy::{
    Cancel, Completed, EXEC_ROOT, Exit, Isolation, PreparedResident, PreparedSpawn, StrategyError,
};

/// What processes in namespaces share.
pub struct Namespaced {
    /// They go before what they need.
    stems: Stems,
    connection: Connection,
    /// Whether the execution root is an overlay.
    overlay: bool,
    trees: Arc<TreePool>,
    system_trees: SystemTrees,
    session: Arc<Session>,
}

impl Namespaced {
    /// Runs what it is asked to by way of `connection`; with overlays if it may and can.
    pub fn new(
        connection: Connection,
        session: Arc<Session>,
        overlay: bool,
        stems: Stems,
    ) -> Namespaced {
        let overlay = overlay && connection.overlay();
        SystemTrees::remove_old(&session);
        let trees = TreePool::new(session.clone());
        Namespaced {
            stems,
            connection,
            overlay,
            trees,
            system_trees: SystemTrees::default(),
            session,
        }
    }

    /// The stems that there are.
    pub fn stems(&self) -> &Stems {
        &self.stems
    }

    /// The way to the init.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs a process to its end.
    pub fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        if let Some(resident) = &spawn.resident
            && let Some(completed) = self.run_forked(spawn, resident, cancel)?
        {
            return Ok(completed);
        }
        let staged = self.stage(spawn)?;
        let request = request(spawn, &spawn.argv, staged.view.clone());
        let running = self.connection.run(&request, spawn.streams)?;
        let ended = supervise(running, &limits(spawn, cancel))?;
        self.finish(ended, spawn, staged)
    }

    /// Forks the process from a stem. `None`: that did not work, and it has to run alone.
    fn run_forked(
        &self,
        spawn: &PreparedSpawn,
        resident: &PreparedResident,
        cancel: &Cancel,
    ) -> Result<Option<Completed>, StrategyError> {
        let make = |wanted: &Wanted| self.make_stem(spawn, resident, wanted, cancel);
        let Some(kept) = self.stems.get(spawn, resident, make) else { return Ok(None) };
        let staged = self.stage(spawn)?;
        let request = request(spawn, &spawn.argv, staged.view.clone());
        let (control, namespaces) = self.connection.namespaces(Role::ForkedProcess, &request)?;
        let (ours, theirs) = pipes(spawn.streams).map_err(|error| StrategyError {
            what: "make the pipes of a process".into(),
            reason: error.to_string(),
        })?;
        let shared = spawn.argv.iter().zip(&resident.argv).take_while(|(a, b)| a == b).count();
        let mut stem = kept.stem();
        let forked = stem.as_ref().and_then(|stem| {
            stem.fork(&namespaces, &spawn.argv[shared..], &theirs.stdout, &theirs.stderr, cancel)
        });
        if forked.is_none() {
            // What it still has to say would be taken for an answer to somebody else.
            *stem = None;
            return Ok(None);
        }
        drop((stem, theirs, namespaces));
        let running = Running { control, ours };
        let ended = supervise(running, &limits(spawn, cancel))?;
        // A crash may be that of the stem: alone it happens again, or does not.
        match ended.outcome {
            Outcome::Ran(Exit::Signal(_) | Exit::Status(GAVE_UP)) => Ok(None),
            _ => self.finish(ended, spawn, staged).map(Some),
        }
    }

    fn make_stem(
        &self,
        spawn: &PreparedSpawn,
        resident: &PreparedResident,
        wanted: &Wanted,
        cancel: &Cancel,
    ) -> Option<Stem> {
        let (system, inputs) = split(&wanted.visible);
        let scratch = self.session.scratch().ok()?;
        // Once the steps are done nothing is read any more, and others may have the tree.
        let tree = self.trees.get(&inputs).ok()?;
        let view = View {
            system: self.system_trees.get(&self.session, system, false).ok()?,
            inputs: tree.name().to_owned(),
            scratch: scratch.name().to_owned(),
            writable: Writable::Directories(Vec::new()),
            network: false,
        };
        let request = request(spawn, &resident.argv, view);
        let connection = &self.connection;
        match wanted.parent {
            None => Stem::start(connection, &request, scratch, cancel),
            Some(parent) => {
                let parent = parent.stem();
                parent.as_ref()?.extend(connection, &request, wanted.steps, scratch, cancel)
            }
        }
    }

    /// Makes what a process needs to start.
    fn stage(&self, spawn: &PreparedSpawn) -> Result<Staged, StrategyError> {
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
        let owner = self.owner();
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
        Ok(Staged { view, scratch, tree })
    }

    fn finish(
        &self,
        ended: Ended,
        spawn: &PreparedSpawn,
        staged: Staged,
    ) -> Result<Completed, StrategyError> {
        let Staged { scratch, tree, .. } = staged;
        drop(tree);
        if self.owner().is_some() {
            take_back(&scratch.path().join(part::UPPER))?;
        }
        let root = Path::new(EXEC_ROOT);
        outputs::complete(ended, spawn, scratch, root, Isolation::Namespaces)
    }

    /// Whose the files have to be that a process writes, if not ours.
    fn owner(&self) -> Option<u32> {
        (self.connection.mode() == Mode::RootNamespaces).then_some(UID)
    }
}

/// What a process works in.
struct Staged {
    view: View,
    scratch: Scratch,
    tree: PooledTree,
}

/// The exit status of what was forked and could not become a process of its own.
const GAVE_UP: i32 = 125;

fn limits<'a>(spawn: &'a PreparedSpawn, cancel: &'a Cancel) -> Limits<'a> {
    Limits { timeout: spawn.timeout, grace: spawn.grace, cancel, live: spawn.live.as_ref() }
}

fn request(spawn: &PreparedSpawn, argv: &[String], view: View) -> Request {
    let in_exec_root = |path: &str| match path {
        "" => EXEC_ROOT.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{EXEC_ROOT}/{path}"),
    };
    let program = in_exec_root(argv.first().map_or("", String::as_str));
    let mut argv = argv.to_vec();
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
    let confinement = Confinement::View(view);
    Request { confinement, program, argv, env, working_directory, memory: spawn.memory }
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
