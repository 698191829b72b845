//! Actions that a query chooses: of the targets that an expression means, by their files and kinds.

use std::collections::HashSet;
use std::sync::Arc;

use rbz_engine::action::Action;
use rbz_starlark::configured_target::ConfiguredTarget;
use regex_automata::meta::Regex;

use crate::configured::ConfiguredWorld;
use crate::evaluator::Meaning;
use crate::functions::Function;
use crate::order::by_label;
use crate::query_error::QueryError;
use crate::syntax::{Argument, Expr, ExprKind};

/// Which actions are chosen.
#[derive(Debug, Default)]
pub struct ActionFilter {
    conditions: Vec<(Function, Regex)>,
}

impl ActionFilter {
    /// What the functions say that stand outermost in `expr`. Elsewhere they have no meaning: only
    /// there the result is one of actions.
    pub fn of(expr: &Expr) -> Result<ActionFilter, QueryError> {
        let mut filter = ActionFilter::default();
        let mut inner = expr;
        while let ExprKind::Call(function, arguments) = &inner.kind
            && let [Argument::Word(word), Argument::Expr(of)] = &arguments[..]
            && is_of_actions(*function)
        {
            // As in Bazel the whole text must fit.
            let regex = Regex::new(&format!("^(?:{})$", word.text)).map_err(|_| {
                QueryError::new(word.span, format!("`{}` is no regular expression", word.text))
            })?;
            filter.conditions.push((*function, regex));
            inner = of;
        }
        let mut pending = vec![inner];
        while let Some(expr) = pending.pop() {
            if let ExprKind::Call(function, _) = &expr.kind
                && is_of_actions(*function)
            {
                let name = function.name();
                let message = format!("`{name}` chooses actions, and so can only stand outermost");
                return Err(QueryError::new(expr.span, message)
                    .hint(format!("write `{name}(pattern, …)` around everything else")));
            }
            pending.extend(expr.inner());
        }
        Ok(filter)
    }

    fn fits(&self, action: &Action) -> bool {
        self.conditions.iter().all(|(function, regex)| {
            let fits = |text: &str| regex.is_match(text.as_bytes());
            match function {
                Function::Inputs => {
                    action.inputs.to_files().iter().any(|file| fits(file.exec_path()))
                }
                Function::Outputs => action.outputs.iter().any(|file| fits(file.exec_path())),
                _ => fits(&action.mnemonic),
            }
        })
    }
}

fn is_of_actions(function: Function) -> bool {
    matches!(function, Function::Inputs | Function::Outputs | Function::Mnemonic)
}

/// The targets of `meaning` with those of their actions that the filter lets through.
pub fn chosen(
    configured: &ConfiguredWorld,
    meaning: &Meaning,
    filter: &ActionFilter,
) -> Vec<(Arc<ConfiguredTarget>, Vec<Arc<Action>>)> {
    let mut seen = HashSet::new();
    let mut chosen = Vec::new();
    for node in by_label(&configured.world.graph, &meaning.targets) {
        let Some(target) = &configured.made(node).target else { continue };
        // An alias has the actions of what it stands for.
        if !seen.insert(Arc::as_ptr(target)) {
            continue;
        }
        let fitting: Vec<Arc<Action>> =
            target.actions.iter().filter(|action| filter.fits(action)).cloned().collect();
        if !fitting.is_empty() {
            chosen.push((target.clone(), fitting));
        }
    }
    chosen
}
