//! The strategy `sandboxed`: finds the best way of confining that the machine allows, and runs
//! processes in it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::connection::{Connection, SandboxKind};
use super::landlocked::Landlocked;
use super::message::Mode;
use super::namespaced::Namespaced;
use super::remembered_way::RememberedWay;
use super::scratch::Session;
use super::stems::Stems;
use super::ways::Ways;
use crate::local::Local;
use crate::memory::Memory;
use crate::strategy::{
    Cancel, Completed, Isolation, PreparedSpawn, StagedInput, Strategy, StrategyError,
};

/// Runs processes in the sandbox; those that ask for it, outside.
pub struct Sandboxed {
    directory: PathBuf,
    /// What the first process started; its error is kept too, as it will not go away.
    state: Mutex<Option<Result<Arc<State>, Arc<StrategyError>>>>,
    /// How keys say that processes are confined.
    isolation: OnceLock<Isolation>,
    local: Local,
    ways: Ways,
    /// Whether processes may have the terminal of this one.
    terminal: bool,
    /// What stems may take.
    memory: Memory,
}

/// A running init with what belongs to it.
struct State {
    confined: Confined,
    /// Why it is not a better way.
    notice: Option<String>,
}

/// What runs processes in one way.
enum Confined {
    ByNamespaces(Namespaced),
    ByLandlock(Landlocked),
}

impl Sandboxed {
    /// A sandbox that works in `directory`, on the file system of the store, in the best of these
    /// `ways`. Nothing is started or written before it is needed.
    pub fn new(directory: &Path, ways: Ways) -> Sandboxed {
        Sandboxed {
            directory: directory.to_owned(),
            state: Mutex::new(None),
            isolation: OnceLock::new(),
            local: Local::new(directory),
            ways,
            terminal: false,
            memory: Memory::default(),
        }
    }

    /// The same with stems that take only what actions leave of `memory`.
    pub fn within(self, memory: Memory) -> Sandboxed {
        Sandboxed { memory, ..self }
    }

    /// The same for processes with [`crate::strategy::Streams::Own`].
    pub fn for_terminal(self) -> Sandboxed {
        Sandboxed { local: self.local.for_terminal(), terminal: true, ..self }
    }

    /// What the machine allows.
    pub fn kind(&self) -> SandboxKind {
        match self.state() {
            Ok(state) => state.connection().kind(),
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
        let (connection, notice) = Connection::best(&session, &self.ways, self.terminal)?;
        let remembered = RememberedWay::new(&self.directory, &self.ways);
        let isolation = isolation(connection.mode());
        if self.isolation.get().is_some_and(|told| *told != isolation) {
            // Results under keys that speak of another way would be believed by everybody.
            remembered.forget();
            return Err(StrategyError {
                what: "sandbox actions as before".into(),
                reason: "what this machine allows has changed; build again".into(),
            });
        }
        remembered.set(connection.mode());
        let confined = match isolation {
            Isolation::Landlock => Confined::ByLandlock(Landlocked::new(connection, session)),
            _ => {
                let overlay = self.ways.overlay;
                let stems = Stems::new(self.memory.clone());
                Confined::ByNamespaces(Namespaced::new(connection, session, overlay, stems))
            }
        };
        Ok(State { confined, notice })
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
            Err(_) if !state.connection().is_alive() && !cancel.is_cancelled() => {
                self.give_up(&state);
                self.state()?.run(spawn, cancel)
            }
            result => result,
        }
    }

    fn isolation(&self) -> Isolation {
        *self.isolation.get_or_init(|| {
            let remembered = RememberedWay::new(&self.directory, &self.ways).get();
            let mode = remembered.or_else(|| Some(self.state().ok()?.connection().mode()));
            // Where there is no way no process will run, and what did run before counts.
            mode.map_or(Isolation::Namespaces, isolation)
        })
    }

    fn has_stems(&self) -> bool {
        // What root alone may enter leaves a forked process no way to give up root's rights.
        self.state().is_ok_and(|state| state.connection().mode() == Mode::UserNamespaces)
    }

    fn release_stems(&self) {
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(Ok(state)) = state
            && let Confined::ByNamespaces(namespaced) = &state.confined
        {
            namespaced.stems().release();
        }
    }

    fn notice(&self) -> Option<String> {
        self.state().ok()?.notice.clone()
    }
}

fn isolation(mode: Mode) -> Isolation {
    match mode {
        Mode::UserNamespaces | Mode::RootNamespaces => Isolation::Namespaces,
        Mode::Landlock => Isolation::Landlock,
        Mode::Unconfined => Isolation::None,
    }
}

impl State {
    fn connection(&self) -> &Connection {
        match &self.confined {
            Confined::ByNamespaces(namespaced) => namespaced.connection(),
            Confined::ByLandlock(landlocked) => landlocked.connection(),
        }
    }

    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        match &self.confined {
            Confined::ByNamespaces(namespaced) => namespaced.run(spawn, cancel),
            Confined::ByLandlock(landlocked) => landlocked.run(spawn, cancel),
        }
    }
}

/// The parts of the machine, and the rest.
pub fn split(inputs: &[StagedInput]) -> (&[StagedInput], Cow<'_, [StagedInput]>) {
    let before = |end: &str| inputs.partition_point(|input| &*input.path < end);
    // `0` is the sign after `/`: all absolute paths lie between the two.
    let (from, to) = (before("/"), before("0"));
    let others = match (&inputs[..from], &inputs[to..]) {
        ([], others) | (others, []) => Cow::Borrowed(others),
        (some, others) => Cow::Owned([some, others].concat()),
    };
    (&inputs[from..to], others)
}
