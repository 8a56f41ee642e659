// SPDX-License-Identifier: Apache-2.0

package coinbase

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/ballast-energy/ballast/hashengine"
)

func TestHeightPush(t *testing.T) {
	for height, want := range map[int64]string{
		0: "00", 1: "51", 2: "52", 3: "53", 4: "54", 5: "55", 6: "56", 7: "57", 8: "58", 9: "59", 10: "5a", 11: "5b", 12: "5c", 13: "5d", 14: "5e", 15: "5f", 16: "60",
		17: "0111", 127: "017f", 128: "028000", 255: "02ff00", 256: "020001", 32767: "02ff7f", 32768: "03008000",
		840001: "0341d10c", 8388607: "03ffff7f", 8388608: "0400008000", 1<<31 - 1: "04ffffff7f",
	} {
		if got := hex.EncodeToString(HeightPush(height)); got != want {
			t.Errorf("height %d: %s, want %s", height, got, want)
		}
	}
}

func network(t *testing.T, name string) Network {
	t.Helper()
	n, err := NetworkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAddressesOfAllNetworks(t *testing.T) {
	const keyHash = "751e76e8199196d454941c45d1b3a323f1433bd6"
	tests := []struct{ address, script, networks string }{
		{"1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "76a914" + keyHash + "88ac", "main"},
		{"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87", "main"},
		{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014" + keyHash, "main"},
		{"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014" + keyHash, "main"},
		{"bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", "main"},
		{"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "main"},
		{"mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r", "76a914" + keyHash + "88ac", "testnet3 testnet4 signet regtest"},
		{"2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "a9144e9f39ca4688ff102128ea4ccda34105324305b087", "testnet3 testnet4 signet regtest"},
		{"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "0014" + keyHash, "testnet3 testnet4 signet"},
		{"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", "testnet3 testnet4 signet"},
		{"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "0014" + keyHash, "regtest"},
		{"sb1qw508d6qejxtdg4y5r3zarvary0c5xw7krxe8se", "0014" + keyHash, "simnet"},
	}
	for _, tt := range tests {
		for _, name := range NetworkNames() {
			script, err := network(t, name).PayoutScript(tt.address)
			if strings.Contains(" "+tt.networks+" ", " "+name+" ") {
				if got := hex.EncodeToString(script); err != nil || got != tt.script {
					t.Errorf("%s on %s: %s, %v; want %s", tt.address, name, got, err, tt.script)
				}
				continue
			}
			if !errors.Is(err, ErrAddress) || script != nil || !strings.Contains(err.Error(), "of the network") || !strings.Contains(err.Error(), "this is "+name) {
				t.Errorf("%s on %s: %x, %v; want it to be refused as of another network", tt.address, name, script, err)
			}
		}
	}
}

func TestWhatIsNoAddress(t *testing.T) {
	for _, text := range []string{
		"", " ", "bc1", "1", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", // checksum
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7Kv8f3t4",                         // mixed case
		"1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMh",                                 // checksum
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", // a public key
		"bc1pfeessrawgf", // anybody can spend it
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",             // version 1 with the checksum of version 0
		"bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",                                       // version 2
		"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", // 40 bytes
		strings.Repeat("a", 5000), "bc1" + strings.Repeat("q", 86), "\x00\xff", "miner@pool",
	} {
		script, err := network(t, "main").PayoutScript(text)
		if !errors.Is(err, ErrAddress) || script != nil {
			t.Errorf("%.100q: %x, %v", text, script, err)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%.20q: an error of %d bytes", text, len(err.Error()))
		}
	}
	if _, err := NetworkByName("mainnet"); err == nil || !strings.Contains(err.Error(), "main, testnet3") {
		t.Errorf("unknown network: %v", err)
	}
}

func FuzzPayoutScript(f *testing.F) {
	f.Add("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
	f.Add("1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH")
	f.Fuzz(func(t *testing.T, text string) {
		taken := 0
		for _, n := range networks {
			script, err := n.PayoutScript(text)
			if err == nil {
				taken++
				if len(script) < 22 || len(script) > 34 {
					t.Errorf("%q: script %x", text, script)
				}
			}
		}
		if taken > 4 {
			t.Errorf("%q is of %d networks", text, taken)
		}
	})
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes of a coinbase that was made by other code.
func TestCoinbaseBytes(t *testing.T) {
	parts, err := Build(Spec{
		Height: 840001, ValueSats: 317_500_000, Payout: unhex(t, "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
		Commitment: Commitment(nil), Tag: "/ballast/", Extranonce1Bytes: 4, Extranonce2Bytes: 8,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(parts.Before), "02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1b0341d10c092f62616c6c6173742f0c"; got != want {
		t.Errorf("before\n%s, want\n%s", got, want)
	}
	if got, want := hex.EncodeToString(parts.After), "ffffffff0260aaec1200000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000"; got != want {
		t.Errorf("after\n%s, want\n%s", got, want)
	}
	tx := parts.Transaction(unhex(t, "a511026b"), unhex(t, "0000000000000007"))
	hash := hashengine.DoubleSHA256(tx)
	if got := hex.EncodeToString(hash[:]); got != "011963049ec2ab8104059a555d7520b46a8ae63e0db9f123423c3ec24c19dc73" {
		t.Errorf("hash %s", got)
	}
	root := Climb(hash, []hashengine.Hash{
		hashengine.Hash(unhex(t, "59bb1fe0d2b2202f6780bfe19f9d845f8709c745f358f826b2ab02a510da070e")),
		hashengine.Hash(unhex(t, "064e57314e3f26e664ffcbc1526ac0622c044a3dd3228c964340490da8e75b8a")),
	})
	if got := hex.EncodeToString(root[:]); got != "99b41280ad0c7a2b3977467b0843ad605081866ba6afb5349eb5c92674d2eda5" {
		t.Errorf("root %s", got)
	}
}

// A coinbase as others read it, over heights, tags and outputs.
func TestCoinbaseAsOthersReadIt(t *testing.T) {
	payout := unhex(t, "0014751e76e8199196d454941c45d1b3a323f1433bd6")
	for _, height := range []int64{0, 1, 16, 17, 127, 128, 255, 256, 840001, 1<<31 - 1} {
		for _, tag := range []string{"", "/Ballast/", strings.Repeat("x", 50)} {
			for _, aux := range [][]byte{nil, unhex(t, "0b2f503253482f627463642f"), make([]byte, 60), make([]byte, 4000)} {
				for _, commitment := range [][]byte{nil, Commitment(nil), append(Commitment(nil), 1, 2, 3)} {
					parts, err := Build(Spec{Height: height, ValueSats: 5e9, Payout: payout, Commitment: commitment, Aux: aux, Tag: tag, Extranonce1Bytes: 12, Extranonce2Bytes: 8})
					if err != nil {
						t.Fatal(err)
					}
					raw := parts.Transaction(make([]byte, 12), bytes.Repeat([]byte{0xac}, 8))
					var tx wire.MsgTx
					if err := tx.DeserializeNoWitness(bytes.NewReader(raw)); err != nil {
						t.Fatalf("height %d, tag %q: %v", height, tag, err)
					}
					script := tx.TxIn[0].SignatureScript
					if len(script) < MinScript || len(script) > MaxScript || !bytes.HasPrefix(script, HeightPush(height)) || !bytes.Contains(script, []byte(tag)) {
						t.Errorf("height %d: script %x", height, script)
					}
					commits, err := Commits(parts.After)
					if err != nil || commits != (commitment != nil) {
						t.Errorf("commits %v, %v", commits, err)
					}
					full, err := WithWitness(raw)
					if err != nil {
						t.Fatal(err)
					}
					var whole wire.MsgTx
					if err := whole.Deserialize(bytes.NewReader(full)); err != nil {
						t.Fatal(err)
					}
					if w := whole.TxIn[0].Witness; len(w) != 1 || !bytes.Equal(w[0], make([]byte, 32)) || whole.TxHash() != tx.TxHash() {
						t.Errorf("witness %x", w)
					}
				}
			}
		}
	}
}

func TestWhatCannotBeBuilt(t *testing.T) {
	good := Spec{Height: 1, ValueSats: 1, Payout: []byte{0x51}, Extranonce1Bytes: 4, Extranonce2Bytes: 8}
	if _, err := Build(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Spec){
		"height below": func(s *Spec) { s.Height = -1 },
		"height above": func(s *Spec) { s.Height = 1 << 31 },
		"value below":  func(s *Spec) { s.ValueSats = -1 },
		"value above":  func(s *Spec) { s.ValueSats = MaxMoney + 1 },
		"no payout":    func(s *Spec) { s.Payout = nil },
		"extranonce":   func(s *Spec) { s.Extranonce1Bytes = 68 },
		"none":         func(s *Spec) { s.Extranonce2Bytes = 0 },
		"tag":          func(s *Spec) { s.Tag = strings.Repeat("x", 76) },
		"script":       func(s *Spec) { s.Tag = strings.Repeat("x", 75); s.Extranonce1Bytes = 30 },
		"commitment":   func(s *Spec) { s.Commitment = make([]byte, 10_001) },
	} {
		s := good
		spoil(&s)
		if _, err := Build(s); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCommits(f *testing.F) {
	parts, err := Build(Spec{Height: 1, ValueSats: 1, Payout: []byte{0x51}, Commitment: Commitment(nil), Extranonce2Bytes: 8})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(parts.After)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 1, 0, 0x51, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, after []byte) { _, _ = Commits(after) })
}

// wholeTree is the merkle root as the definition has it, level by level.
func wholeTree(level []hashengine.Hash) hashengine.Hash {
	for len(level) > 1 {
		var next []hashengine.Hash
		for i := 0; i < len(level); i += 2 {
			j := min(i+1, len(level)-1)
			next = append(next, hashengine.DoubleSHA256(append(append([]byte(nil), level[i][:]...), level[j][:]...)))
		}
		level = next
	}
	return level[0]
}

func TestBranchesAgainstTheWholeTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		leaves := make([]hashengine.Hash, n+1)
		for i := range leaves {
			for j := range leaves[i] {
				leaves[i][j] = byte(r.Uint32())
			}
		}
		want := wholeTree(leaves)
		if got := Climb(leaves[0], Branches(leaves[1:])); got != want {
			t.Errorf("%d transactions: %s, want %s", n, got, want)
		}
		if got := Root(leaves); got != want {
			t.Errorf("%d transactions: root %s, want %s", n, got, want)
		}
	}
	if b := Branches(nil); len(b) != 0 {
		t.Errorf("branches of nothing: %v", b)
	}
}

// Block 100,000 of the main chain: four transactions.
func TestMerkleRootOfABlock(t *testing.T) {
	var ids []hashengine.Hash
	for _, text := range []string{
		"8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
		"fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
		"6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
		"e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
	} {
		h, err := hashengine.ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h)
	}
	if got := Root(ids).String(); got != "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766" {
		t.Errorf("root %s", got)
	}
}

func TestSubsidy(t *testing.T) {
	for _, tt := range []struct {
		network string
		height  int64
		want    int64
	}{
		{"main", 0, 5000000000}, {"main", 209999, 5000000000}, {"main", 210000, 2500000000}, {"main", 839999, 625000000}, {"main", 840000, 312500000},
		{"main", 1049999, 312500000}, {"main", 1050000, 156250000}, {"main", 6929999, 1}, {"main", 6930000, 0}, {"main", 1 << 31, 0},
		{"regtest", 149, 5000000000}, {"regtest", 150, 2500000000}, {"regtest", 173, 2500000000}, {"regtest", 300, 1250000000}, {"regtest", 450, 625000000},
		{"simnet", 209999, 5000000000}, {"simnet", 210000, 2500000000},
	} {
		if got := network(t, tt.network).Subsidy(tt.height); got != tt.want {
			t.Errorf("%s %d: %d, want %d", tt.network, tt.height, got, tt.want)
		}
	}
}

func TestNetworksBeginDifferently(t *testing.T) {
	seen := map[string]string{}
	for _, n := range networks {
		g := n.Genesis().String()
		if other, ok := seen[g]; ok {
			t.Errorf("%s begins as %s", n.Name, other)
		}
		seen[g] = n.Name
		if NameOfGenesis(n.Genesis()) != n.Name {
			t.Errorf("%s is not known by its genesis", n.Name)
		}
	}
	if got := network(t, "main").Genesis().String(); got != "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" {
		t.Errorf("genesis of main %s", got)
	}
}

func TestVarInt(t *testing.T) {
	for v, want := range map[uint64]string{0: "00", 252: "fc", 253: "fdfd00", 65535: "fdffff", 65536: "fe00000100", 1 << 32: "ff0000000001000000"} {
		if got := fmt.Sprintf("%x", AppendVarInt(nil, v)); got != want {
			t.Errorf("%d: %s, want %s", v, got, want)
		}
	}
}
