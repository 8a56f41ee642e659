// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
)

// A synthetic job and a share of it, computed by hand from the definitions.
const (
	vectorNotify = `{"id":null,"method":"mining.notify","params":["bf","a0b1c2d33c5d7e9f2a6e8f10017d9c4be5d6b3c08817a2f49d3e24c61f0b5c7a","02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1b0341d10c092f62616c6c6173742f0c","ffffffff0260aaec1200000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000",["59bb1fe0d2b2202f6780bfe19f9d845f8709c745f358f826b2ab02a510da070e","064e57314e3f26e664ffcbc1526ac0622c044a3dd3228c964340490da8e75b8a"],"20000000","17034219","6b0211b3",true]}`
	vectorSubmit = `{"id":7,"method":"mining.submit","params":["acct.rig1","bf","0000000000000007","6b0211b3","0027212f","00c02000"]}`
)

func parse(t testing.TB, line string) *Message {
	t.Helper()
	var m Message
	if err := ParseMessage([]byte(line), &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPreviousBlockOfBlock125552(t *testing.T) {
	display, err := hashengine.ParseHash("00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(display[:]); got != "81cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000" {
		t.Errorf("header order %s", got)
	}
	w := ReverseWords(display)
	if got := hex.EncodeToString(w[:]); got != "ab02cd818b9e567ee21793cddef299feb29ad444a41b85b8000008a300000000" {
		t.Errorf("notify order %s", got)
	}
	if ReverseWords(w) != display {
		t.Error("twice is not once")
	}
	root, err := hashengine.ParseHash("2b12fcf1b09288fcaff797d71e950e71ae42b91e8bdb2304758dfcffc2b620e3")
	if err != nil {
		t.Fatal(err)
	}
	var h hashengine.Header
	h.SetVersion(1)
	h.SetPrevHash(display)
	h.SetMerkleRoot(root)
	h.SetTime(1305998791)
	h.SetBits(0x1a44b9f2)
	h.SetNonce(2504433986)
	if got := h.Hash().String(); got != "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d" {
		t.Errorf("hash %s", got)
	}
}

func TestSyntheticJobToHash(t *testing.T) {
	n, err := ParseNotify(parse(t, vectorNotify).Params)
	if err != nil {
		t.Fatal(err)
	}
	var s Submit
	if err := s.Parse(parse(t, vectorSubmit).Params); err != nil {
		t.Fatal(err)
	}
	coinbase := append([]byte(nil), n.Coinbase1...)
	coinbase = append(coinbase, unhex(t, "a511026b")...)
	coinbase = append(coinbase, s.Extranonce2...)
	coinbase = append(coinbase, n.Coinbase2...)
	root := hashengine.DoubleSHA256(coinbase)
	if got := hex.EncodeToString(root[:]); got != "011963049ec2ab8104059a555d7520b46a8ae63e0db9f123423c3ec24c19dc73" {
		t.Errorf("coinbase hash %s", got)
	}
	for _, b := range n.Branches {
		root = hashengine.DoubleSHA256(append(root[:], b[:]...))
	}
	if got := hex.EncodeToString(root[:]); got != "99b41280ad0c7a2b3977467b0843ad605081866ba6afb5349eb5c92674d2eda5" {
		t.Errorf("merkle root %s", got)
	}
	const mask = hashengine.VersionRollingMask
	var h hashengine.Header
	h.SetVersion(n.Version&^mask | s.VersionBits&mask)
	h.SetPrevHash(n.PrevHash)
	h.SetMerkleRoot(root)
	h.SetTime(s.NTime)
	h.SetBits(n.Bits)
	h.SetNonce(s.Nonce)
	if got := h.String(); got != "0020c020d3c2b1a09f7e5d3c108f6e2a4b9c7d01c0b3d6e5f4a21788c6243e9d7a5c0b1f99b41280ad0c7a2b3977467b0843ad605081866ba6afb5349eb5c92674d2eda5b311026b194203172f212700" {
		t.Errorf("header %s", got)
	}
	hash := h.Hash()
	if got := hash.String(); got != "000001cc7cc23075eb7ea42687ded22663c69adc94eb314e731ea441d0685f1d" {
		t.Errorf("hash %s", got)
	}
	target, err := hashengine.TargetFromDifficultyText("0.001")
	if err != nil || !target.Met(&hash) {
		t.Errorf("does not meet difficulty 0.001: %v", err)
	}
}

func TestMessagesAreWrittenAsTheyAreRead(t *testing.T) {
	n, err := ParseNotify(parse(t, vectorNotify).Params)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(n.Append(nil))); got != vectorNotify {
		t.Errorf("notify %s", got)
	}
	got := AppendSubmit(nil, 7, "acct.rig1", "bf", unhex(t, "0000000000000007"), 0x6b0211b3, 0x0027212f, true, 0x00c02000)
	if strings.TrimSpace(string(got)) != vectorSubmit {
		t.Errorf("submit %s", got)
	}
}
