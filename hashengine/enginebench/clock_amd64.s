// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Additions of registers: cores that add small constants while they rename
// registers would make a chain of those shorter than a cycle each.
#define ADD8 \
	ADDQ DX, AX; ADDQ DX, AX; ADDQ DX, AX; ADDQ DX, AX; \
	ADDQ DX, AX; ADDQ DX, AX; ADDQ DX, AX; ADDQ DX, AX

// func addChain(rounds uint64)
TEXT ·addChain(SB), NOSPLIT, $0-8
	MOVQ rounds+0(FP), CX
	MOVQ $0, AX
	MOVQ CX, DX

chain:
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	SUBQ $1, CX
	JNZ  chain
	RET

// Twelve chains hide a latency of twelve cycles.
#define SHA12 \
	SHA256RNDS2 X0, X15, X1; SHA256RNDS2 X0, X15, X2; SHA256RNDS2 X0, X15, X3; \
	SHA256RNDS2 X0, X15, X4; SHA256RNDS2 X0, X15, X5; SHA256RNDS2 X0, X15, X6; \
	SHA256RNDS2 X0, X15, X7; SHA256RNDS2 X0, X15, X8; SHA256RNDS2 X0, X15, X9; \
	SHA256RNDS2 X0, X15, X10; SHA256RNDS2 X0, X15, X11; SHA256RNDS2 X0, X15, X12

// func shaChains(rounds uint64)
TEXT ·shaChains(SB), NOSPLIT, $0-8
	MOVQ rounds+0(FP), CX
	PXOR X0, X0
	PXOR X1, X1
	PXOR X2, X2
	PXOR X3, X3
	PXOR X4, X4
	PXOR X5, X5
	PXOR X6, X6
	PXOR X7, X7
	PXOR X8, X8
	PXOR X9, X9
	PXOR X10, X10
	PXOR X11, X11
	PXOR X12, X12
	PXOR X15, X15

units:
	SHA12
	SHA12
	SUBQ $1, CX
	JNZ  units
	PXOR X15, X15
	RET
