//! ptrace of one child.
//!
//! Source: Linux, include/uapi/linux/ptrace.h, arch/arm64/include/uapi/asm/ptrace.h (user_hwdebug_state),
//! include/uapi/linux/elf.h (NT_ARM_HW_BREAK, NT_ARM_HW_WATCH), include/uapi/asm-generic/siginfo.h.

use core::ptr;

use trapcast_guests::linux::{self, call};

use crate::child::{self, WORDS, child_body};

const PTRACE: u64 = 117;
const KILL: u64 = 129;
const GETPID: u64 = 172;

const TRACEME: u64 = 0;
const CONT: u64 = 7;
const SINGLESTEP: u64 = 9;
const GETSIGINFO: u64 = 0x4202;
const GETREGSET: u64 = 0x4204;
const SETREGSET: u64 = 0x4205;

const NT_PRSTATUS: u64 = 1;
/// Sets of registers: hardware breakpoints and watchpoints.
pub const NT_ARM_HW_BREAK: u64 = 0x402;
/// See [`NT_ARM_HW_BREAK`].
pub const NT_ARM_HW_WATCH: u64 = 0x403;

const SIGKILL: u64 = 9;
const SIGSTOP: u32 = 19;
const SIGTRAP: u32 = 5;

/// The error number of a system call.
type Result<T> = core::result::Result<T, i64>;

/// A breakpoint or watchpoint of `user_hwdebug_state`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Slot {
    /// Where.
    pub address: u64,
    /// Enabled, at which levels, by what, how many bytes: as DBGBCR and DBGWCR have it.
    pub control: u32,
    /// Not used.
    pub pad: u32,
}

/// `user_hwdebug_state`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct DebugState {
    info: u32,
    pad: u32,
    slots: [Slot; 16],
}

/// `user_pt_regs`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Registers {
    x: [u64; 31],
    sp: u64,
    pc: u64,
    pstate: u64,
}

#[repr(C)]
struct IoVector {
    base: u64,
    length: u64,
}

/// Why a child has stopped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stop {
    /// Whether by SIGTRAP.
    pub trap: bool,
    /// `si_code`: 2 for a step, 4 for a hardware breakpoint or watchpoint.
    pub code: i32,
    /// `si_addr`.
    pub address: u64,
    /// The next instruction.
    pub pc: u64,
}

/// A child that is traced. Dropping it ends it.
pub struct Child(u64);

fn checked(result: i64) -> Result<u64> {
    u64::try_from(result).map_err(|_| -result)
}

fn address_of<T>(value: &mut T) -> u64 {
    ptr::from_mut(value).expose_provenance() as u64
}

impl Child {
    /// Starts one, and lets it run to where its loop begins.
    pub fn start() -> Result<Self> {
        let process = linux::fork()?;
        if process == 0 {
            // SAFETY: touches no memory.
            unsafe {
                call(PTRACE, [TRACEME, 0, 0, 0]);
                let own = call(GETPID, [0; 4]) as u64;
                child_body(own, &raw const WORDS)
            }
        }
        let child = Self(process);
        let status = linux::wait(process)?;
        if status & 0xff == 0x7f && status >> 8 == SIGSTOP {
            Ok(child)
        } else {
            Err(i64::from(status))
        }
    }

    fn request(&self, request: u64, address: u64, data: u64) -> Result<u64> {
        // SAFETY: what it writes to is what the callers below give it.
        checked(unsafe { call(PTRACE, [request, self.0, address, data]) })
    }

    fn get<T>(&self, set: u64, value: &mut T) -> Result<usize> {
        let mut vector = IoVector {
            base: address_of(value),
            length: size_of::<T>() as u64,
        };
        self.request(GETREGSET, set, address_of(&mut vector))?;
        Ok(vector.length as usize)
    }

    /// How many breakpoints or watchpoints there are.
    pub fn slots(&self, set: u64) -> Result<usize> {
        let mut state = DebugState::default();
        self.get(set, &mut state)?;
        Ok((state.info & 0xff) as usize)
    }

    /// Sets slot `n`, and disables the others.
    pub fn set(&self, set: u64, n: usize, slot: Slot) -> Result<()> {
        let mut state = DebugState::default();
        let slots = self.slots(set)?;
        if let Some(place) = state.slots.get_mut(n) {
            *place = slot;
        }
        let mut vector = IoVector {
            base: address_of(&mut state),
            length: (8 + slots * size_of::<Slot>()) as u64,
        };
        self.request(SETREGSET, set, address_of(&mut vector))?;
        Ok(())
    }

    /// Lets it go on, by one instruction or until something stops it.
    pub fn resume(&self, step: bool) -> Result<Stop> {
        self.request(if step { SINGLESTEP } else { CONT }, 0, 0)?;
        let status = linux::wait(self.0)?;
        let mut registers = Registers::default();
        self.get(NT_PRSTATUS, &mut registers)?;
        let mut information = [0u32; 32];
        self.request(GETSIGINFO, 0, address_of(&mut information))?;
        Ok(Stop {
            trap: status == SIGTRAP << 8 | 0x7f,
            code: information[2] as i32,
            address: u64::from(information[4]) | u64::from(information[5]) << 32,
            pc: registers.pc,
        })
    }

    /// Steps to `pc`.
    pub fn step_to(&self, pc: u64) -> Result<()> {
        const MOST: usize = 64;
        for _ in 0..MOST {
            if self.resume(true)?.pc == pc {
                return Ok(());
            }
        }
        Err(child::loop_start() as i64)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: ends a process of its own.
        unsafe { call(KILL, [self.0, SIGKILL, 0, 0]) };
        let _ = linux::wait(self.0);
    }
}
