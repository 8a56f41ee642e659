// SPDX-License-Identifier: Apache-2.0

package main

// arm64FillLoop returns the schedules of a group of four nonces. Quad i is W[4i] … W[4i+3]; V0-V15 hold the last four of each
// lane, V16-V23 what is stored, V24-V29 the tail's quad 0 (without the nonce),
// quads 1 and 3, and of quads 4 and 7 what does not depend on the nonce.
//
// Quad 4 is SHA256SU0 of quad 0 plus constants, as W16 and W17 do not depend on
// the nonce; quads 5, 6 and 7 need no SHA256SU0, for the same reason.
func arm64FillLoop() *arm64List {
	l := new(arm64List)
	bank := func(i int) int { return 4 * (i % 4) }

	l.add("FMOVQ sha2Constants_lanes(R5), F22")
	l.add("VDUP R2, V23.S4")
	l.add("VADD V22.S4, V23.S4, V23.S4")
	l.add("VREV32 V23.B16, V23.B16")
	for lane := range 4 {
		l.add("VMOV V29.B16, V%d.B16", 16+lane)
		l.add("VMOV V24.B16, V%d.B16", lane)
	}
	for lane := range 4 {
		l.add("VMOV V23.S[%d], V%d.S[0]", lane, 16+lane)
		l.add("VMOV V23.S[%d], V%d.S[3]", lane, lane)
	}
	l.add("VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R1)")

	for i := 4; i < 16; i++ {
		l.add("FMOVQ (sha2Constants_schedule+%d)(R5), F30", 16*(i-4))
		made := make([]*arm64List, 4)
		for lane := range made {
			m := new(arm64List)
			quad := func(i int) int { return bank(i) + lane }
			switch i {
			case 4:
				m.add("SHA256SU0 V25.S4, V%d.S4", quad(4))
				m.add("VADD V27.S4, V%d.S4, V%d.S4", quad(4), quad(4))
			case 5:
				m.add("VMOV V25.B16, V%d.B16", quad(5))
				m.add("SHA256SU1 V%d.S4, V26.S4, V%d.S4", quad(4), quad(5))
			case 6:
				m.add("VMOV V29.B16, V%d.B16", quad(6))
				m.add("SHA256SU1 V%d.S4, V%d.S4, V%d.S4", quad(5), quad(4), quad(6))
			case 7:
				m.add("VMOV V28.B16, V%d.B16", quad(7))
				m.add("SHA256SU1 V%d.S4, V%d.S4, V%d.S4", quad(6), quad(5), quad(7))
			default:
				m.add("SHA256SU0 V%d.S4, V%d.S4", quad(i-3), quad(i))
				m.add("SHA256SU1 V%d.S4, V%d.S4, V%d.S4", quad(i-1), quad(i-2), quad(i))
			}
			m.add("VADD V30.S4, V%d.S4, V%d.S4", quad(i), 16+4*(i%2)+lane)
			made[lane] = m
		}
		l.stagger(made)
		s := 16 + 4*(i%2)
		l.add("VST1.P [V%d.S4, V%d.S4, V%d.S4, V%d.S4], 64(R1)", s, s+1, s+2, s+3)
	}
	l.add("ADD $4, R2, R2")
	l.add("SUB $1, R3, R3")
	l.add("CBNZ R3, fill")
	return l
}
