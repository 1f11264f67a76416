//! The list of all vCPUs ([`RunQueue`]), behind its lock, with the cores that are called.

use ::core::ptr::NonNull;

use trapcast_hypervisor::{run_queue::RunQueue, vgic::VcpuSet};

use crate::el2::{
    arch::wait::{Guard, Lock},
    sched::ipi,
    state::{vcpu::Vcpu, vm::Vm},
};

/// What becomes of a vCPU after its exit was dealt with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// It goes on, if its time slice is not over.
    Continue,
    /// It goes on, and nothing was done on its behalf that the virtual GIC would know of: for that it
    /// has not left its guest.
    Again,
    /// The core's queue decides: the vCPU is off, or has had its time.
    Schedule,
    /// It waits.
    Put,
}

/// A vCPU in the list.
#[derive(Clone, Copy)]
pub struct Listed(pub NonNull<Vcpu>);

// SAFETY: a vCPU is touched by the core that has taken it from the list, until it puts it there again.
unsafe impl Send for Listed {}

/// The vCPUs of all VMs.
pub type Scheduler = RunQueue<Listed>;

static SCHEDULER: Lock<Scheduler> = Lock::new(RunQueue::new());

/// Returns the list. A VM's lock is taken before it, never while it is held.
pub fn lock() -> Guard<Scheduler> {
    SCHEDULER.lock()
}

/// Makes those vCPUs `set` of VM `vm` run that wait.
#[inline]
pub fn wake(vm: usize, set: VcpuSet) {
    if !set.is_empty() {
        lock().wake(vm, set, ipi::call);
    }
}

/// Calls those vCPUs `set` of VM `vm` out of their guests that are in them.
#[inline]
pub fn kick(vm: usize, set: VcpuSet) {
    if !set.is_empty() {
        lock().kick(vm, set, ipi::current(), ipi::call);
    }
}

/// Returns VM `number`, if it is there and not off.
pub fn vm_that_is_on(number: usize) -> Option<&'static Vm> {
    let scheduler = lock();
    let Listed(vcpu) = scheduler.first_of(number)?;
    // SAFETY: a vCPU lives as long as the hypervisor, and its VM never changes.
    let vm = unsafe { (*vcpu.as_ptr()).vm };
    (!scheduler.is_off(number)).then_some(vm)
}
