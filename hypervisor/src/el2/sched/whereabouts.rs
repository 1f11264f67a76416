//! Where each vCPU is, on the console, when the lab asks: of a run that does not end.

use crate::el2::{
    board::console::say,
    sched::scheduler::{self, Listed},
    state::core::Core,
};
use crate::mrs;

impl Core {
    /// Says where each vCPU is for the scheduler, and what each core has loaded.
    pub fn tell_where(&mut self) {
        for (Listed(vcpu), place) in scheduler::lock().places() {
            let vcpu = vcpu.as_ptr();
            // SAFETY: a vCPU lives as long as the hypervisor, and these fields never change.
            let (vm, index) = unsafe { ((*vcpu).vm.number, (*vcpu).index) };
            say!("where: vm{vm} vCPU {index} {place}");
        }
        self.ask_all();
    }

    /// Says which vCPU this core has loaded. Its PC is that at which it came out of its guest last.
    #[cold]
    pub fn tell_what_is_loaded(&self) {
        let Some(resident) = self.resident else {
            say!("where: core {} has no vCPU loaded", self.number);
            return;
        };
        let resident = resident.as_ptr();
        // SAFETY: a vCPU lives as long as the hypervisor, and these fields never change.
        let (vm, index) = unsafe { ((*resident).vm.number, (*resident).index) };
        say!(
            "where: core {} has vm{vm} vCPU {index} loaded, PC {:#x}, PSTATE {:#x}",
            self.number,
            mrs!("elr_el2"),
            mrs!("spsr_el2")
        );
    }
}
