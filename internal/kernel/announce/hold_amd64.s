#include "textflag.h"

#define SYS_nanosleep 35
#define SYS_clone 56
#define SYS_exit_group 231
#define CLONE_VM 0x100

// func clone(top *byte, sleep *unix.Timespec) (pid uintptr)
TEXT ·clone(SB), NOSPLIT, $0-24
	MOVQ $CLONE_VM, DI
	MOVQ top+0(FP), SI
	MOVQ sleep+8(FP), R12
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, pid+16(FP)
	RET
child:
	MOVQ R12, DI
	XORL SI, SI
	MOVL $SYS_nanosleep, AX
	SYSCALL
	XORL DI, DI
	MOVL $SYS_exit_group, AX
	SYSCALL
	INT $3
