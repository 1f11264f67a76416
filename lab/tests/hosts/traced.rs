//! KVM traced by its own kernel and observed from outside in one run: both tell the same windows.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use trapcast_import::RECORDER;
use trapcast_machine::{
    console::Expected,
    host::{Kernel, KvmHost, Mode},
};
use trapcast_record::{Metadata, RecordFile, Window};
use trapcast_study::observing::Observer;
use trapcast_tool::{error::Result, paths::Paths};

use crate::{
    LIMIT, PROGRAMS, kvm,
    support::{Outcomes, check},
    vms,
};

/// What the recorder wrote on a host, from its console.
fn trace(console: &str) -> std::result::Result<String, String> {
    let begin = "host: trace begins";
    let lines = console
        .lines()
        .map(str::trim_end)
        .skip_while(|line| *line != begin)
        .skip(1);
    let lines: String = lines
        .take_while(|line| *line != "host: trace ends")
        .collect();
    let bytes = STANDARD
        .decode(lines)
        .map_err(|error| format!("{error}: {console}"))?;
    let mut text = String::new();
    GzDecoder::new(&*bytes)
        .read_to_string(&mut text)
        .map_err(|error| format!("{error}: {console}"))?;
    Ok(text)
}

/// The windows of a trace.
fn imported(text: &str) -> Result<Vec<Window>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = file.reopen().unwrap();
    let imported = trapcast_import::import(
        text.as_bytes(),
        output,
        Metadata::default(),
        &|| false,
        |_| {},
    );
    let tally = imported.unwrap().tally;
    assert_eq!(
        (tally.losses, tally.broken_loads, tally.unknown_lines),
        (0, 0, 0),
        "{tally:?}"
    );
    let record = RecordFile::open(file.path()).unwrap();
    let mut rows = record.rows().unwrap();
    let (mut windows, mut some) = (Vec::new(), Vec::new());
    loop {
        rows.read(&mut some).unwrap();
        if some.is_empty() {
            return Ok(windows);
        }
        windows.append(&mut some);
    }
}

fn host(paths: &Paths, kernel: Kernel, mode: Mode) -> Result<KvmHost> {
    Ok(KvmHost {
        kernel,
        mode,
        ..kvm(vms(paths, &PROGRAMS)?)
    })
}

/// Every window that was observed is in the trace, in its order, on its vCPU, at its PC, with the same load and put, and,
/// where the trace can tell, with the same use.
pub fn agree(paths: &Paths, kernel: Kernel, mode: Mode) -> Outcomes {
    let host = host(paths, kernel, mode)?.prepare_recorded(paths, Some(RECORDER))?;
    let observer = Observer::find(paths)?;
    let ended = observer.run_host(&host, LIMIT)?;
    let findings = ended.findings(&[Expected::Program; PROGRAMS.len()]);
    check(findings == Default::default(), || format!("{findings:?}"))?;
    // The script leaves tracefs as it was: no instance and no probe stands between its last words and the trace.
    let left: Vec<_> = ended
        .console
        .lines()
        .map(str::trim_end)
        .skip_while(|line| *line != "host: recorder: status 0")
        .skip(1)
        .take_while(|line| *line != "host: trace begins")
        .collect();
    check(left.is_empty(), || {
        format!("left behind: {left:?}\n{}", ended.console)
    })?;
    let text = trace(&ended.console)?;
    let said = format!(
        "# trapcast mode {}",
        if mode == Mode::Vhe { "vhe" } else { "nvhe" }
    );
    check(text.contains(&said), || {
        format!("no {said}: {}", &text[..500])
    })?;
    let traced = imported(&text)?;
    let observed = observer.seen()?;
    let keys = |vcpu, pc, loaded, put| (vcpu, pc, loaded, put);
    let seen: Vec<_> = observed
        .windows
        .iter()
        .map(|window| keys(window.vcpu, window.seen.pc, window.loaded, window.put))
        .collect();
    let told: Vec<_> = traced
        .iter()
        .map(|window| keys(window.vcpu, window.pc, window.loaded, window.put))
        .collect();
    // KVM traces the PC before it steps over an instruction that it emulated.
    let same = |seen: &(u16, u64, bool, bool), told: &(u16, u64, bool, bool)| {
        seen.1.wrapping_sub(told.1) & !4 == 0
            && (seen.0, seen.2, seen.3) == (told.0, told.2, told.3)
    };
    let differs = seen
        .iter()
        .zip(&told)
        .position(|(seen, told)| !same(seen, told));
    check(differs.is_none() && seen.len() == told.len(), || {
        let around = |keys: &[(u16, u64, bool, bool)]| {
            let place = differs.unwrap_or(seen.len().min(told.len()));
            let some = &keys[place.saturating_sub(4).min(keys.len())..(place + 4).min(keys.len())];
            some.iter()
                .map(|key| format!("{key:x?}\n"))
                .collect::<String>()
        };
        format!(
            "{} windows observed, {} traced; around the first that differs, {differs:?}:\n{}and\n{}",
            seen.len(),
            told.len(),
            around(&seen),
            around(&told)
        )
    })?;
    let (mut known, mut wrong) = (0, Vec::new());
    for (number, (window, told)) in observed.windows.iter().zip(&traced).enumerate() {
        if let Some(used) = told.used {
            known += 1;
            if used != window.used() {
                wrong.push(number);
            }
        }
    }
    check(wrong.is_empty() && known > traced.len() / 2, || {
        format!(
            "{known} windows known of {}, {} wrong: {wrong:?}",
            traced.len(),
            wrong.len()
        )
    })
}

/// Protected KVM is refused on the host already.
pub fn protected(paths: &Paths) -> Outcomes {
    let host =
        host(paths, Kernel::Stable, Mode::Protected)?.prepare_recorded(paths, Some(RECORDER))?;
    let qemu = trapcast_machine::qemu::Installed::with_plugins(paths)?;
    let console = host.run(&qemu, &[], LIMIT)?.console;
    let told = "kvm-ftrace: error: this is protected KVM";
    check(console.contains(told), || console.clone())
}
