//! A store, a sandbox that works beside it, and actions made in a few words.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rbz_engine::dynamic_libraries::dynamic_libraries;
use rbz_engine::sandbox::{Sandboxed, Ways};
use rbz_engine::strategy::{
    Cancel, Completed, DeclaredOutput, Exit, PreparedSpawn, StagedContent, StagedInput, Strategy,
    Streams,
};

/// The modification time of inputs.
pub const FIXED: u64 = 1_577_836_800;

pub const TOOLS: [&str; 22] = [
    "bash", "cat", "ls", "rm", "mv", "chmod", "readlink", "stat", "id", "sleep", "mkdir", "touch",
    "ln", "env", "head", "wc", "realpath", "hostname", "dd", "date", "cp", "setsid",
];

pub struct Workshop {
    pub directory: tempfile::TempDir,
    pub strategy: Arc<dyn Strategy>,
    tools: Vec<StagedInput>,
}

impl Workshop {
    pub fn new() -> Workshop {
        Self::with(|directory| Arc::new(Sandboxed::new(directory, Ways::default())))
    }

    pub fn with(make: impl FnOnce(&Path) -> Arc<dyn Strategy>) -> Workshop {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("cas")).unwrap();
        let strategy = make(&directory.path().join("base/sandbox"));
        let mut workshop = Workshop { directory, strategy, tools: vec![] };
        let mut paths: Vec<PathBuf> = vec![];
        for tool in TOOLS {
            let path = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(tool));
            let path = path.into_iter().find(|path| path.exists()).unwrap();
            paths.extend(dynamic_libraries(&path).unwrap());
            paths.push(path);
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            let bytes = fs::read(&path).unwrap();
            let tool = workshop.blob(path.to_str().unwrap(), &bytes, true);
            workshop.tools.push(tool);
        }
        workshop
    }

    /// A file of the store at `path`.
    pub fn blob(&self, path: &str, bytes: &[u8], executable: bool) -> StagedInput {
        let name = rbz_engine::digest::Digest::of(bytes).to_hex();
        let suffix = if executable { "-x" } else { "" };
        let store_path = self.directory.path().join("cas").join(format!("{name}{suffix}"));
        if !store_path.exists() {
            fs::write(&store_path, bytes).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(FIXED);
            File::options().append(true).open(&store_path).unwrap().set_modified(time).unwrap();
            let mode = if executable { 0o555 } else { 0o444 };
            fs::set_permissions(&store_path, Permissions::from_mode(mode)).unwrap();
        }
        let content = StagedContent::Blob { store_path: store_path.into(), executable };
        StagedInput { path: path.into(), content }
    }

    pub fn text(&self, path: &str, text: &str) -> StagedInput {
        self.blob(path, text.as_bytes(), false)
    }

    /// An action that runs a shell script.
    pub fn script(&self, script: &str) -> PreparedSpawn {
        let env = [("PATH", "/usr/bin:/bin"), ("HOME", "/rbz/home"), ("TMPDIR", "/tmp")];
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let bash = self.tools.iter().find(|tool| tool.path.ends_with("/bin/bash")).unwrap();
        PreparedSpawn {
            argv: vec![bash.path.to_string(), "-c".into(), script.into()],
            env,
            inputs: self.tools.clone().into(),
            outputs: vec![],
            working_directory: String::new(),
            network: false,
            unconfined: false,
            live: None,
            streams: Streams::Apart,
            resident: None,
            timeout: Some(Duration::from_secs(60)),
            grace: std::time::Duration::ZERO,
            memory: u64::MAX,
            keep: false,
        }
    }

    pub fn run(&self, spawn: &PreparedSpawn) -> Completed {
        self.strategy.run(spawn, &Cancel::default()).unwrap()
    }

    /// What a script that must succeed writes to stdout.
    pub fn says(&self, spawn: &PreparedSpawn) -> String {
        let done = self.run(spawn);
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.exit, Exit::Status(0), "stderr: {stderr}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// The files of the store with their content and mode.
    pub fn store(&self) -> Vec<(PathBuf, Vec<u8>, u32)> {
        let mut files: Vec<_> = fs::read_dir(self.directory.path().join("cas"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                (path.clone(), fs::read(&path).unwrap(), mode)
            })
            .collect();
        files.sort();
        files
    }
}

/// Additions to an action.
pub trait With {
    fn input(self, input: StagedInput) -> Self;
    fn inputs(self, inputs: Vec<StagedInput>) -> Self;
    fn output(self, path: &str) -> Self;
    fn tree(self, path: &str) -> Self;
    fn timeout(self, millis: u64) -> Self;
}

impl With for PreparedSpawn {
    fn input(self, input: StagedInput) -> Self {
        self.inputs(vec![input])
    }

    fn inputs(mut self, more: Vec<StagedInput>) -> Self {
        let mut inputs = self.inputs.to_vec();
        inputs.extend(more);
        inputs.sort_by(|a, b| a.path.cmp(&b.path));
        self.inputs = inputs.into();
        self
    }

    fn output(mut self, path: &str) -> Self {
        self.outputs.push(DeclaredOutput { path: path.into(), is_tree: false });
        self
    }

    fn tree(mut self, path: &str) -> Self {
        self.outputs.push(DeclaredOutput { path: path.into(), is_tree: true });
        self
    }

    fn timeout(mut self, millis: u64) -> Self {
        self.timeout = Some(Duration::from_millis(millis));
        self
    }
}
