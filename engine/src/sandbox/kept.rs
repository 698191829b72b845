//! Kept sandboxes: the process of a failed action, to be run again where it ran, or another one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::outputs::INPUTS;
use super::sandboxed::Sandboxed;
use super::ways::Ways;
use crate::local::Local;
use crate::strategy::{
    Cancel, Completed, DeclaredOutput, Isolation, PreparedSpawn, StagedContent, StagedInput,
    Strategy, StrategyError, Streams,
};

/// A directory that `--sandbox_debug` kept, with all that is needed to run its process again.
///
/// Each process begins where that of the action began: with its inputs, which are read anew from
/// the directory and may have been edited there, and without anything that it wrote. What a process
/// writes is gone when it ends. The directory itself is not changed.
#[derive(Debug)]
pub struct KeptSandbox {
    directory: PathBuf,
    record: Record,
}

/// Why a kept sandbox cannot be used.
#[derive(Debug, Error)]
pub enum KeptError {
    /// There is nothing of the kind.
    #[error("`{directory}` is no directory that `--sandbox_debug` of this rbz has kept")]
    NotKept {
        /// Where it should be.
        directory: PathBuf,
    },
    /// A part of the machine is no longer in the store.
    #[error("what `{path}` was is not known any more")]
    Gone {
        /// The path that the action saw.
        path: String,
    },
    /// No program of this name was there for the action.
    #[error("there is no program `{name}` in this sandbox")]
    NoProgram {
        /// The name.
        name: String,
        /// Those that are there.
        programs: Vec<String>,
    },
    /// The machine is at fault.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
}

/// The name of the file with the [`Record`].
const RECORD: &str = "record";

/// What a record begins with. The number is raised when its form changes.
const MAGIC: &[u8] = b"rbz kept sandbox 1\n";

/// A process as it was to be run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The directory that the sandbox worked in.
    sandbox: PathBuf,
    isolation: Isolation,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    inputs: Vec<StagedInput>,
    outputs: Vec<DeclaredOutput>,
    working_directory: String,
    network: bool,
}

impl Record {
    /// Of a process that ran in a sandbox that works in the directory `sandbox`.
    pub fn new(sandbox: &Path, spawn: &PreparedSpawn, isolation: Isolation) -> Record {
        Record {
            sandbox: sandbox.to_owned(),
            isolation,
            argv: spawn.argv.clone(),
            env: spawn.env.clone(),
            inputs: spawn.inputs.to_vec(),
            outputs: spawn.outputs.clone(),
            working_directory: spawn.working_directory.clone(),
            network: spawn.network,
        }
    }

    /// Writes it into a directory that is kept.
    pub fn write(&self, kept: &Path) -> io::Result<()> {
        let record = postcard::to_stdvec(self).map_err(io::Error::other)?;
        fs::write(kept.join(RECORD), [MAGIC, &record].concat())
    }

    fn read(kept: &Path) -> Option<Record> {
        let bytes = fs::read(kept.join(RECORD)).ok()?;
        postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
    }
}

impl KeptSandbox {
    /// The sandbox that was kept as `directory`.
    pub fn open(directory: &Path) -> Result<KeptSandbox, KeptError> {
        let not_kept = || KeptError::NotKept { directory: directory.to_owned() };
        let directory = directory.canonicalize().map_err(|_| not_kept())?;
        let mut record = Record::read(&directory).ok_or_else(not_kept)?;
        for input in &mut record.inputs {
            let StagedContent::Blob { store_path, .. } = &mut input.content else { continue };
            if !input.path.starts_with('/') {
                *store_path = directory.join(INPUTS).join(&*input.path).into();
            } else if !store_path.exists() {
                return Err(KeptError::Gone { path: input.path.to_string() });
            }
        }
        // Among those kept it is the youngest now, so that it stays.
        if let Ok(metadata) = fs::metadata(&directory) {
            let _ = fs::set_permissions(&directory, metadata.permissions());
        }
        Ok(KeptSandbox { directory, record })
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs `command`, or if that is empty the command of the action, at the terminal of this
    /// process.
    pub fn run(&self, command: &[String]) -> Result<Completed, KeptError> {
        let record = &self.record;
        let mut argv = record.argv.clone();
        if let Some((name, arguments)) = command.split_first() {
            argv = vec![self.program(name)?];
            argv.extend_from_slice(arguments);
        }
        let spawn = PreparedSpawn {
            argv,
            env: record.env.clone(),
            inputs: record.inputs.clone().into(),
            outputs: record.outputs.clone(),
            working_directory: record.working_directory.clone(),
            network: record.network,
            unconfined: record.isolation == Isolation::None,
            timeout: None,
            grace: std::time::Duration::ZERO,
            memory: u64::MAX,
            keep: false,
            live: None,
            streams: Streams::Own,
            resident: None,
        };
        let confined = |ways| Sandboxed::new(&record.sandbox, ways).for_terminal();
        let cancel = Cancel::default();
        Ok(match record.isolation {
            Isolation::Namespaces => confined(Ways::namespaces()).run(&spawn, &cancel),
            Isolation::Landlock => confined(Ways::landlock()).run(&spawn, &cancel),
            Isolation::None => Local::new(&record.sandbox).for_terminal().run(&spawn, &cancel),
        }?)
    }

    /// The program that `name` is for the action: a path, or found on the action's own `PATH`.
    fn program(&self, name: &str) -> Result<String, KeptError> {
        if name.contains('/') {
            return Ok(name.to_owned());
        }
        let path = self.record.env.get("PATH").map_or("", String::as_str);
        let directories = || path.split(':').filter(|directory| directory.starts_with('/'));
        let sees_all = self.record.isolation == Isolation::None;
        let is_there = |path: &String| {
            let inputs = &self.record.inputs;
            inputs.binary_search_by(|input| (*input.path).cmp(path)).is_ok()
                || (sees_all && Path::new(path).is_file())
        };
        let mut places = directories().map(|directory| format!("{directory}/{name}"));
        places.find(is_there).ok_or_else(|| {
            let own = |input: &StagedInput| {
                let (directory, name) = input.path.rsplit_once('/')?;
                let is_program = directories().any(|known| known == directory)
                    && input.content != StagedContent::Directory;
                is_program.then(|| name.to_owned())
            };
            KeptError::NoProgram {
                name: name.to_owned(),
                programs: self.record.inputs.iter().filter_map(own).collect(),
            }
        })
    }
}
