//! Names the code that decides what loading and analysis yield.
//!
//! What is saved between sessions is read again only by the same code. So whoever changes the
//! language, or the form of what is saved, need not think of it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    // Paths are relative to the directory of this crate. The lock file names the interpreter.
    let mut files = vec![PathBuf::from("../Cargo.lock")];
    for directory in ["src", "../engine/src"] {
        println!("cargo::rerun-if-changed={directory}");
        sources(Path::new(directory), &mut files)?;
    }
    println!("cargo::rerun-if-changed=../Cargo.lock");
    files.sort();
    // Its keys are fixed, so the same code has the same name everywhere.
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    println!("cargo::rustc-env=RBZ_CODE={:016x}", hasher.finish());
    Ok(())
}

fn sources(directory: &Path, to: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, to)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push(path);
        }
    }
    Ok(())
}
