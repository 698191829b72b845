//! What a process sees, and what it can change.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;

use rbz_engine::sandbox::{Sandboxed, Ways};
use rbz_engine::strategy::{Exit, StagedContent, StagedInput};

use crate::runner::Test;
use crate::workshop::{FIXED, With, Workshop};

pub const TESTS: &[Test] = &[
    ("declared_inputs_are_seen_and_nothing_else", declared_inputs_are_seen_and_nothing_else),
    ("outputs_appear", outputs_appear),
    ("inputs_cannot_be_changed", inputs_cannot_be_changed),
    ("the_view_is_the_same_everywhere", the_view_is_the_same_everywhere),
    ("the_network_is_away_and_loopback_works", the_network_is_away_and_loopback_works),
    ("the_environment_is_exact", the_environment_is_exact),
    ("tmp_home_and_shm_are_private", tmp_home_and_shm_are_private),
    ("no_right_is_left", no_right_is_left),
    ("root_namespaces_do_the_same", root_namespaces_do_the_same),
];

fn declared_inputs_are_seen_and_nothing_else() {
    let workshop = Workshop::new();
    let spawn = workshop
        .script(
            "cat pkg/a.txt; cat pkg/sub/b.txt; readlink pkg/link; ls -a . pkg; ls /; ls /usr; \
             ls -d /root /home /work /usr/share /etc/hostname /sys 2>/dev/null; true",
        )
        .inputs(vec![
            workshop.text("pkg/a.txt", "A\n"),
            workshop.text("pkg/sub/b.txt", "B\n"),
            StagedInput {
                path: "pkg/link".into(),
                content: StagedContent::Symlink("../dangling".into()),
            },
        ]);
    let seen = workshop.says(&spawn);
    let expected = "A\nB\n../dangling\n.:\n.\n..\npkg\n\npkg:\n.\n..\na.txt\nlink\nsub\n\
                    dev\netc\nlib\nlib64\nproc\nrbz\ntmp\nusr\nbin\n";
    assert_eq!(seen, expected);
}

fn outputs_appear() {
    let workshop = Workshop::new();
    let spawn = workshop
        .script(
            "echo hi > out/p/o.txt; echo x > out/t/x; ln -s nowhere out/p/l; echo junk > pkg/junk",
        )
        .input(workshop.text("pkg/a.txt", "A\n"))
        .output("out/p/o.txt")
        .output("out/p/l")
        .tree("out/t");
    let done = workshop.run(&spawn);
    assert_eq!(done.exit, Exit::Status(0), "{}", String::from_utf8_lossy(&done.stderr));
    let root = &done.outputs_root;
    assert_eq!(fs::read_to_string(root.join("out/p/o.txt")).unwrap(), "hi\n");
    assert_eq!(fs::read_to_string(root.join("out/t/x")).unwrap(), "x\n");
    assert_eq!(fs::read_link(root.join("out/p/l")).unwrap().to_str(), Some("nowhere"));
    let taken = workshop.directory.path().join("taken");
    fs::rename(root.join("out/p/o.txt"), &taken).unwrap();
    let root = root.clone();
    drop(done);
    assert!(!root.exists());
    assert_eq!(fs::read_to_string(taken).unwrap(), "hi\n");

    let next = workshop.script("ls -R pkg out 2>&1; true").input(workshop.text("pkg/a.txt", "A\n"));
    assert!(!workshop.says(&next).contains("junk"));
}

fn inputs_cannot_be_changed() {
    let workshop = Workshop::new();
    let input = workshop.text("pkg/a.txt", "A\n");
    let before = workshop.store();
    let spawn = workshop
        .script(
            "stat -c '%a %Y' pkg/a.txt; echo no > pkg/a.txt 2>/dev/null && echo written; \
             chmod +w pkg/a.txt && echo changed > pkg/a.txt; touch pkg/a.txt; \
             cat pkg/a.txt; rm -f pkg/a.txt; mv /usr/bin/cat /usr/bin/dog 2>&1; \
             echo no 2>&1 > /usr/bin/cat; rm -f /usr/bin/cat 2>&1; true",
        )
        .input(input.clone());
    let said = workshop.says(&spawn);
    assert!(said.starts_with(&format!("444 {FIXED}\nchanged\n")), "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert!(workshop.store() == before, "the store changed");
    let again = workshop.script("cat pkg/a.txt; stat -c '%a %Y' pkg/a.txt").input(input);
    assert_eq!(workshop.says(&again), format!("A\n444 {FIXED}\n"));
}

fn the_view_is_the_same_everywhere() {
    let workshop = Workshop::new();
    let spawn = workshop
        .script(
            "pwd; id -u; id -g; hostname; realpath pkg/a.txt; echo $$; ls /etc; ls /dev; \
             stat -c '%Y %a' . pkg pkg/a.txt / /usr; date +%Z; cat <&0; echo x > /dev/null; \
             head -c 4 /dev/urandom | wc -c; ls /proc | head -1",
        )
        .input(workshop.text("pkg/a.txt", "A\n"));
    let expected = format!(
        "/rbz/execroot\n1000\n1000\nlocalhost\n/rbz/execroot/pkg/a.txt\n2\n\
         group\nhosts\nlocaltime\nnsswitch.conf\npasswd\n\
         fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
         {FIXED} 755\n{FIXED} 755\n{FIXED} 444\n{FIXED} 755\n{FIXED} 755\nUTC\n4\n1\n"
    );
    assert_eq!(workshop.says(&spawn), expected);
}

fn the_network_is_away_and_loopback_works() {
    let workshop = Workshop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("(echo > /dev/tcp/127.0.0.1/{port}) 2>&1; cat /proc/net/dev | wc -l");
    let said = workshop.says(&workshop.script(&connect));
    // Loopback answers at once that nobody listens there: it is up, and not the machine's.
    assert!(said.contains("Connection refused"), "{said}");
    assert!(said.ends_with("\n3\n"), "two lines of heading and `lo`: {said}");
    let said = workshop.says(&workshop.script("(echo > /dev/tcp/192.0.2.1/80) 2>&1; true"));
    assert!(said.contains("Network is unreachable"), "{said}");
    let mut spawn = workshop.script(&format!("echo > /dev/tcp/127.0.0.1/{port} && echo reached"));
    spawn.network = true;
    assert_eq!(workshop.says(&spawn), "reached\n");
}

fn the_environment_is_exact() {
    let workshop = Workshop::new();
    let mut spawn = workshop.script("");
    let env = spawn.inputs.iter().find(|input| input.path.ends_with("/bin/env")).unwrap();
    spawn.argv = vec![env.path.to_string()];
    spawn.env = [("A", "1"), ("B", "ä b")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(workshop.says(&spawn), "A=1\nB=ä b\nRBZ_MISSING_INPUTS=/tmp/.rbz-missing-inputs\n");
}

fn tmp_home_and_shm_are_private() {
    let workshop = Workshop::new();
    let spawn = workshop.script(
        "for d in /tmp /rbz/home /dev/shm; do ls -A $d; echo x > $d/x; done; \
         echo y > /dev/y || echo refused",
    );
    assert_eq!(workshop.says(&spawn), "refused\n");
    assert_eq!(workshop.says(&spawn), "refused\n");
}

fn no_right_is_left() {
    let workshop = Workshop::new();
    let said = workshop.says(&workshop.script(
        "while read name value; do case $name in Cap*|NoNewPrivs:) echo $name $value;; esac; \
         done < /proc/self/status; echo 1 > /proc/sys/kernel/core_uses_pid; \
         ls /proc/1/root 2>&1; ls /proc/1/fd; ulimit -c; ls -l /proc/self/fd | wc -l",
    ));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(said.contains(&format!("{set}: 0000000000000000\n")), "{said}");
    }
    assert!(said.contains("NoNewPrivs: 1\n"), "{said}");
    // A line of heading, the three standard descriptors, and the one that lists them.
    assert!(said.ends_with("\n0\n5\n"), "{said}");
}

fn root_namespaces_do_the_same() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can make namespaces without a user namespace");
        return;
    }
    let ways = Ways { user_namespaces: false, landlock: false, ..Ways::default() };
    let workshop = Workshop::with(|directory| Arc::new(Sandboxed::new(directory, ways)));
    let before = workshop.store();
    let spawn = workshop
        .script(
            "id -u; id -g; cat pkg/a.txt; chmod +w pkg/a.txt; rm -f pkg/a.txt; \
             echo o > out/o.txt; echo t > /tmp/t; echo h > ~/h; ls /root; true",
        )
        .input(workshop.text("pkg/a.txt", "A\n"))
        .output("out/o.txt");
    let done = workshop.run(&spawn);
    assert_eq!(done.exit, Exit::Status(0));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "1000\n1000\nA\n");
    let output = done.outputs_root.join("out/o.txt");
    assert_eq!(fs::read_to_string(&output).unwrap(), "o\n");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&output).unwrap().uid(), 0);
    assert!(workshop.store().len() == before.len() + 1);
}
