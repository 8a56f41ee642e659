// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

#define ADD8 \
	ADD R1, R0, R0; ADD R1, R0, R0; ADD R1, R0, R0; ADD R1, R0, R0; \
	ADD R1, R0, R0; ADD R1, R0, R0; ADD R1, R0, R0; ADD R1, R0, R0

// func addChain(rounds uint64)
TEXT ·addChain(SB), NOSPLIT, $0-8
	MOVD rounds+0(FP), R2
	MOVD R2, R1
	MOVD $0, R0

chain:
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	ADD8
	SUBS $1, R2, R2
	BNE  chain
	RET
