// SPDX-License-Identifier: Apache-2.0

//go:build linux

#include "textflag.h"

// func timed(code, context, record unsafe.Pointer, iterations int) (ticks uint64)
TEXT ·timed(SB), NOSPLIT, $8-40
	MOVQ code+0(FP), BX
	MOVQ context+8(FP), DI
	MOVQ record+16(FP), DX
	MOVQ iterations+24(FP), SI
	MOVQ DX, R10
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  AX, DX
	MOVQ DX, R9
	MOVQ R10, DX
	CALL BX
	RDTSCP
	SHLQ $32, DX
	ORQ  AX, DX
	SUBQ R9, DX
	MOVQ DX, ticks+32(FP)
	RET
