//! What is asked of a build, and the names by which answers are saved.

use std::time::UNIX_EPOCH;

use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_starlark::loader_options::LoaderOptions;
use rbz_starlark::session::{AnalysisRequest, SessionOptions};

use crate::commands::build::Purpose;
use crate::commands::version::release;
use crate::diagnostic_output::DiagnosticForm;
use crate::request::BuildRequest;

/// What is asked of a session, and by which names answers are saved.
pub struct Question {
    /// What is to be analysed.
    pub analysis: AnalysisRequest,
    /// With which options.
    pub session: SessionOptions,
    /// Names the plan.
    pub plan: Fingerprint,
    /// Names the build as a whole.
    pub seal: Fingerprint,
}

impl Question {
    /// The question of a request.
    pub fn new(
        purpose: Purpose,
        request: &BuildRequest,
        analysis: AnalysisRequest,
        session: SessionOptions,
    ) -> Question {
        let plan = fingerprint(&analysis, &session);
        // Plain data again. What only says how a build is done and shown makes no difference.
        let asked = BuildRequest {
            diagnostics: DiagnosticForm::Text,
            explain: None,
            verbose_explanations: false,
            execution_log: None,
            build_events: None,
            event_log: None,
            profile: None,
            jobs: 1,
            ..request.clone()
        };
        let seal = Fingerprint::of(format!("{plan} {purpose:?} {asked:?}"));
        Question { analysis, session, plan, seal }
    }
}

/// Names a request and everything else that a plan depends on, except files and environment.
fn fingerprint(request: &AnalysisRequest, session: &SessionOptions) -> Fingerprint {
    let mut builder = FingerprintBuilder::new("request");
    builder.str(&release());
    // The plan's form may differ between builds of one version.
    let program = std::env::current_exe().and_then(|program| program.metadata());
    if let Ok(metadata) = program {
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        builder.u64(metadata.len());
        // Nanoseconds fit in 64 bits until the year 2554.
        builder.u64(modified.map_or(0, |time| time.as_nanos() as u64));
    }
    // Both are plain data, and their debug form names every field.
    builder.str(&format!("{request:?}"));
    let SessionOptions { loader, host_constraints, shell, coverage_tool } = session;
    builder.str(&format!("{host_constraints:?} {shell:?} {coverage_tool:?}"));
    let LoaderOptions {
        workspace_root,
        output_base,
        shipped,
        prelude,
        default_repositories,
        overrides,
        environment,
    } = loader;
    // What of the environment was looked at is among the plan's dependencies. So that an editor and
    // a terminal do not take turns at one plan, the variable in which they mostly differ is here.
    builder.str(environment.get("PATH").map_or("", |path| path));
    builder.str(&format!(
        "{workspace_root:?} {output_base:?} {shipped:?} {prelude:?} {default_repositories:?} \
         {overrides:?}"
    ));
    builder.finish()
}
