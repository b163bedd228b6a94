//! Notes which compiler it is built by, for `sluicegate_build_info`. What commit it is of is said by whoever builds it
//! for others, in BUILT_FROM_COMMIT: looked up here, every commit would build everything anew. Neither name begins as our
//! own variables do: cargo hands them on to what it runs, which would warn that it doesn't know them.

use std::env::var_os;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BUILT_FROM_COMMIT");
    let version = Command::new(var_os("RUSTC").expect("cargo says which")).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    println!("cargo::rustc-env=BUILT_BY_RUSTC={}", version.split(' ').nth(1).unwrap_or_default());
}
