//! Processes without namespaces of their own, for machines that forbid these: each has a directory
//! of its own with its inputs, and rules for what else of the machine it may open.
//!
//! Inputs that lie in no directory of outputs are links to the store. Nobody can write to them: the
//! rules forbid it. Those beside outputs are copies. Toolchains are used where they lie.

use std::sync::Arc;

use super::connection::Connection;
use super::machine_parts::{MachineParts, outermost};
use super::message::Confinement;
use super::outputs;
use super::real_paths;
use super::rules::Rules;
use super::sandboxed::split;
use super::scratch::Session;
use super::supervise::{Limits, supervise};
use super::tree::{Staging, Tree, TreeError};
use super::view::part;
use super::writable;
use crate::strategy::{Cancel, Completed, Isolation, PreparedSpawn, StrategyError};

/// What processes under Landlock share.
pub struct Landlocked {
    connection: Connection,
    session: Arc<Session>,
    machine: MachineParts,
}

impl Landlocked {
    /// Runs what it is asked to by way of `connection`.
    pub fn new(connection: Connection, session: Arc<Session>) -> Landlocked {
        Landlocked { connection, session, machine: MachineParts::default() }
    }

    /// The way to the init.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs a process to its end.
    pub fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let (machine, inputs) = split(&spawn.inputs);
        self.machine.check(machine)?;
        let scratch = self.session.scratch_for(&spawn.outputs)?;
        let root = scratch.path().join(part::UPPER);
        let directories = writable::directories(spawn);
        let read_only = writable::read_only_part(&inputs, &directories);
        Tree::new(&root, Staging::Links)
            .and_then(|mut tree| tree.update(&read_only))
            .and_then(|()| {
                directories.iter().try_for_each(|directory| {
                    writable::stage_in(&root.join(directory), &inputs, directory)
                })
            })
            .map_err(TreeError::into_strategy_error)?;
        outputs::make_directories(&root, &spawn.outputs, None)?;

        let mut readable = outermost(machine);
        readable.push(root.clone());
        let mut writable: Vec<_> = directories.iter().map(|it| root.join(it)).collect();
        writable.extend([part::TMP, part::HOME].map(|name| scratch.path().join(name)));
        let rules = Rules { readable, writable, network: spawn.network };
        let request = real_paths::request(spawn, &root, &scratch.path(), Confinement::Rules(rules));
        let running = self.connection.run(&request, spawn.streams)?;
        let live = spawn.live.as_ref();
        let ended = supervise(
            running,
            &Limits { timeout: spawn.timeout, grace: spawn.grace, cancel, live },
        )?;
        // What the process used of it was the same from its beginning to its end.
        self.machine.check(machine)?;
        outputs::complete(ended, spawn, scratch, &root, Isolation::Landlock)
    }
}
