//! `rbz why-rebuilt`: what the last build of a target did, and which changes it began with.

use rbz_engine::build::Goals;

use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Workspace;
use crate::console::{Console, write_data};
use crate::rebuild_text;
use crate::request::BuildRequest;

/// `rbz why-rebuilt`
pub fn run(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    let [target] = &request.residue[..] else {
        return Err(CommandError::command_line("`rbz why-rebuilt` needs one target")
            .hint("`rbz why-rebuilt //pkg:target` tells what its last build did, and why"));
    };
    let (own, result) = workspace.analyzed(request, console.take());
    *console = own;
    let (engine, plan) = result?;
    let rebuild = engine.rebuild(&plan, &Goals::test())?;
    if rebuild.actions == 0 {
        return write_data(&format!("`{target}` needs no action: it is made of sources alone\n"));
    }
    let Some(build) = &rebuild.build else {
        let text = format!("no build of `{target}` is on record that did anything");
        return Err(CommandError::new(ErrorKind::BuildFailed, text).hint(format!(
            "`rbz build {target}` builds it; of the next build it is then known why"
        )));
    };
    let now = workspace.invoked.begun;
    let verbose = request.verbose_explanations;
    write_data(&rebuild_text::text(target, &plan, build, &rebuild, now, verbose))
}
