//! Compiles one function body for every instruction set and chooses among the versions at run time.

/// Defines `unsafe fn $name(isa, call)`, which runs `$body::<L>(call)`, compiled for `isa`. `L` is the type
/// of the instruction set's registers.
macro_rules! isa_dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($call:ty) = $body:ident) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// The addresses of the call are valid as its type says.
        $vis unsafe fn $name(isa: $crate::kernels::isa::Isa, call: $call) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            unsafe fn avx512(call: $call) {
                // SAFETY: the caller's contract is the body's.
                unsafe { $body::<std::arch::x86_64::__m512>(call) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2(call: $call) {
                // SAFETY: the caller's contract is the body's.
                unsafe { $body::<$crate::kernels::blocked::lanes::Pair>(call) }
            }

            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon(call: $call) {
                // SAFETY: the caller's contract is the body's.
                unsafe { $body::<$crate::kernels::blocked::lanes::Plain<true>>(call) }
            }

            isa.require();
            // SAFETY: `require` has checked the instruction set; the caller guarantees the rest.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::kernels::isa::Isa::Avx512 => avx512(call),
                    #[cfg(target_arch = "x86_64")]
                    $crate::kernels::isa::Isa::Avx2 => avx2(call),
                    #[cfg(target_arch = "aarch64")]
                    $crate::kernels::isa::Isa::Neon => neon(call),
                    _ => $body::<$crate::kernels::blocked::lanes::Plain<false>>(call),
                }
            }
        }
    };
}
pub(super) use isa_dispatch;
