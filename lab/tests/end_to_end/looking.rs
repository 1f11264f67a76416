//! A running hypervisor is seen from outside.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    support::{Outcomes, check},
    typing::{read_in_background, wait_for},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add("top/of_a_running_boot".into(), Box::new(top_of_a_boot));
}

/// The counters of a boot are seen while it runs; it is announced as long as it does.
fn top_of_a_boot(paths: &Paths) -> Outcomes {
    let mut boot = Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(paths.target())
        .args(["boot", "--scheme", "eager", "--observe", "--icount"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keys = boot.stdin.take().expect("a pipe");
    let console = read_in_background(boot.stdout.take().expect("a pipe"));
    let pid = boot.id().to_string();
    let top = || {
        Command::new(env!("CARGO_BIN_EXE_trapcast"))
            .arg("--target")
            .arg(paths.target())
            .args(["top", &pid, "--once", "--json", "--interval", "1"])
            .output()
    };
    let seen = wait_for(&console, "/ # ").and_then(|()| {
        keys.write_all(b"while :; do :; done\n")?;
        let snapshot: serde_json::Value = serde_json::from_slice(&top()?.stdout)?;
        let vcpu = &snapshot["vcpus"][0];
        let above = |value: &serde_json::Value, least| value.as_f64().is_some_and(|v| v > least);
        let hits = vcpu["hit_share"].as_f64();
        let loads = [
            &vcpu["counters"]["register_loads"],
            &vcpu["counters"]["entries"],
        ];
        check(
            snapshot["state"] == "running"
                && vcpu["scheme"] == "eager"
                && above(&vcpu["rates"]["entries"], 0.0)
                && above(&vcpu["el2_share"], 0.0)
                && above(&snapshot["cores"][0]["el2_share"], 0.0)
                && hits.is_some_and(|hits| hits > 0.0 && hits < 1.0)
                && above(loads[0], 0.0)
                && loads[0] == loads[1],
            || format!("{snapshot:#}"),
        )
    });
    kill_process(Pid::from_child(&boot), Signal::TERM)?;
    let status = boot.wait()?;
    seen?;
    check(status.code() == Some(143), || {
        format!("it ended with {status}")
    })?;
    check(top()?.status.code() == Some(2), || {
        "it was still announced after its end".to_string()
    })
}
