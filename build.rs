//! Notes which compiler it is built by, for `sluicegate_build_info`. What commit it is of is said by whoever builds it
//! for others, in SLUICEGATE_COMMIT: looked up here, every commit would build everything anew.

use std::env::var_os;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SLUICEGATE_COMMIT");
    let version = Command::new(var_os("RUSTC").expect("cargo says which")).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    println!("cargo::rustc-env=SLUICEGATE_RUSTC={}", version.split(' ').nth(1).unwrap_or_default());
}
