//! What a build writes for other programs: build events, the execution log, the profile.

use std::collections::BTreeSet;

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::{Workspace, workspace};
use serde_json::Value;

const BUILD: &str = r#"
genrule(name = "g", srcs = ["in.txt"], outs = ["o.txt"], cmd = "cat $(SRCS) > $@")
genrule(name = "h", srcs = [":g"], outs = ["p.txt"], cmd = "cat $(SRCS) > $@")
sh_test(name = "t", srcs = ["t.sh"], data = [":g"], shard_count = 2, size = "small")
"#;

fn project() -> Workspace {
    build_file(BUILD)
        .file("in.txt", "in\n")
        .file("t.sh", "#!/bin/bash\ntouch \"$TEST_SHARD_STATUS_FILE\"\ngrep -q in o.txt\n")
        .own_cache()
        .build()
}

/// The objects of a file that has one to a line.
fn objects(ws: &Workspace, file: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    ws.read(file).lines().map(parse).collect()
}

/// The events of a build, of which all that must hold of any stream was checked.
fn stream(ws: &Workspace, command: &str, status: i32) -> Vec<Value> {
    ws.rbz(&format!("{command} --build_event_json_file=events.json")).exit_code(status).run();
    let events = objects(ws, "events.json");
    let mut announced = BTreeSet::new();
    let mut came = BTreeSet::new();
    for (index, event) in events.iter().enumerate() {
        let id = event["id"].to_string();
        assert!(index == 0 || announced.contains(&id), "nothing announced {id}");
        assert!(came.insert(id.clone()), "{id} came twice");
        announced.extend(
            event["children"].as_array().into_iter().flatten().map(|child| child.to_string()),
        );
        let fields = event.as_object().expect("an object").len();
        let others = ["children", "lastMessage"].iter().filter(|name| !event[*name].is_null());
        assert_eq!(fields, 2 + others.count(), "an id and a payload: {event}");
        assert_eq!(event["lastMessage"] == true, index == events.len() - 1);
    }
    assert_eq!(announced.difference(&came).collect::<Vec<_>>(), Vec::<&String>::new());
    events
}

/// The payloads called `name`.
fn payloads<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().map(|event| &event[name]).filter(|payload| !payload.is_null()).collect()
}

/// The bytes that a part of a URI stands for.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits after `%`"));
        bytes.extend(rest.bytes());
    }
    bytes
}

#[test]
fn build_events_tell_of_targets_files_and_tests() {
    let ws = project();
    let events = stream(&ws, "test //... --test_arg x --jobs=2", 0);
    let only = |name: &str| match &payloads(&events, name)[..] {
        [payload] => (*payload).clone(),
        others => panic!("{} of {name}", others.len()),
    };
    let started = only("started");
    assert_eq!(started["command"], "test");
    assert_eq!(started["workspaceDirectory"], ws.root().to_str().expect("UTF-8"));
    assert_eq!(started["uuid"].as_str().map(str::len), Some(36));
    let finished = only("finished");
    assert_eq!(finished["exitCode"]["name"], "SUCCESS");
    assert_eq!(finished["overallSuccess"], true);
    let time = |payload: &Value, name: &str| {
        payload[name].as_str().and_then(|text| text.parse::<u64>().ok()).expect("milliseconds")
    };
    assert!(time(&finished, "finishTimeMillis") >= time(&started, "startTimeMillis"));
    let lines = payloads(&events, "structuredCommandLine");
    let options = lines[0]["sections"][3]["optionList"]["option"].as_array().expect("options");
    let option = |name: &str| {
        options
            .iter()
            .find(|option| option["optionName"] == name)
            .map(|option| &option["optionValue"])
    };
    assert_eq!(option("test_arg"), Some(&Value::from("x")));
    assert_eq!(option("jobs"), Some(&Value::from("2")));
    assert_eq!(lines[0]["sections"][4]["chunkList"]["chunk"], serde_json::json!(["//..."]));
    let kinds: Vec<&Value> =
        payloads(&events, "configured").into_iter().map(|target| &target["targetKind"]).collect();
    assert_eq!(kinds, ["genrule rule", "genrule rule", "sh_test rule"]);
    assert_eq!(payloads(&events, "configured")[2]["testSize"], "SMALL");
    assert_eq!(payloads(&events, "testResult").len(), 2);
    let shards: Vec<&Value> = events
        .iter()
        .map(|event| &event["id"]["testResult"]["shard"])
        .filter(|v| !v.is_null())
        .collect();
    assert!(shards.contains(&&Value::from(1)) && shards.contains(&&Value::from(2)));
    assert_eq!(only("testSummary")["overallStatus"], "PASSED");
    assert_eq!(only("testSummary")["totalRunCount"], 2);
    assert!(only("buildMetrics")["actionSummary"]["actionsExecuted"].as_str() >= Some("3"));
    // Again: everything is known, and told all the same.
    for _ in 0..2 {
        let again = stream(&ws, "test //... --test_arg x", 0);
        assert_eq!(payloads(&again, "testResult").len(), 2);
        assert_eq!(payloads(&again, "testResult")[0]["cachedLocally"], true);
    }

    let events = stream(&ws, "build //:g //:h", 0);
    let mut files = Vec::new();
    for set in payloads(&events, "namedSetOfFiles") {
        for file in set["files"].as_array().expect("files") {
            let path =
                file["uri"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a path");
            let path = String::from_utf8(decoded(path)).expect("a path in UTF-8");
            assert!(std::path::Path::new(&path).is_file(), "{path}");
            files.push(file["name"].as_str().expect("a name").to_owned());
        }
    }
    assert_eq!(files, ["o.txt", "p.txt"]);
    for completed in payloads(&events, "completed") {
        assert_eq!(completed["success"], true);
        assert_eq!(completed["outputGroup"][0]["name"], "default");
    }
}

#[test]
fn build_events_tell_of_what_went_wrong() {
    let ws = project();
    ws.edit(
        "BUILD",
        "srcs = [\":g\"], outs = [\"p.txt\"], cmd = \"cat",
        "srcs = [\":g\"], outs = [\"p.txt\"], cmd = \"echo no >&2; false; cat",
    );
    let failed = stream(&ws, "build -k //...", 1);
    assert_eq!(payloads(&failed, "finished")[0]["exitCode"]["name"], "BUILD_FAILURE");
    let action = payloads(&failed, "action")[0];
    assert_eq!((&action["type"], &action["exitCode"]), (&"Genrule".into(), &1.into()));
    let id = failed.iter().find(|event| !event["action"].is_null()).map(|event| &event["id"]);
    let output = id.map(|id| &id["actionCompleted"]["primaryOutput"]);
    assert_eq!(output, Some(&"rbz-out/k8-fastbuild/bin/p.txt".into()));
    let completed = payloads(&failed, "completed");
    let bad = completed.iter().filter(|completed| completed["success"] == false).count();
    assert_eq!((completed.len(), bad), (3, 1));
    // Not a single target is known.
    let failed = stream(&ws, "build //nowhere:x", 1);
    assert_eq!(payloads(&failed, "aborted")[0]["reason"], "ANALYSIS_FAILURE");
    ws.edit("t.sh", "grep -q in", "grep -q out");
    let failed = stream(&ws, "test //:t", 3);
    assert_eq!(payloads(&failed, "finished")[0]["exitCode"]["name"], "TESTS_FAILED");
    assert_eq!(payloads(&failed, "testSummary")[0]["overallStatus"], "FAILED");
    let nothing = stream(&ws, "build //... --nobuild", 0);
    assert_eq!(payloads(&nothing, "finished")[0]["overallSuccess"], true);
}

#[test]
fn the_execution_log_has_what_processes_were_given() {
    let ws = project();
    let log = |command: &str, status| {
        ws.rbz(&format!("{command} --execution_log_json_file=log.json")).exit_code(status).run();
        objects(&ws, "log.json")
    };
    let spawns = log("build //:h", 0);
    let of = |label: &str| {
        spawns.iter().find(|spawn| spawn["targetLabel"] == label).expect("its process ran")
    };
    let h = of("//:h");
    assert_eq!((&h["mnemonic"], &h["exitCode"]), (&"Genrule".into(), &0.into()));
    assert!(h["commandArgs"].as_array().is_some_and(|words| words.len() > 2), "{h}");
    let input = h["inputs"]
        .as_array()
        .and_then(|inputs| {
            inputs.iter().find(|i| i["path"].as_str().is_some_and(|p| p.ends_with("bin/o.txt")))
        })
        .expect("what it reads");
    // SHA-256 of `in\n`.
    assert_eq!(
        input["digest"]["hash"],
        "ab5080369a968a3638a5a5e0df9932a3656766bec904667f72438fd49cd515b0"
    );
    assert_eq!(input["digest"]["sizeBytes"], "3");
    assert_eq!(h["actualOutputs"][0]["digest"], input["digest"]);
    assert_eq!(log("build //:h", 0), Vec::<Value>::new());
    ws.rbz("clean").run();
    let spawns = log("build //:h", 0);
    assert!(
        spawns.iter().all(|spawn| spawn["cacheHit"] == true && spawn["runner"] == "disk cache hit")
    );
    assert_eq!(spawns.len(), 2);
    ws.edit("t.sh", "grep -q in", "grep -q out");
    let spawns = log("test //:t", 3);
    assert_eq!(spawns.len(), 2);
    assert!(spawns.iter().all(|spawn| spawn["status"] == "NON_ZERO_EXIT"));
}

#[test]
fn a_profile_has_the_critical_path_and_is_summed_up() {
    let ws = project();
    ws.rbz("build //:h --profile=profile.json.gz --jobs=2").run();
    let outcome = ws.rbz("analyze-profile profile.json.gz").run();
    let parts: Vec<&str> = outcome.stdout().split("\n\n").collect();
    assert_eq!(parts[0], "rbz build //:h");
    assert!(parts[1].starts_with("Phases\n") && parts[1].contains("Execution"), "{outcome}");
    assert!(parts[2].contains("2 actions at a time may run"), "{outcome}");
    let path: Vec<&str> =
        parts[3].lines().skip(2).filter_map(|line| line.split("%  ").nth(1)).collect();
    assert_eq!(path, ["Running genrule //:g", "Running genrule //:h"]);
    assert!(parts[4].contains("2 Genrule"), "{outcome}");
    assert!(parts[5].contains("Running genrule //:g (Genrule)"), "{outcome}");
    ws.rbz("build //:h --profile=profile.json").run();
    ws.rbz("analyze-profile profile.json").run().stdout_has("No action ran.");
}

#[test]
fn files_that_cannot_be_written_or_read_are_named() {
    let ws = workspace().file("BUILD", "").file("d/x", "{}\n").build();
    for (arguments, status, text) in [
        ("build //... --build_event_json_file=d", 36, "cannot write the build events to"),
        ("build //... --event_log_json_file=d", 36, "cannot write the events to"),
        ("build //... --execution_log_json_file=d/x/y", 36, "cannot write the execution log to"),
        ("build //... --profile=no/such/file", 36, "cannot write the profile to"),
        ("analyze-profile", 2, "`rbz analyze-profile` needs one file"),
        ("analyze-profile a b", 2, "`rbz analyze-profile` needs one file"),
        ("analyze-profile d/x", 2, "is no profile of a build by rbz"),
        ("analyze-profile d", 36, "cannot read the profile"),
        ("analyze-profile nothing", 36, "cannot read the profile"),
    ] {
        ws.rbz(arguments).exit_code(status).run().stderr_has(text);
    }
    // The disk is full: the build is none the worse for it.
    if std::path::Path::new("/dev/full").exists() {
        let outcome =
            ws.rbz("build //... --explain=/dev/full --profile=/dev/full").exit_code(36).run();
        outcome.stderr_has("cannot write the explanations to `/dev/full`");
        ws.rbz("build //... --profile=/dev/full")
            .run()
            .stderr_has("WARNING: cannot write the profile");
    }
}
