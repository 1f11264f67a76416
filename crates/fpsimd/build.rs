//! Does nothing: a package that says `links` has to have one. Cargo refuses two versions of such a package in one program,
//! which would share one copy of the assembly.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
