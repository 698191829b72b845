//! The execution log: what every process was given and left, in the JSON form of Bazel's `SpawnExec`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rbz_engine::plan::Plan;
use rbz_engine::spawn_log::{LoggedContent, LoggedFile, LoggedSpawn};
use serde_json::{Value, json};

use crate::command_error::CommandError;

/// A file with an object for each process, in the order in which they ended.
#[derive(Debug)]
pub struct ExecutionLog {
    file: File,
}

impl ExecutionLog {
    /// A new log in the file `path`; what was in it goes.
    pub fn create(path: &Path) -> Result<ExecutionLog, CommandError> {
        match File::create(path) {
            Ok(file) => Ok(ExecutionLog { file }),
            Err(error) => Err(CommandError::environment(format!(
                "cannot write the execution log to `{}`: {error}",
                path.display()
            ))),
        }
    }

    /// Writes what a process of `plan` was given and left.
    pub fn spawn(&mut self, spawn: &LoggedSpawn, plan: Option<&Plan>) -> std::io::Result<()> {
        let Some(plan) = plan else { return Ok(()) };
        self.file.write_all(format!("{}\n", to_json(spawn, plan)).as_bytes())
    }
}

/// 64-bit numbers are strings, as in every protocol buffer that is written as JSON.
fn to_json(spawn: &LoggedSpawn, plan: &Plan) -> Value {
    let action = plan.action(spawn.action);
    let variables: Vec<Value> = spawn
        .environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "commandArgs": spawn.argv,
        "environmentVariables": variables,
        "inputs": spawn.inputs.iter().map(file).collect::<Vec<_>>(),
        "listedOutputs": spawn.listed_outputs,
        "remotable": !action.is_unconfined(),
        "cacheable": spawn.cacheable,
        "timeoutMillis": spawn.timeout.unwrap_or_default().as_millis().to_string(),
        "progressMessage": &*action.description(),
        "mnemonic": &*action.mnemonic,
        "actualOutputs": spawn.outputs.iter().map(file).collect::<Vec<_>>(),
        "runner": spawn.runner,
        "cacheHit": spawn.cache_hit,
        "status": spawn.status,
        "exitCode": spawn.exit_code,
        "remoteCacheable": spawn.cacheable,
        "walltime": seconds(spawn.duration),
        "targetLabel": action.owner.to_string(),
        "metrics": {"totalTime": seconds(spawn.duration), "executionWallTime": seconds(spawn.duration)},
    })
}

fn file(file: &LoggedFile) -> Value {
    match &file.content {
        LoggedContent::File(digest) => json!({
            "path": file.path,
            "digest": {
                "hash": digest.to_hex(),
                "sizeBytes": digest.size.to_string(),
                "hashFunctionName": "SHA-256",
            },
        }),
        LoggedContent::Symlink(text) => json!({"path": file.path, "symlinkTargetPath": &**text}),
    }
}

/// A duration as protocol buffers write it in JSON.
fn seconds(duration: Duration) -> String {
    format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos())
}
