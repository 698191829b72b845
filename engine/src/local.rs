//! The strategy `local`: runs a process unconfined, in a directory with copies of its inputs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::sandbox::{
    Confinement, Connection, Limits, Mode, Session, Staging, Tree, TreeError, complete,
    make_directories, part, request, supervise,
};
use crate::strategy::{
    Cancel, Completed, Isolation, PreparedSpawn, StagedInput, Strategy, StrategyError,
};

/// Runs processes that see the whole machine. Only what is declared is in their execution root,
/// but nothing keeps them from looking elsewhere.
///
/// Inputs are copies, since such a process may change whatever it can reach. What a process
/// leaves running is killed here too.
pub struct Local {
    directory: PathBuf,
    state: Mutex<Option<Arc<State>>>,
    /// Whether processes may have the terminal of this one.
    terminal: bool,
}

struct State {
    connection: Connection,
    session: Arc<Session>,
}

impl Local {
    /// Works in `directory`, on the file system of the store. Nothing is started or written
    /// before the first process is run.
    pub fn new(directory: &Path) -> Local {
        Local { directory: directory.to_owned(), state: Mutex::new(None), terminal: false }
    }

    /// The same for processes with [`crate::strategy::Streams::Own`].
    pub fn for_terminal(self) -> Local {
        Local { terminal: true, ..self }
    }

    fn state(&self) -> Result<Arc<State>, StrategyError> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(state) = &*state {
            return Ok(state.clone());
        }
        let session = Session::open(&self.directory)?;
        let connection = Connection::start(Mode::Unconfined, session.base(), self.terminal)?;
        Ok(state.insert(Arc::new(State { connection, session })).clone())
    }
}

impl Strategy for Local {
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let state = self.state()?;
        let scratch = state.session.scratch_for(&spawn.outputs)?;
        let root = scratch.path().join(part::UPPER);
        let inputs: Vec<StagedInput> =
            spawn.inputs.iter().filter(|input| !input.path.starts_with('/')).cloned().collect();
        Tree::new(&root, Staging::Copies)
            .and_then(|mut tree| tree.update(&inputs))
            .map_err(TreeError::into_strategy_error)?;
        make_directories(&root, &spawn.outputs, None)?;
        let request = request(spawn, &root, &scratch.path(), Confinement::None);
        let running = state.connection.run(&request, spawn.streams)?;
        let live = spawn.live.as_ref();
        let ended = supervise(
            running,
            &Limits { timeout: spawn.timeout, grace: spawn.grace, cancel, live },
        )?;
        complete(ended, spawn, scratch, &root, Isolation::None)
    }

    fn isolation(&self) -> Isolation {
        Isolation::None
    }
}
