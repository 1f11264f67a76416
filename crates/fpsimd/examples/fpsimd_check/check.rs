//! The program: what the core has, the checks in order, and their results.

use core::fmt;

use trapcast_fpsimd::{Gates, Opening, VectorLengths};

use crate::{board, fp, gates, mrs, msr, say, sme, sme_guest, sve};

/// What a check says: why it failed.
pub type Outcome = Result<(), Failure>;

/// Checks with their names.
pub type Checks = &'static [(&'static str, fn(&Core) -> Outcome)];

/// What failed, as words and numbers: there is no memory to build text in.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub what: &'static str,
    /// Numbers that tell which.
    pub numbers: [u64; 4],
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:x?}", self.what, self.numbers)
    }
}

/// Fails with `what` and `numbers` unless `holds`.
pub fn expect(holds: bool, what: &'static str, numbers: [u64; 4]) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure { what, numbers })
    }
}

/// The core that runs this.
pub struct Core {
    /// HCR_EL2.E2H.
    pub e2h: bool,
    /// The values of its gates.
    pub gates: Gates,
    /// Vector lengths of SVE; none without it.
    pub sve: VectorLengths,
    /// Vector lengths of streaming mode; none without SME.
    pub streaming: VectorLengths,
    /// FEAT_SME_FA64.
    pub fa64: bool,
    /// FEAT_SME2.
    pub zt0: bool,
}

impl Core {
    fn new(e2h: bool) -> Self {
        let has_sve = mrs!("id_aa64pfr0_el1") >> 32 & 0xf != 0;
        let sme = mrs!("id_aa64pfr1_el1") >> 24 & 0xf;
        let mut core = Self {
            e2h,
            gates: Gates::new(e2h),
            sve: VectorLengths::default(),
            streaming: VectorLengths::default(),
            fa64: sme != 0 && mrs!("S3_0_C0_C4_5") >> 63 != 0,
            zt0: sme >= 2,
        };
        // SAFETY: at EL2; no VM's registers are in the core yet, and it has what is asked for.
        unsafe {
            core.gates.unlock(Opening::ALL);
            if has_sve {
                core.sve = VectorLengths::of_sve();
            }
            if sme != 0 {
                core.streaming = VectorLengths::of_streaming();
            }
        }
        core
    }

    /// Whether the core has SVE.
    pub fn has_sve(&self) -> bool {
        self.sve.max().is_some()
    }

    /// Whether the core has SME.
    pub fn has_sme(&self) -> bool {
        self.streaming.max().is_some()
    }

    /// Opens all gates for EL2.
    pub fn unlock(&self) {
        // SAFETY: at EL2, with E2H as the values were made for.
        unsafe { self.gates.unlock(Opening::ALL) }
    }
}

#[unsafe(no_mangle)]
extern "C" fn check_main() -> ! {
    let (mut passed, mut failed) = (0, 0);
    let vhe = mrs!("id_aa64mmfr1_el1") >> 8 & 0xf != 0;
    for e2h in [false, true] {
        if e2h && !vhe {
            continue;
        }
        board::set_e2h(e2h);
        let core = Core::new(e2h);
        say!(
            "core: vhe={} sve={:04x} streaming={:04x} fa64={} sme2={}",
            u8::from(vhe),
            core.sve.bitmap(),
            core.streaming.bitmap(),
            u8::from(core.fa64),
            u8::from(core.zt0)
        );
        if !e2h {
            open_el1(&core);
        }
        let groups = [
            (true, gates::CHECKS),
            (true, fp::CHECKS),
            (core.has_sve(), sve::CHECKS),
            (core.has_sme(), sme::CHECKS),
        ];
        for (_, checks) in groups.into_iter().filter(|(has, _)| *has) {
            for (name, check) in checks {
                core.unlock();
                board::refusal();
                let outcome = check(&core).and_then(|()| match board::refusal() {
                    None => Ok(()),
                    Some(class) => {
                        expect(false, "EL2 was refused an instruction", [class, 0, 0, 0])
                    }
                });
                match outcome {
                    Ok(()) => {
                        passed += 1;
                        say!("ok e2h={}/{name}", u8::from(e2h));
                    }
                    Err(why) => {
                        failed += 1;
                        say!("FAILED e2h={}/{name}: {why}", u8::from(e2h));
                        core.unlock();
                        if core.has_sme() {
                            sme_guest::leave();
                        }
                    }
                }
            }
        }
    }
    say!("fpsimd_check: {passed} ok, {failed} failed");
    board::power_off()
}

/// Lets EL1 at everything that EL2 lets it at, at any vector length. With E2H = 0, where these names
/// mean EL1's registers.
fn open_el1(core: &Core) {
    // SAFETY: EL1 runs nothing but the guests of this program.
    unsafe {
        msr!("cpacr_el1", 3 << 20 | 3 << 16 | 3 << 24);
        if core.has_sve() {
            msr!("S3_0_C1_C2_0", 0xf);
        }
        if core.has_sme() {
            msr!("S3_0_C1_C2_6", 0xf | 1 << 31);
        }
    }
}
