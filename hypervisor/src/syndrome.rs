//! Decodes what the processor reports of an exception: `ESR_EL2`, `FAR_EL2` and `HPFAR_EL2`.
//!
//! Source: Arm ARM (DDI 0487), `ESR_EL2`, `FAR_EL2`, `HPFAR_EL2`.

/// `ESR_EL2`, and by it what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome(u64);

impl Syndrome {
    /// Takes a value of `ESR_EL2`.
    #[inline(always)]
    pub const fn new(esr: u64) -> Self {
        Self(esr)
    }

    /// The value of `ESR_EL2`.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Exception class (EC).
    #[inline(always)]
    pub const fn class(self) -> ExceptionClass {
        ExceptionClass((self.0 >> 26 & 0x3f) as u8)
    }

    /// Instruction-specific syndrome (ISS), bits 24:0.
    #[inline(always)]
    pub const fn iss(self) -> u32 {
        self.0 as u32 & 0x01ff_ffff
    }

    /// Length in bytes of the instruction that trapped (IL): what to add to `ELR_EL2` to skip it.
    #[inline(always)]
    pub const fn instruction_length(self) -> u64 {
        2 + (self.0 >> 25 & 1) * 2
    }

    /// The immediate of HVC, SMC or SVC; only for these exception classes.
    #[inline(always)]
    pub const fn immediate(self) -> u16 {
        self.0 as u16
    }

    /// The instruction that waits; only for [`ExceptionClass::WFX`].
    #[inline(always)]
    pub const fn wait(self) -> Wait {
        match self.iss() & 0b11 {
            0b00 => Wait::Interrupt,
            0b01 => Wait::Event,
            0b10 => Wait::InterruptWithTimeout,
            _ => Wait::EventWithTimeout,
        }
    }

    /// The access to a system register; only for [`ExceptionClass::SYSTEM_REGISTER`].
    #[inline(always)]
    pub const fn system_register(self) -> SystemRegisterAccess {
        let iss = self.iss();
        SystemRegisterAccess {
            register: SystemRegister(iss & SystemRegister::FIELDS),
            rt: (iss >> 5 & 0x1f) as u8,
            read: iss & 1 != 0,
        }
    }

    /// The abort; only for data aborts and instruction aborts.
    #[inline(always)]
    pub const fn abort(self) -> Abort {
        Abort(self.iss())
    }
}

/// An exception class of `ESR_EL2.EC`.
///
/// A number rather than an enumeration, so that decoding costs nothing and no value is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionClass(pub u8);

/// Defines the classes once, as constants and by name.
macro_rules! exception_classes {
    ($($(#[$doc:meta])* $class:ident = $value:literal, $name:literal;)*) => {
        impl ExceptionClass {
            $($(#[$doc])* pub const $class: Self = Self($value);)*

            /// The name of the class, for messages.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $name,)*
                    _ => "unallocated exception class",
                }
            }
        }
    };
}

exception_classes! {
    /// No other class; among them accesses that are UNDEFINED.
    UNKNOWN = 0x00, "unknown reason";
    /// WFI, WFE, WFIT or WFET.
    WFX = 0x01, "WFI or WFE";
    /// AArch32 MCR or MRC, coproc 0b1111.
    CP15_32 = 0x03, "MCR or MRC of CP15";
    /// AArch32 MCRR or MRRC, coproc 0b1111.
    CP15_64 = 0x04, "MCRR or MRRC of CP15";
    /// AArch32 MCR or MRC, coproc 0b1110.
    CP14_32 = 0x05, "MCR or MRC of CP14";
    /// AArch32 LDC or STC.
    CP14_LDC_STC = 0x06, "LDC or STC";
    /// SVE, Advanced SIMD or floating point, caught by `CPTR_EL2` or `CPACR_EL1`.
    FP_SIMD = 0x07, "access to FP/SIMD registers";
    /// AArch32 VMRS.
    VMRS = 0x08, "VMRS";
    /// A pointer authentication instruction.
    PAUTH = 0x09, "pointer authentication";
    /// LD64B, ST64B and their like.
    OTHER = 0x0a, "LD64B or ST64B";
    /// AArch32 MRRC, coproc 0b1110.
    CP14_64 = 0x0c, "MRRC of CP14";
    /// Branch target identification.
    BTI = 0x0d, "branch target";
    /// Illegal execution state.
    ILLEGAL_STATE = 0x0e, "illegal execution state";
    /// SVC from AArch32.
    SVC32 = 0x11, "SVC from AArch32";
    /// HVC from AArch32.
    HVC32 = 0x12, "HVC from AArch32";
    /// SMC from AArch32.
    SMC32 = 0x13, "SMC from AArch32";
    /// MSRR, MRRS or a 128-bit system instruction.
    SYSTEM_REGISTER_128 = 0x14, "MSRR or MRRS";
    /// SVC from AArch64.
    SVC64 = 0x15, "SVC";
    /// HVC from AArch64.
    HVC64 = 0x16, "HVC";
    /// SMC from AArch64.
    SMC64 = 0x17, "SMC";
    /// MSR, MRS or a system instruction from AArch64.
    SYSTEM_REGISTER = 0x18, "access to a system register";
    /// SVE, caught by `CPTR_EL2.TZ` or `ZEN`.
    SVE = 0x19, "access to SVE registers";
    /// ERET, ERETAA or ERETAB.
    ERET = 0x1a, "ERET";
    /// TSTART.
    TSTART = 0x1b, "TSTART";
    /// A failed pointer authentication.
    PAC_FAIL = 0x1c, "failed pointer authentication";
    /// SME, caught by `CPTR_EL2.TSM` or `SMEN`.
    SME = 0x1d, "access to SME registers";
    /// Granule protection check.
    GRANULE_PROTECTION = 0x1e, "granule protection check";
    /// Instruction abort from a lower Exception level.
    INSTRUCTION_ABORT_LOWER = 0x20, "instruction abort";
    /// Instruction abort from EL2.
    INSTRUCTION_ABORT_SAME = 0x21, "instruction abort at EL2";
    /// PC alignment.
    PC_ALIGNMENT = 0x22, "misaligned PC";
    /// Data abort from a lower Exception level.
    DATA_ABORT_LOWER = 0x24, "data abort";
    /// Data abort from EL2.
    DATA_ABORT_SAME = 0x25, "data abort at EL2";
    /// SP alignment.
    SP_ALIGNMENT = 0x26, "misaligned SP";
    /// Memory copy and memory set.
    MOPS = 0x27, "memory copy or set";
    /// Trapped floating-point exception from AArch32.
    FP_EXCEPTION32 = 0x28, "floating-point exception from AArch32";
    /// Trapped floating-point exception from AArch64.
    FP_EXCEPTION64 = 0x2c, "floating-point exception";
    /// Guarded control stack.
    GCS = 0x2d, "guarded control stack";
    /// SError.
    SERROR = 0x2f, "SError";
    /// Breakpoint from a lower Exception level.
    BREAKPOINT_LOWER = 0x30, "breakpoint";
    /// Breakpoint from EL2.
    BREAKPOINT_SAME = 0x31, "breakpoint at EL2";
    /// Software step from a lower Exception level.
    STEP_LOWER = 0x32, "software step";
    /// Software step from EL2.
    STEP_SAME = 0x33, "software step at EL2";
    /// Watchpoint from a lower Exception level.
    WATCHPOINT_LOWER = 0x34, "watchpoint";
    /// Watchpoint from EL2.
    WATCHPOINT_SAME = 0x35, "watchpoint at EL2";
    /// BKPT from AArch32.
    BKPT32 = 0x38, "BKPT";
    /// Vector catch from AArch32.
    VECTOR_CATCH32 = 0x3a, "vector catch";
    /// BRK from AArch64.
    BRK64 = 0x3c, "BRK";
    /// A PMU event, taken as an exception.
    PMU = 0x3d, "PMU exception";
}

/// An instruction that waits (`ISS.TI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// WFI.
    Interrupt,
    /// WFE.
    Event,
    /// WFIT.
    InterruptWithTimeout,
    /// WFET.
    EventWithTimeout,
}

/// A system register by its encoding; kept as `ISS` has it, so that matching a trap is one compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemRegister(u32);

impl SystemRegister {
    /// Op0, Op2, Op1, CRn and CRm in the ISS.
    const FIELDS: u32 = 0x003f_fc1e;

    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        const fn field(value: u8, width: u32, shift: u32) -> u32 {
            (value as u32 & ((1 << width) - 1)) << shift
        }
        Self(
            field(op0, 2, 20)
                | field(op2, 3, 17)
                | field(op1, 3, 14)
                | field(crn, 4, 10)
                | field(crm, 4, 1),
        )
    }

    /// Op0.
    pub const fn op0(self) -> u8 {
        (self.0 >> 20 & 0b11) as u8
    }

    /// Op1.
    pub const fn op1(self) -> u8 {
        (self.0 >> 14 & 0b111) as u8
    }

    /// CRn.
    pub const fn crn(self) -> u8 {
        (self.0 >> 10 & 0xf) as u8
    }

    /// CRm.
    pub const fn crm(self) -> u8 {
        (self.0 >> 1 & 0xf) as u8
    }

    /// Op2.
    pub const fn op2(self) -> u8 {
        (self.0 >> 17 & 0b111) as u8
    }
}

/// An MSR, MRS or system instruction that trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemRegisterAccess {
    /// What it accesses.
    pub register: SystemRegister,
    /// The general-purpose register; 31 is XZR.
    pub rt: u8,
    /// MRS rather than MSR.
    pub read: bool,
}

/// The ISS of a data abort or instruction abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort(u32);

impl Abort {
    /// The load or store that a data abort describes (ISV); none if it does not, as for pairs,
    /// writebacks and instruction aborts, and when the table walk of stage 1 faulted.
    #[inline(always)]
    pub const fn access(self) -> Option<Access> {
        if self.0 >> 24 & 1 == 0 || self.stage1_walk() {
            return None;
        }
        Some(Access {
            write: self.write(),
            size: 1 << (self.0 >> 22 & 0b11),
            register: (self.0 >> 16 & 0x1f) as u8,
            sign_extend: self.0 >> 21 & 1 != 0,
            wide: self.0 >> 15 & 1 != 0,
        })
    }

    /// Whether it was a write (WnR). Cache maintenance counts as one. Not for instruction aborts.
    #[inline(always)]
    pub const fn write(self) -> bool {
        self.0 >> 6 & 1 != 0
    }

    /// Whether it was stage 1's table walk that stage 2 refused (S1PTW).
    #[inline(always)]
    pub const fn stage1_walk(self) -> bool {
        self.0 >> 7 & 1 != 0
    }

    /// Whether it was cache maintenance or address translation (CM). Not for instruction aborts.
    #[inline(always)]
    pub const fn cache_maintenance(self) -> bool {
        self.0 >> 8 & 1 != 0
    }

    /// Whether `FAR_EL2` holds the address (FnV is clear).
    #[inline(always)]
    pub const fn address_valid(self) -> bool {
        self.0 >> 10 & 1 == 0
    }

    /// What went wrong (DFSC or IFSC).
    pub const fn fault(self) -> Fault {
        let level = (self.0 & 0b11) as i8;
        match (self.0 & 0x3f) as u8 {
            0b00_0000..=0b00_0011 => Fault::AddressSize { level },
            0b00_0100..=0b00_0111 => Fault::Translation { level },
            0b00_1000..=0b00_1011 => Fault::AccessFlag { level },
            0b00_1100..=0b00_1111 => Fault::Permission { level },
            0b01_0000 => Fault::External,
            0b01_0100..=0b01_0111 => Fault::ExternalOnWalk { level },
            0b10_0001 => Fault::Alignment,
            0b10_1001 => Fault::AddressSize { level: -1 },
            0b10_1011 => Fault::Translation { level: -1 },
            0b11_0000 => Fault::TlbConflict,
            code => Fault::Other(code),
        }
    }

    /// The intermediate physical address, in bytes, of an access that stage 2 refused.
    ///
    /// None if `HPFAR_EL2` is UNKNOWN: it is written for translation, access flag and address size
    /// faults of stage 2, and for any fault of stage 2 in stage 1's table walk. For such a walk
    /// the address is that of the page of the table, and its offset in there means nothing.
    #[inline]
    pub const fn ipa(self, far: u64, hpfar: u64) -> Option<u64> {
        let reported = match self.fault() {
            Fault::AddressSize { .. } | Fault::Translation { .. } | Fault::AccessFlag { .. } => {
                self.address_valid()
            }
            Fault::Permission { .. } => self.stage1_walk(),
            _ => false,
        };
        if !reported {
            return None;
        }
        // HPFAR_EL2.FIPA, bits 43:4 (47:4 with 56-bit addresses), is the IPA from bit 12 on.
        Some((hpfar & 0x0000_ffff_ffff_fff0) << 8 | far & 0xfff)
    }
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An address in a table, or the input address, is too large.
    AddressSize {
        /// Level of the table, -1 to 3.
        level: i8,
    },
    /// Nothing is mapped.
    Translation {
        /// Level of the table, -1 to 3.
        level: i8,
    },
    /// The access flag is clear.
    AccessFlag {
        /// Level of the table, 0 to 3.
        level: i8,
    },
    /// What is mapped does not allow it.
    Permission {
        /// Level of the table, 0 to 3.
        level: i8,
    },
    /// Synchronous external abort.
    External,
    /// Synchronous external abort on a table walk.
    ExternalOnWalk {
        /// Level of the table, 0 to 3.
        level: i8,
    },
    /// Misaligned.
    Alignment,
    /// TLB conflict.
    TlbConflict,
    /// Any other status code.
    Other(u8),
}

/// A load or store of one general-purpose register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// A store rather than a load (WnR).
    pub write: bool,
    /// Bytes: 1, 2, 4 or 8 (SAS).
    pub size: usize,
    /// The general-purpose register (SRT); 31 is XZR.
    pub register: u8,
    /// A load extends the sign (SSE).
    pub sign_extend: bool,
    /// The register is 64 bits wide rather than 32 (SF).
    pub wide: bool,
}

impl Access {
    /// What a store sends of its register's value: the low [`Access::size`] bytes.
    #[inline(always)]
    pub const fn stored(self, register: u64) -> u64 {
        register & self.mask()
    }

    /// What a load leaves in its 64-bit register when the device answered `value`.
    #[inline(always)]
    pub const fn loaded(self, value: u64) -> u64 {
        let unused = self.unused_bits();
        if !self.sign_extend {
            return value & self.mask();
        }
        let extended = ((value << unused) as i64 >> unused) as u64;
        if self.wide {
            extended
        } else {
            extended & 0xffff_ffff
        }
    }

    const fn mask(self) -> u64 {
        u64::MAX >> self.unused_bits()
    }

    /// Bits of a 64-bit register that the access does not reach.
    const fn unused_bits(self) -> u32 {
        64 - 8 * self.size as u32
    }
}

#[cfg(test)]
mod tests;
