//! The strategy `local`: runs a process unconfined, in a directory with copies of its inputs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::sandbox::{
    Connection, Limits, MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE, Mode, Request, Session,
    Staging, Tree, complete, make_directories, part, supervise,
};
use crate::strategy::{
    Cancel, Completed, EXEC_ROOT, PreparedSpawn, StagedInput, Strategy, StrategyError,
};

/// Runs processes that see the whole machine. Only what is declared is in their execution root,
/// but nothing keeps them from looking elsewhere.
///
/// Inputs are copies, since such a process may change whatever it can reach. What a process
/// leaves running is killed here too.
pub struct Local {
    directory: PathBuf,
    state: Mutex<Option<Arc<State>>>,
}

struct State {
    connection: Connection,
    session: Arc<Session>,
}

impl Local {
    /// Works in `directory`, on the file system of the store. Nothing is started or written
    /// before the first process is run.
    pub fn new(directory: &Path) -> Local {
        Local { directory: directory.to_owned(), state: Mutex::new(None) }
    }

    fn state(&self) -> Result<Arc<State>, StrategyError> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(state) = &*state {
            return Ok(state.clone());
        }
        let session = Session::open(&self.directory)?;
        let connection = Connection::start(Mode::Unconfined, session.base())?;
        Ok(state.insert(Arc::new(State { connection, session })).clone())
    }
}

impl Strategy for Local {
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let state = self.state()?;
        let scratch = state.session.scratch().map_err(|error| StrategyError {
            what: "make a scratch directory".into(),
            reason: error.to_string(),
        })?;
        let root = scratch.path().join(part::UPPER);
        let inputs: Vec<StagedInput> =
            spawn.inputs.iter().filter(|input| !input.path.starts_with('/')).cloned().collect();
        Tree::new(&root, Staging::Copies).and_then(|mut tree| tree.update(&inputs)).map_err(
            |error| StrategyError {
                what: "stage the inputs of a process".into(),
                reason: error.to_string(),
            },
        )?;
        make_directories(&root, &spawn.outputs, None)?;
        let request = request(spawn, &root, &scratch.path());
        let running = state.connection.run(&request, spawn.merge_output).map_err(|error| {
            StrategyError { what: "start a process".into(), reason: error.to_string() }
        })?;
        let live = spawn.live.as_ref();
        let ended = supervise(running, &Limits { timeout: spawn.timeout, cancel, live })?;
        complete(ended, spawn, scratch)
    }

    fn name(&self) -> &'static str {
        "local"
    }

    /// Outputs may hold paths of the machine, or anything else of it.
    fn key_material(&self) -> &str {
        "local"
    }
}

/// What to run: paths of the sandbox become those of this machine.
fn request(spawn: &PreparedSpawn, root: &Path, scratch: &Path) -> Request {
    let root = root.to_string_lossy();
    let scratch = scratch.to_string_lossy();
    let in_root = |path: &str| match path {
        "" => root.to_string(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{root}/{path}"),
    };
    let program = in_root(spawn.argv.first().map_or("", String::as_str));
    let mut argv = spawn.argv.clone();
    if !spawn.working_directory.is_empty() && !argv.is_empty() {
        argv[0].clone_from(&program);
    }
    let replaced = |value: &str| -> Option<String> {
        // Below `/tmp` there may be files of the machine that the process was told of.
        if value == "/tmp" {
            return Some(format!("{scratch}/{}", part::TMP));
        }
        for (prefix, by) in
            [(EXEC_ROOT, root.to_string()), ("/rbz/home", format!("{scratch}/{}", part::HOME))]
        {
            if let Some(rest) = value.strip_prefix(prefix)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return Some(format!("{by}{rest}"));
            }
        }
        None
    };
    let mut env: Vec<String> = spawn
        .env
        .iter()
        .map(|(name, value)| match replaced(value) {
            Some(value) => format!("{name}={value}"),
            None => format!("{name}={value}"),
        })
        .collect();
    if !spawn.env.contains_key(MISSING_INPUTS_VARIABLE) {
        let file = format!("{scratch}/{}/{MISSING_INPUTS_FILE}", part::TMP);
        env.push(format!("{MISSING_INPUTS_VARIABLE}={file}"));
    }
    let working_directory = in_root(&spawn.working_directory);
    Request { view: None, program, argv, env, working_directory }
}
