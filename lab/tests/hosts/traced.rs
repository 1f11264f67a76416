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
use trapcast_trace::report::EXIT_NAMES;

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
    let seen: Vec<_> = observed.windows.iter().map(Key::of_observed).collect();
    let told = entered(&traced, &seen);
    let differs = seen
        .iter()
        .zip(&told)
        .position(|(seen, told)| !seen.is(told));
    check(differs.is_none() && seen.len() == told.len(), || {
        let place = differs.unwrap_or(seen.len().min(told.len()));
        let around = |keys: &[Key]| {
            let range = place.saturating_sub(4).min(keys.len())..(place + 4).min(keys.len());
            keys[range]
                .iter()
                .map(|key| format!("{key:x?}\n"))
                .collect::<String>()
        };
        format!(
            "{} windows observed, {} of {} traced; around {place}:\n{}and\n{}",
            seen.len(),
            told.len(),
            traced.len(),
            around(&seen),
            around(&told)
        )
    })?;
    let uses = observed
        .windows
        .iter()
        .map(|window| window.used())
        .zip(&told);
    let known = uses.clone().filter(|(_, told)| told.used.is_some()).count();
    let wrong = uses
        .filter(|(used, told)| told.used.is_some_and(|told| told != *used))
        .count();
    check(wrong == 0 && known > told.len() / 2, || {
        format!("{known} windows known of {}, {wrong} wrong", told.len())
    })
}

/// What both see of a window.
#[derive(Clone, Copy, Debug)]
struct Key {
    vcpu: u16,
    pc: u64,
    loaded: bool,
    put: bool,
    used: Option<bool>,
    /// Whether an interrupt ended it.
    interrupted: bool,
}

impl Key {
    fn of_observed(window: &trapcast_observe::Window) -> Self {
        Self {
            vcpu: window.vcpu,
            pc: window.seen.pc,
            loaded: window.loaded,
            // From outside, a put shows by what runs next.
            put: window.put || window.next.is_none(),
            used: Some(window.used()),
            interrupted: false,
        }
    }

    fn of_traced(window: &Window) -> Self {
        Self {
            vcpu: window.vcpu,
            pc: window.pc,
            loaded: window.loaded,
            put: window.put,
            used: window.used,
            interrupted: EXIT_NAMES[usize::from(window.exit)] == "interrupt",
        }
    }

    /// Whether it resumes where another does; KVM traces the PC before it steps over an instruction that it emulated.
    fn resumes_at(&self, told: &Self) -> bool {
        self.vcpu == told.vcpu && self.pc.wrapping_sub(told.pc) & !4 == 0
    }

    fn is(&self, told: &Self) -> bool {
        self.resumes_at(told) && (self.loaded, self.put) == (told.loaded, told.put)
    }
}

/// The traced windows, without those that were none: KVM traces an entry before it looks whether an interrupt is
/// pending, and then does not enter the guest. What it says of a load and a put there belongs to its neighbours; so does
/// a use, where the guest was entered at that PC the next time.
fn entered(traced: &[Window], seen: &[Key]) -> Vec<Key> {
    let mut told: Vec<Key> = Vec::new();
    let mut loaded = false;
    for window in traced {
        let mut key = Key::of_traced(window);
        let is_loaded = loaded || key.loaded;
        let is_this = |seen: &Key| seen.resumes_at(&key) && seen.loaded == is_loaded;
        let is_seen = seen.get(told.len()).is_none_or(is_this);
        match told.last_mut() {
            Some(last) if !is_seen && (key.interrupted || last.interrupted) => {
                last.put |= key.put;
                if last.resumes_at(&key) && key.used == Some(true) {
                    last.used = key.used;
                }
                loaded |= key.loaded;
            }
            _ => {
                key.loaded |= std::mem::take(&mut loaded);
                told.push(key);
            }
        }
    }
    told
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
