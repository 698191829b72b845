//! Saved plans: a request that was made before, with nothing changed, is not analysed again.
//!
//! The answer to a request has what the plan relied on, then the plan.

use std::path::Path;

use crate::answer_files::AnswerFiles;
use crate::dependency::Dependency;
use crate::depset::SavedDepsets;
use crate::digest::Fingerprint;
use crate::file_state::FileState;
use crate::files::FileResult;
use crate::plan::Plan;

/// How many plans are kept.
const LIMIT: usize = 32;

/// The form of the files; to be changed when anything in a plan is.
const FORMAT: &[u8] = b"rbz plan 4\n";

/// The saved plans in one directory.
#[derive(Debug)]
pub struct SavedPlans {
    files: AnswerFiles,
}

impl SavedPlans {
    /// Those in `dir`, which need not exist.
    pub fn new(dir: &Path) -> SavedPlans {
        SavedPlans { files: AnswerFiles::new(dir, FORMAT, LIMIT) }
    }

    /// Saves the plan of a request with everything that it relied on.
    ///
    /// A plan that cannot be encoded (a path that is not UTF-8) is not saved.
    pub fn save(
        &self,
        request: &Fingerprint,
        plan: &Plan,
        dependencies: &[Dependency],
    ) -> FileResult<()> {
        let saved = postcard::to_stdvec(dependencies)
            .and_then(|relied_on| SavedDepsets::encode(plan, relied_on));
        saved.map_or(Ok(()), |saved| self.files.save(request, &saved))
    }

    /// The plan of a request and what it relied on, if it was saved and all of that still holds.
    pub fn load(
        &self,
        request: &Fingerprint,
        files: &FileState,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Option<(Plan, Vec<Dependency>)> {
        self.files.load(request, |answer| {
            let (relied_on, plan): (Vec<Dependency>, _) = postcard::take_from_bytes(answer).ok()?;
            if !Dependency::all_hold(&relied_on, files, environment) {
                return None;
            }
            let mut plan: Plan = SavedDepsets::decode(plan).ok()?;
            plan.index();
            Some((plan, relied_on))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_plan_is_used_again_until_something_changes() {
        let dir = tempfile::tempdir().unwrap();
        let session = || FileState::open(&dir.path().join("log")).unwrap();
        let source = dir.path().join("BUILD");
        std::fs::write(&source, "x").unwrap();
        let plans = SavedPlans::new(&dir.path().join("plans"));
        let request = Fingerprint::of("build //...");
        let relied_on = [Dependency::on_content(&source, &session()).unwrap()];
        plans.save(&request, &Plan::new("ws", BTreeMap::new()), &relied_on).unwrap();
        let load = || plans.load(&request, &session(), &|_| None).map(|(plan, _)| plan.workspace);
        assert_eq!(load(), Some("ws".into()));
        assert!(plans.load(&Fingerprint::of("other"), &session(), &|_| None).is_none());
        std::fs::write(&source, "y").unwrap();
        assert_eq!(load(), None);
    }

    #[test]
    fn a_damaged_plan_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let files = FileState::open(&dir.path().join("log")).unwrap();
        let plans = SavedPlans::new(&dir.path().join("plans"));
        let request = Fingerprint::of("r");
        plans.save(&request, &Plan::new("ws", BTreeMap::new()), &[]).unwrap();
        let path = plans.files.path(&request);
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            assert!(plans.load(&request, &files, &|_| None).is_none(), "at {position}");
        }
    }

    #[test]
    fn old_plans_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let plans = SavedPlans::new(dir.path());
        for number in 0..LIMIT + 5 {
            let request = Fingerprint::of(number.to_string());
            plans.save(&request, &Plan::new("ws", BTreeMap::new()), &[]).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), LIMIT);
    }
}
