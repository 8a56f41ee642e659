// SPDX-License-Identifier: Apache-2.0

package job

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// genesisCoinbase is the only transaction of the main chain's first block.
const genesisCoinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"

// genesis is that block as a job, with an extranonce cut out of its text.
func genesis() (w *events.WorkAssigned, extranonce []byte) {
	extranonce, err := hex.DecodeString(genesisCoinbase[98:106])
	if err != nil {
		panic(err)
	}
	return &events.WorkAssigned{
		JobID: "genesis", Version: "00000001", VersionMask: "00000000", PrevHash: strings.Repeat("0", 64),
		Coinbase1: genesisCoinbase[:90], ExtranoncePrefix: genesisCoinbase[90:98],
		ExtranonceBytes: 4, Coinbase2: genesisCoinbase[106:],
		NTime: 1231006505, NBits: "1d00ffff", ShareDifficulty: "1",
	}, extranonce
}

func TestHeaderOfTheGenesisBlock(t *testing.T) {
	w, x := genesis()
	tmpl, err := Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	h, err := tmpl.Header(x)
	if err != nil {
		t.Fatal(err)
	}
	h.SetNonce(2083236893)
	hash := h.Hash()
	if got := hash.String(); got != "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" {
		t.Fatalf("hash %s", got)
	}
	if !tmpl.ShareTarget.Met(&hash) || !tmpl.NetworkTarget.Met(&hash) {
		t.Fatal("the genesis block does not meet difficulty 1")
	}
}

func TestMerkleBranches(t *testing.T) {
	w, x := genesis()
	left, right := strings.Repeat("11", 32), strings.Repeat("ab", 32)
	w.MerkleBranches = []string{left, right}
	tmpl, err := Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	h, err := tmpl.Header(x)
	if err != nil {
		t.Fatal(err)
	}
	twice := func(b []byte) []byte {
		once := sha256.Sum256(b)
		all := sha256.Sum256(once[:])
		return all[:]
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	root := twice(unhex(genesisCoinbase))
	root = twice(append(root, unhex(left)...))
	root = twice(append(root, unhex(right)...))
	if got := h.MerkleRoot(); string(got[:]) != string(root) {
		t.Fatalf("root %x, want %x", got, root)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, bend := range map[string]func(*events.WorkAssigned){
		"version": func(w *events.WorkAssigned) { w.Version = "1" }, "mask": func(w *events.WorkAssigned) { w.VersionMask = "zzzzzzzz" },
		"nbits": func(w *events.WorkAssigned) { w.NBits = "00000000" }, "prev_hash": func(w *events.WorkAssigned) { w.PrevHash = "00" },
		"ntime": func(w *events.WorkAssigned) { w.NTime = 1 << 32 }, "coinbase1": func(w *events.WorkAssigned) { w.Coinbase1 = "0" },
		"coinbase2": func(w *events.WorkAssigned) { w.Coinbase2 = "x" }, "prefix": func(w *events.WorkAssigned) { w.ExtranoncePrefix = "0g" },
		"bytes":      func(w *events.WorkAssigned) { w.ExtranonceBytes = 33 },
		"branch":     func(w *events.WorkAssigned) { w.MerkleBranches = []string{"00"} },
		"difficulty": func(w *events.WorkAssigned) { w.ShareDifficulty = "0" },
	} {
		w, _ := genesis()
		bend(w)
		if _, err := Parse(w); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w, _ := genesis()
	tmpl, err := Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Header(make([]byte, 3)); err == nil {
		t.Error("took an extranonce of the wrong length")
	}
}

func FuzzParse(f *testing.F) {
	w, _ := genesis()
	f.Add(w.Version, w.NBits, w.PrevHash, w.Coinbase1, w.Coinbase2, w.ExtranoncePrefix, w.ShareDifficulty, w.NTime, 4)
	f.Add("", "207fffff", "", "", "", "", "1e-05", int64(-1), -1)
	f.Fuzz(func(t *testing.T, version, nbits, prev, c1, c2, prefix, difficulty string, ntime int64, n int) {
		tmpl, err := Parse(&events.WorkAssigned{
			Version: version, VersionMask: version, NBits: nbits, PrevHash: prev, Coinbase1: c1, Coinbase2: c2,
			ExtranoncePrefix: prefix, ShareDifficulty: difficulty, NTime: ntime, ExtranonceBytes: n, MerkleBranches: []string{prev},
		})
		if err != nil {
			return
		}
		h, err := tmpl.Header(make([]byte, n))
		if err != nil || h.Bits() != tmpl.Bits || WordText(h.Version()) != strings.ToLower(version) {
			t.Fatalf("%v: %s", err, h)
		}
	})
}
