//! Where each vCPU is, on the console, when the lab asks: of a run that does not end.

use crate::el2::{
    board::console::say,
    sched::{
        residency,
        scheduler::{self, Listed},
    },
    state::core::Core,
};

/// Says where each vCPU is for the scheduler, and what each core has loaded.
pub fn tell_where(core: &mut Core) {
    for (Listed(vcpu), place) in scheduler::lock().places() {
        let vcpu = vcpu.as_ptr();
        // SAFETY: a vCPU lives as long as the hypervisor, and these fields never change.
        let (vm, index) = unsafe { ((*vcpu).vm.number, (*vcpu).index) };
        say!("where: vm{vm} vCPU {index} {place}");
    }
    residency::ask_all(core);
}
