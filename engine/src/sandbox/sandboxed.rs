//! The strategy `sandboxed`: stages inputs, has the process run, and finds what it wrote.

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::connection::{Connection, SandboxKind};
use super::message::{Mode, Request, View, Writable};
use super::outputs::{self, MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE};
use super::scratch::Session;
use super::supervise::{Limits, supervise};
use super::system_trees::SystemTrees;
use super::tree::TreeError;
use super::tree_pool::TreePool;
use super::view::{UID, part};
use super::writable;
use crate::local::Local;
use crate::strategy::{
    Cancel, Completed, EXEC_ROOT, PreparedSpawn, StagedInput, Strategy, StrategyError,
};

/// Runs processes in the sandbox; those that ask for it, outside.
pub struct Sandboxed {
    directory: PathBuf,
    /// What the first process started; its error is kept too, as it will not go away.
    state: Mutex<Option<Result<Arc<State>, Arc<StrategyError>>>>,
    local: Local,
    ways: Ways,
}

/// Which of the ways that a machine may lack are used where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Without them only root can confine processes.
    pub user_namespaces: bool,
    /// Without them inputs that lie beside outputs are copied.
    pub overlay: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Ways { user_namespaces: true, overlay: true }
    }
}

struct State {
    connection: Connection,
    /// Whether the execution root is an overlay.
    overlay: bool,
    trees: Arc<TreePool>,
    system_trees: SystemTrees,
    session: Arc<Session>,
}

impl Sandboxed {
    /// A sandbox that works in `directory`, on the file system of the store. Nothing is started
    /// or written before the first process is run.
    pub fn new(directory: &Path) -> Sandboxed {
        Sandboxed {
            directory: directory.to_owned(),
            state: Mutex::new(None),
            local: Local::new(directory),
            ways: Ways::default(),
        }
    }

    /// Like [`Sandboxed::new`], but does without what a lesser machine would lack.
    pub fn on_a_machine_with(directory: &Path, ways: Ways) -> Sandboxed {
        Sandboxed { ways, ..Sandboxed::new(directory) }
    }

    /// What the machine allows.
    pub fn kind(&self) -> SandboxKind {
        match self.state() {
            Ok(state) => state.connection.kind(),
            Err(error) => SandboxKind::Unavailable { reason: error.to_string() },
        }
    }

    fn state(&self) -> Result<Arc<State>, StrategyError> {
        // Held while the first process starts the init: the others need it as well.
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = state.get_or_insert_with(|| self.start().map(Arc::new).map_err(Arc::new));
        match result {
            Ok(state) => Ok(state.clone()),
            Err(error) => {
                Err(StrategyError { what: error.what.clone(), reason: error.reason.clone() })
            }
        }
    }

    /// Has the next process start another init, unless somebody saw to that already.
    fn give_up(&self, dead: &Arc<State>) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if matches!(&*state, Some(Ok(state)) if Arc::ptr_eq(state, dead)) {
            *state = None;
        }
    }

    fn start(&self) -> Result<State, StrategyError> {
        let session = Session::open(&self.directory)?;
        let connection = match self.ways.user_namespaces {
            true => Connection::confined(&session)?,
            false => Connection::start(Mode::RootNamespaces, session.base())?,
        };
        let overlay = self.ways.overlay && connection.overlay();
        SystemTrees::remove_old(&session);
        let trees = TreePool::new(session.clone());
        Ok(State { connection, overlay, trees, system_trees: SystemTrees::default(), session })
    }
}

impl Strategy for Sandboxed {
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        if spawn.unconfined {
            return self.local.run(spawn, cancel);
        }
        let state = self.state()?;
        match state.run(spawn, cancel) {
            // Somebody killed the init, most likely a machine without memory, and everything in
            // it: what was running begins again, once.
            Err(_) if !state.connection.is_alive() && !cancel.is_cancelled() => {
                self.give_up(&state);
                self.state()?.run(spawn, cancel)
            }
            result => result,
        }
    }

    fn name(&self) -> &'static str {
        "sandboxed"
    }

    fn key_material(&self) -> &str {
        ""
    }
}

impl State {
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let (system, inputs) = split(&spawn.inputs);
        let scratch = self.session.scratch().map_err(|error| StrategyError {
            what: "make a scratch directory".into(),
            reason: error.to_string(),
        })?;
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
        let running =
            self.connection.run(&request(spawn, view), spawn.merge_output).map_err(|error| {
                StrategyError {
                    what: "start a process in the sandbox".into(),
                    reason: error.to_string(),
                }
            })?;
        let live = spawn.live.as_ref();
        let ended = supervise(running, &Limits { timeout: spawn.timeout, cancel, live })?;
        drop(tree);
        if owner.is_some() {
            take_back(&upper)?;
        }
        outputs::complete(ended, spawn, scratch)
    }
}

/// The parts of the machine, and the rest.
fn split(inputs: &[StagedInput]) -> (&[StagedInput], Cow<'_, [StagedInput]>) {
    let before = |end: &str| inputs.partition_point(|input| &*input.path < end);
    // `0` is the sign after `/`: all absolute paths lie between the two.
    let (from, to) = (before("/"), before("0"));
    let others = match (&inputs[..from], &inputs[to..]) {
        ([], others) | (others, []) => Cow::Borrowed(others),
        (some, others) => Cow::Owned([some, others].concat()),
    };
    (&inputs[from..to], others)
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
    Request { view: Some(view), program, argv, env, working_directory }
}

fn failed(error: TreeError) -> StrategyError {
    StrategyError { what: "stage the inputs of a process".into(), reason: error.to_string() }
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
