//! Queries: from the text of an expression to the answer.

use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::loader::Loader;

use crate::dialect::Dialect;
use crate::evaluator::evaluate;
use crate::output::{OutputOptions, write};
use crate::parser::parse;
use crate::query_error::QueryError;
use crate::syntax::Expr;
use crate::world::{World, WorldOptions};

/// An expression that was read.
#[derive(Clone, Debug)]
pub struct Query {
    expr: Expr,
    text: String,
    name: String,
}

/// What a query came to.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The targets as they are to be written.
    pub bytes: Vec<u8>,
    /// How many targets there are.
    pub count: usize,
    /// What is wrong, but was left out.
    pub errors: Vec<Diagnostic>,
}

impl Query {
    /// Reads the expression `text`, which messages call `name`.
    pub fn parse(text: &str, name: &str, dialect: Dialect) -> Result<Query, Diagnostic> {
        let (text, name) = (text.trim_end().to_owned(), name.to_owned());
        match parse(&text, dialect) {
            Ok(expr) => Ok(Query { expr, text, name }),
            Err(error) => Err(error.diagnostic(&text, &name)),
        }
    }

    /// The patterns in it, each once: a universe for functions that need one.
    pub fn patterns(&self) -> Vec<String> {
        let mut patterns: Vec<String> =
            self.expr.patterns().into_iter().map(str::to_owned).collect();
        patterns.sort();
        patterns.dedup();
        patterns
    }

    /// Evaluates it over the targets that are declared.
    pub fn answer(
        &self,
        loader: &Loader,
        options: &WorldOptions,
        output: &OutputOptions,
    ) -> Result<Answer, Diagnostic> {
        // On the loader's threads: their stacks are large, and nothing has to be handed over.
        loader.threads().install(|| {
            let mut world = World::new(loader, options.clone());
            self.answer_in(&mut world, output)
        })
    }

    /// Evaluates it in a world.
    pub fn answer_in(
        &self,
        world: &mut World,
        output: &OutputOptions,
    ) -> Result<Answer, Diagnostic> {
        let placed = |error: QueryError| error.diagnostic(&self.text, &self.name);
        let meaning = evaluate(&self.expr, &self.text, world).map_err(placed)?;
        let bytes = write(world, &meaning, output)?;
        Ok(Answer { bytes, count: meaning.targets.len(), errors: world.take_errors() })
    }
}
