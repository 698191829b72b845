//! Queries: from the text of an expression to the answer.

use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::configured_graph::ConfiguredGraph;
use rbz_starlark::loader::Loader;

use crate::action_output::{ActionOptions, write_actions};
use crate::actions::{ActionFilter, chosen};
use crate::configured::ConfiguredWorld;
use crate::configured_output::{ConfiguredFormat, write_configured};
use crate::dialect::Dialect;
use crate::evaluator::{Meaning, evaluate};
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

    /// Evaluates it over configured targets.
    pub fn answer_configured(
        &self,
        loader: &Loader,
        options: &WorldOptions,
        graph: ConfiguredGraph,
        format: &ConfiguredFormat,
        output: &OutputOptions,
    ) -> Result<Answer, Diagnostic> {
        loader.threads().install(|| {
            let mut configured = ConfiguredWorld::new(loader, options.clone(), graph);
            let meaning = self.meaning(&mut configured.world)?;
            let bytes = write_configured(&mut configured, &meaning, format, output)?;
            Ok(self.finish(bytes, &meaning, configured))
        })
    }

    /// Evaluates it over configured targets, and yields their actions.
    pub fn answer_actions(
        &self,
        loader: &Loader,
        options: &WorldOptions,
        graph: ConfiguredGraph,
        output: &ActionOptions,
    ) -> Result<Answer, Diagnostic> {
        loader.threads().install(|| {
            let filter = ActionFilter::of(&self.expr).map_err(|error| self.placed(error))?;
            let mut configured = ConfiguredWorld::new(loader, options.clone(), graph);
            let meaning = self.meaning(&mut configured.world)?;
            let chosen = chosen(&configured, &meaning, &filter);
            let bytes = write_actions(&chosen, output);
            Ok(Answer { count: chosen.len(), ..self.finish(bytes, &meaning, configured) })
        })
    }

    fn finish(&self, bytes: Vec<u8>, meaning: &Meaning, configured: ConfiguredWorld) -> Answer {
        let ConfiguredWorld { mut world, mut errors, .. } = configured;
        errors.extend(world.take_errors());
        Answer { bytes, count: meaning.targets.len(), errors }
    }

    fn placed(&self, error: QueryError) -> Diagnostic {
        error.diagnostic(&self.text, &self.name)
    }

    fn meaning(&self, world: &mut World) -> Result<Meaning, Diagnostic> {
        evaluate(&self.expr, &self.text, world).map_err(|error| self.placed(error))
    }

    /// Evaluates it in a world.
    pub fn answer_in(
        &self,
        world: &mut World,
        output: &OutputOptions,
    ) -> Result<Answer, Diagnostic> {
        let meaning = self.meaning(world)?;
        let bytes = write(world, &meaning, output)?;
        Ok(Answer { bytes, count: meaning.targets.len(), errors: world.take_errors() })
    }
}
