/* AK_KERNEL: compiles a function once per instruction set; the loader picks the one the processor
   has. The only dispatch mechanism. Not under sanitizers (the resolver would run before their
   start) and not with compilers that lack the attribute: there the build's own flags decide. */
#ifndef AK_BASE_DISPATCH_H
#define AK_BASE_DISPATCH_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define AK_KERNEL                                                                                  \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define AK_KERNEL
#endif

#endif
