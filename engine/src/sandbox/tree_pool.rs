//! The pool of input trees: each action gets the free tree that is most like what it needs.

use std::fs;
use std::sync::{Arc, Mutex};

use super::scratch::Session;
use super::tree::{Staging, Tree, TreeError};
use crate::strategy::StagedInput;

/// Trees that are kept from action to action.
#[derive(Debug)]
pub struct TreePool {
    session: Arc<Session>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is at the end.
    free: Vec<(String, Tree)>,
    next: u32,
}

/// How many free trees are compared with what an action needs.
const COMPARED: usize = 4;

/// A tree in use. It goes back to the pool when dropped.
pub struct PooledTree {
    pool: Arc<TreePool>,
    name: String,
    /// `None` when its content is not known any more.
    tree: Option<Tree>,
}

impl TreePool {
    /// A pool with no trees.
    pub fn new(session: Arc<Session>) -> Arc<TreePool> {
        Arc::new(TreePool { session, state: Mutex::default() })
    }

    /// A tree that holds `inputs`, sorted by path, and is not changed while it is in use.
    pub fn get(self: &Arc<Self>, inputs: &[StagedInput]) -> Result<PooledTree, TreeError> {
        let (name, mut tree) = self.take(inputs)?;
        if let Err(error) = tree.update(inputs) {
            drop(tree);
            // What is left of it is removed by the next session at the latest.
            let _ = self.session.discard(&self.session.base().join(&name));
            return Err(error);
        }
        Ok(PooledTree { pool: self.clone(), name, tree: Some(tree) })
    }

    fn take(&self, inputs: &[StagedInput]) -> Result<(String, Tree), TreeError> {
        let mut state = self.lock();
        // Most often the last one fits as it is.
        if let Some(found) = state.free.pop_if(|(_, tree)| tree.holds(inputs)) {
            return Ok(found);
        }
        let compared = state.free.len().saturating_sub(COMPARED)..state.free.len();
        let best = compared.rev().min_by_key(|&index| state.free[index].1.distance(inputs));
        if let Some(index) = best {
            return Ok(state.free.remove(index));
        }
        let name = Session::tree(&state.next.to_string());
        state.next += 1;
        drop(state);
        let path = self.session.base().join(&name);
        fs::create_dir(&path).map_err(|error| TreeError::System {
            path: path.to_string_lossy().into_owned(),
            reason: error.to_string(),
        })?;
        Ok((name, Tree::new(&path, Staging::Links)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that can panic runs while it is held.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl PooledTree {
    /// Relative to the session's base.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for PooledTree {
    fn drop(&mut self) {
        if let Some(tree) = self.tree.take() {
            self.pool.lock().free.push((std::mem::take(&mut self.name), tree));
        }
    }
}
